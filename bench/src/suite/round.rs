//! One round: a load in a process of its own, against one proxy, and what came of it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use sha1::{Digest, Sha1};

use super::Options;
use super::origins::Origins as Started;
use super::special::{self, good};
use super::workloads::{Kind, Workload};
use crate::load::{Outcome, Plan, Seconds};
use crate::peer::{Doors, Features, GRPC, Origins, PASS, Peer, Running, Site, WWW};
use crate::pki::Identity;
use crate::process::{Cpus, Folder};
use crate::results::{DIRECT, Row, Sample};
use crate::watch::{Load, Tree, syscalls};

/// What all rounds stand on.
pub(super) struct Ground<'a> {
    options: &'a Options,
    ours: Cpus,
    others: Cpus,
    identity: Identity,
    origins: Started,
    most_idle: usize,
    folder: Folder,
}

/// One that has its turn.
pub(super) struct Subject {
    pub(super) name: String,
    peer: Option<Peer>,
    running: Option<Running>,
    hash: String,
    /// Units per second that it could do.
    pub(super) saturation: Option<f64>,
}

impl Subject {
    fn new(peer: Option<&Peer>) -> Self {
        Self {
            name: peer.map_or(DIRECT, |peer| peer.name.as_str()).to_owned(),
            peer: peer.cloned(),
            running: None,
            hash: String::new(),
            saturation: None,
        }
    }

    /// Hash of the configuration that it ran with.
    pub(super) fn hash(&self) -> String {
        self.hash.clone()
    }

    pub(super) fn running(&mut self) -> io::Result<Option<&mut Running>> {
        if let Some(running) = &mut self.running {
            running.check()?;
        }
        Ok(self.running.as_mut())
    }
}

impl<'a> Ground<'a> {
    pub(super) fn new(options: &'a Options, descriptors: u64) -> io::Result<Self> {
        let (ours, others) = Cpus::split(options.settings.pinned);
        let folder = Folder::new()?;
        let identity = Identity::make(&folder.0, &[WWW, GRPC, PASS, "*.bench.test"])?;
        let origins = others.within(|| Started::start(&options.program, &identity))?;
        Ok(Self {
            options,
            ours,
            others,
            identity,
            origins,
            // A WebSocket is two descriptors in a proxy; some are for other things.
            most_idle: (descriptors.saturating_sub(2000) / 2) as usize,
            folder,
        })
    }

    /// Starts all that have such a door; last the load without a proxy. Who does not start is said
    /// in the row.
    pub(super) fn subjects(&self, workload: &Workload, row: &mut Row) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for peer in &self.options.peers {
            let fits = workload.kind.fits(peer.kind, workload.features);
            if !fits || !peer.kind.has(workload.door) {
                continue;
            }
            let mut subject = Subject::new(Some(peer));
            match self.start(workload, &mut subject) {
                Ok(()) => subjects.push(subject),
                Err(error) => {
                    row.void.insert(subject.name, vec![error.to_string()]);
                }
            }
        }
        if self.options.direct && workload.kind.has_direct() {
            subjects.push(Subject::new(None));
        }
        subjects
    }

    /// Starts one anew, in a folder of its own.
    fn start(&self, workload: &Workload, subject: &mut Subject) -> io::Result<()> {
        let Some(peer) = &subject.peer else {
            return Ok(());
        };
        // The one before it ends first.
        subject.running = None;
        let folder = self.folder.0.join(format!("{}-{}", peer.name, workload.id));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder)?;
        let site = Site {
            folder,
            identity: self.identity.clone(),
            origins: self.origins(),
            doors: Doors::free()?,
            features: Features {
                many: workload.kind == Kind::Idle,
                ..workload.features
            },
        };
        let running = Running::start(peer, site, &self.ours)?;
        subject.hash = hash(&running.neutral_configuration());
        subject.running = Some(running);
        Ok(())
    }

    fn origins(&self) -> Origins {
        let at = self.origins.addresses;
        Origins {
            http: at.http,
            h2c: at.h2c,
            raw: at.raw,
            tls: at.tls.unwrap_or(at.http),
        }
    }

    /// The plan of a workload, aimed at a subject.
    pub(super) fn aim(&self, workload: &Workload, subject: &Subject) -> Plan {
        let settings = &self.options.settings;
        let mut plan = (workload.plan)();
        plan.warmup = Seconds(settings.warmup);
        plan.duration = Seconds(settings.seconds);
        if let Some(connections) = self.options.connections {
            plan.connections = connections;
        }
        if workload.kind == Kind::Idle {
            let idle = self.options.idle.unwrap_or(plan.connections);
            plan.connections = idle.min(plan.connections).min(self.most_idle);
        }
        let origins = self.origins();
        match &subject.running {
            Some(running) => {
                plan.connect = running.door(workload.door);
                plan.watch = Some(running.id());
            }
            None => plan.connect = origins.direct(workload.door),
        }
        plan
    }

    /// One round; an error says why it does not count.
    pub(super) fn round(&self, workload: &Workload, subject: &mut Subject) -> io::Result<Sample> {
        if workload.kind.starts_anew() {
            self.start(workload, subject)?;
        }
        subject.running()?;
        let before = Load::now();
        let mut sample = match workload.kind {
            Kind::Steady | Kind::Idle => sample(&good(self.load(&self.aim(workload, subject))?)?),
            Kind::Latency(part) => special::latency(self, workload, subject, part)?,
            Kind::Distance(millis) => special::distance(self, workload, subject, millis)?,
            Kind::Reload => special::reload(self, workload, subject)?,
            Kind::Change => special::change(self, workload, subject)?,
            Kind::Weight => special::weight(subject)?,
        };
        let steal = Load::now().steal_since(&before);
        subject.running()?;
        sample.insert("load".to_owned(), before.average);
        sample.insert("steal".to_owned(), steal);
        Ok(sample)
    }

    /// Runs a plan in a process of its own.
    pub(super) fn load(&self, plan: &Plan) -> io::Result<Outcome> {
        self.others.within(|| load(&self.options.program, plan))
    }

    /// One more round under strace, in which only the calls are counted.
    pub(super) fn count_syscalls(
        &self,
        workload: &Workload,
        subjects: &mut [Subject],
        row: &mut Row,
    ) {
        for subject in subjects {
            let Some(running) = &subject.running else {
                continue;
            };
            let tree = Tree::new(running.id());
            let plan = Plan {
                warmup: Seconds(0.0),
                ..self.aim(workload, subject)
            };
            let counted = syscalls(tree, || self.load(&plan));
            let name = subject.name.clone();
            match counted {
                Ok((outcome, counts)) if outcome.units > 0 => {
                    let mut sample = Sample::new();
                    let per = |calls: u64| calls as f64 / outcome.units as f64;
                    sample.insert("syscalls".to_owned(), per(counts.values().sum()));
                    for (call, calls) in counts {
                        sample.insert(format!("syscall_{call}"), per(calls));
                    }
                    row.samples.entry(name).or_default().push(sample);
                }
                Ok(_) => {}
                Err(error) => row
                    .void
                    .entry(name)
                    .or_default()
                    .push(format!("strace: {error}")),
            }
        }
    }
}

/// Runs a plan in a process of its own.
pub(super) fn load(program: &Path, plan: &Plan) -> io::Result<Outcome> {
    let mut child = Command::new(program)
        .args(["bench", "load", "--plan", "-", "--output", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&serde_json::to_vec(plan)?)?;
    }
    let output = child.wait_with_output()?;
    if let Ok(outcome) = serde_json::from_slice(&output.stdout) {
        // A load with failures tells them, and exits with 1.
        return Ok(outcome);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    Err(io::Error::other(format!("the load failed: {said}")))
}

/// The metrics of an outcome.
pub(super) fn sample(outcome: &Outcome) -> Sample {
    let mut sample = Sample::new();
    let mut put = |name: &str, value: f64| {
        if value.is_finite() {
            sample.insert(name.to_owned(), value);
        }
    };
    let units = outcome.units.max(1) as f64;
    if outcome.weights.is_none() {
        put("rate", outcome.rate());
        put("units", outcome.units as f64);
        put("mean_us", outcome.latency.mean);
        put("p50_us", outcome.latency.p50 as f64);
        put("p90_us", outcome.latency.p90 as f64);
        put("p99_us", outcome.latency.p99 as f64);
        put("p999_us", outcome.latency.p999 as f64);
        put("max_us", outcome.latency.max as f64);
        put("generator_us", outcome.generator_cpu * 1e6 / units);
        let bytes = (outcome.received + outcome.sent) as f64;
        put("mbit_s", bytes * 8e-6 / outcome.seconds.max(1e-9));
    }
    if outcome.late.count > 0 {
        put("late_p99_us", outcome.late.p99 as f64);
    }
    if let (Some(cpu), Some(usage)) = (outcome.cpu_per_unit(), &outcome.usage) {
        put("cpu_us", cpu);
        put("user_us", usage.user * 1e6 / units);
        put("system_us", usage.system * 1e6 / units);
        put("busy", usage.cpu() / usage.seconds.max(1e-9));
        put(
            "switches",
            (usage.voluntary + usage.involuntary) as f64 / units,
        );
        put("rss_mib", usage.memory.rss as f64 / 1_048_576.0);
        put("descriptors", usage.descriptors as f64);
    }
    if let Some(cpu) = outcome.cpu_per_gib() {
        put("cpu_s_gib", cpu);
    }
    if let Some(weights) = outcome.weights {
        let held = weights.held.max(1) as f64;
        let grown = |rss: u64| rss as f64 - weights.before.rss as f64;
        put("bytes_conn", grown(weights.with.rss) / held);
        put("held", held);
        put("rss_before_mib", weights.before.rss as f64 / 1_048_576.0);
        put("rss_mib", weights.with.rss as f64 / 1_048_576.0);
        put("left_mib", grown(weights.after.rss) / 1_048_576.0);
    }
    sample
}

fn hash(text: &str) -> String {
    let digest = Sha1::digest(text.as_bytes());
    let mut hash = String::new();
    for byte in digest.iter().take(8) {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Weights;
    use crate::watch::{Memory, Usage};

    #[test]
    fn metrics_are_per_unit() {
        let outcome = Outcome {
            seconds: 2.0,
            units: 1000,
            received: 1 << 29,
            sent: 1 << 29,
            usage: Some(Usage {
                seconds: 2.0,
                user: 0.25,
                system: 0.75,
                ..Usage::default()
            }),
            ..Outcome::default()
        };
        let sample = sample(&outcome);
        for (name, value) in [
            ("rate", 500.0),
            ("cpu_us", 1000.0),
            ("user_us", 250.0),
            ("cpu_s_gib", 1.0),
            ("busy", 0.5),
        ] {
            assert!(
                (sample[name] - value).abs() < 1e-9,
                "{name}: {}",
                sample[name]
            );
        }
        assert!(!sample.contains_key("bytes_conn"));
    }

    #[test]
    fn weights_are_per_connection() {
        let memory = |rss| Memory { rss, pss: rss };
        let outcome = Outcome {
            weights: Some(Weights {
                held: 1000,
                before: memory(10 << 20),
                with: memory((10 << 20) + 2_048_000),
                after: memory(11 << 20),
            }),
            ..Outcome::default()
        };
        let sample = sample(&outcome);
        assert!((sample["bytes_conn"] - 2048.0).abs() < 1e-9);
        assert!((sample["left_mib"] - 1.0).abs() < 1e-9);
        assert!(!sample.contains_key("rate"));
    }
}
