//! Rounds that are more than a load: latency at a rate, a long way, reloads, changes, weight.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::round::{Ground, Subject, sample};
use super::workloads::Workload;
use crate::load::{Outcome, Pace, Plan, Protocol, Seconds};
use crate::peer::Door;
use crate::relay::Relay;
use crate::results::Sample;
use crate::watch::{Tree, pause};

/// Time between two reloads.
const BETWEEN: Duration = Duration::from_millis(500);

/// How long a change may take to be seen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests per second while the configuration changes.
const MEANWHILE: f64 = 2000.0;

/// A load at a part of what the subject can do; of what we can do without a proxy.
pub(super) fn latency(
    ground: &Ground<'_>,
    workload: &Workload,
    subject: &mut Subject,
    part: f64,
) -> io::Result<Sample> {
    let plan = ground.aim(workload, subject);
    let most = match subject.saturation {
        Some(most) => most,
        None => good(ground.load(&plan)?)?.rate(),
    };
    subject.saturation = Some(most);
    let rate = (most * part).max(1.0);
    let outcome = good(ground.load(&Plan {
        pace: Pace::Constant(rate),
        ..plan
    })?)?;
    let mut sample = sample(&outcome);
    sample.insert("asked_rate".to_owned(), rate);
    sample.insert("unfinished".to_owned(), outcome.unfinished as f64);
    Ok(sample)
}

/// A load over a way of so many milliseconds there and back.
pub(super) fn distance(
    ground: &Ground<'_>,
    workload: &Workload,
    subject: &Subject,
    millis: u64,
) -> io::Result<Sample> {
    let mut plan = ground.aim(workload, subject);
    let relay = Relay::start(plan.connect, Duration::from_millis(millis) / 2)?;
    plan.connect = relay.addr();
    // The first windows are learnt on the way: some round trips pass before anything counts.
    plan.warmup = Seconds(plan.warmup.0 + 0.01 * millis as f64);
    let outcome = good(ground.load(&plan)?)?;
    Ok(sample(&outcome))
}

/// Loads of three kinds while the configuration is read again and again.
pub(super) fn reload(
    ground: &Ground<'_>,
    workload: &Workload,
    subject: &mut Subject,
) -> io::Result<Sample> {
    let plain = ground.aim(workload, subject);
    let Some(running) = subject.running()? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let base = Plan {
        watch: None,
        pace: Pace::Constant(500.0),
        connections: 8,
        ..plain.clone()
    };
    let h2 = Plan {
        connect: running.door(Door::Tls),
        protocol: Protocol::Http2,
        tls: Some(crate::load::Tls::default()),
        connections: 2,
        streams: 8,
        ..base.clone()
    };
    let socket = Plan {
        protocol: Protocol::WebSocket,
        path: "/ws".to_owned(),
        upload: 128,
        expect: crate::load::Expect::default(),
        connections: 20,
        pace: Pace::Constant(200.0),
        ..base.clone()
    };
    let window = plain.warmup.duration() + plain.duration.duration();
    thread::scope(|scope| {
        let loads = [base, h2, socket].map(|plan| scope.spawn(move || ground.load(&plan)));
        let mut reloads = 0;
        let end = Instant::now() + window;
        while Instant::now() + BETWEEN < end {
            pause(BETWEEN);
            reloads += 1;
            running.rewrite(reloads % 2)?;
        }
        let mut all = Sample::from([("reloads".to_owned(), reloads as f64)]);
        for load in loads {
            let outcome = join(load)?;
            let mut add = |name: &str, value: f64| {
                *all.entry(name.to_owned()).or_default() += value;
            };
            add("failed", outcome.failed() as f64);
            // Due in the last moment and answered after it: no failure on a busy machine.
            add("unfinished", outcome.unfinished as f64);
            add("moved", outcome.moved as f64);
            add("units", outcome.units as f64);
            add("rate", outcome.rate());
            let p99 = all.entry("p99_us".to_owned()).or_default();
            *p99 = p99.max(outcome.latency.p99 as f64);
        }
        Ok(all)
    })
}

/// How long a change of the file takes to be seen, under load.
pub(super) fn change(
    ground: &Ground<'_>,
    workload: &Workload,
    subject: &mut Subject,
) -> io::Result<Sample> {
    let mut plan = ground.aim(workload, subject);
    plan.pace = Pace::Constant(MEANWHILE);
    let Some(running) = subject.running()? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let door = running.door(Door::Plain);
    let tree = Tree::new(running.id());
    let window = plan.warmup.duration() + plan.duration.duration();
    thread::scope(|scope| {
        let load = scope.spawn(|| ground.load(&plan));
        let mut effects = Vec::new();
        let end = Instant::now() + window;
        pause(plan.warmup.duration());
        let hosts = running.site.features.hosts;
        // At least one, however long it takes.
        while effects.is_empty() || Instant::now() < end {
            let more = effects.len() + 1;
            let begun = Instant::now();
            running.rewrite(more)?;
            let host = format!("h{}.bench.test", hosts + more - 1);
            while !answers(door, &host)? {
                if begun.elapsed() > PATIENCE {
                    return Err(io::Error::other("a change was not seen"));
                }
                pause(Duration::from_millis(1));
            }
            effects.push(begun.elapsed().as_secs_f64() * 1000.0);
            pause(Duration::from_millis(50));
        }
        let outcome = good(join(load)?)?;
        effects.sort_by(f64::total_cmp);
        let rank = (effects.len() as f64 * 0.99).ceil() as usize;
        let slow = effects.get(rank.max(1) - 1).or(effects.last());
        let mut sample = sample(&outcome);
        sample.insert("effect_ms".to_owned(), slow.copied().unwrap_or_default());
        sample.insert("failed".to_owned(), outcome.failed() as f64);
        sample.insert("changes".to_owned(), effects.len() as f64);
        let middle = effects.get(effects.len() / 2).copied().unwrap_or_default();
        sample.insert("effect_p50_ms".to_owned(), middle);
        let memory = tree.memory()?.rss as f64 / 1_048_576.0;
        sample.insert("rss_mib".to_owned(), memory);
        Ok(sample)
    })
}

/// What it weighs at rest.
pub(super) fn weight(subject: &mut Subject) -> io::Result<Sample> {
    let Some(running) = subject.running()? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    pause(Duration::from_secs(1));
    let memory = Tree::new(running.id()).memory()?;
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    Ok(Sample::from([
        ("rss_mib".to_owned(), mib(memory.rss)),
        ("pss_mib".to_owned(), mib(memory.pss)),
        ("start_ms".to_owned(), running.took.as_secs_f64() * 1000.0),
    ]))
}

/// An outcome without failures, or why it does not count.
pub(super) fn good(outcome: Outcome) -> io::Result<Outcome> {
    match outcome.failures.iter().next() {
        None => Ok(outcome),
        Some((why, count)) => Err(io::Error::other(format!("{count} × {why}"))),
    }
}

fn join(load: thread::ScopedJoinHandle<'_, io::Result<Outcome>>) -> io::Result<Outcome> {
    load.join()
        .map_err(|_| io::Error::other("a thread of the suite broke"))?
}

/// Whether a host is served.
fn answers(door: SocketAddr, host: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(door)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET /size/1 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
