//! The siege: every attacker at once, little memory, and other people's requests beside them (L-94).
//!
//! adit runs in a memory cgroup of 256 MiB with its shipped limits. Floods of HTTP/2 frames and
//! thousands of slow clients go on; meanwhile ordinary clients ask. What must hold: nobody is killed
//! for memory, ordinary clients are served, every attacker is ended by its deadline, and afterwards
//! the memory is given back. A minute, or ten with `--soak`; it says what it measured.

mod frames;
mod slow;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use adit_bench::Kind as OriginKind;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use self::frames::{FLOODS, Flood};
use self::slow::{KINDS, Outcome, besiege, dial};
use crate::support::adit::{ADIT, Adit};
use crate::support::site::{DOORS, Site};
use crate::support::{origin, pass, soak};

const MEMORY: u64 = 256 << 20;
/// KiB of the executable that attacks bring into memory.
const MAPPED: u64 = 4096;

/// A memory cgroup of its own, as containers get it.
struct Cage {
    path: PathBuf,
}

impl Cage {
    /// `None` where there is no such cgroup to be had; says why.
    fn new() -> Option<Self> {
        let parent = PathBuf::from("/sys/fs/cgroup/memory");
        let path = parent.join(format!("adit-siege-{}", std::process::id()));
        if let Err(error) = fs::create_dir(&path) {
            eprintln!("siege: skipped, no memory cgroup (version 1) can be made here: {error}");
            return None;
        }
        let cage = Self { path };
        cage.write("memory.limit_in_bytes", &MEMORY.to_string());
        Some(cage)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path.join(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap()
    }

    /// The highest use that was seen, page cache included.
    fn highest(&self) -> u64 {
        self.read("memory.max_usage_in_bytes")
            .trim()
            .parse()
            .unwrap()
    }

    /// How often the kernel has killed for memory.
    fn kills(&self) -> u64 {
        let text = self.read("memory.oom_control");
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.map_or(0, |count| count.parse().unwrap())
    }

    /// A command that runs inside.
    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        let enter = format!(
            "echo $$ > {}/cgroup.procs; exec \"$@\"",
            self.path.display()
        );
        command.args(["-c", &enter, "sh", ADIT]);
        command
            .env_remove("ADIT_CONFIG")
            .env_remove("STATE_DIRECTORY")
            .env("NO_COLOR", "1");
        command
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Requests of ordinary clients.
#[derive(Default)]
struct Ordinary {
    asked: AtomicUsize,
    served: AtomicUsize,
}

/// A client that asks now and then, mostly on the same connection.
fn ordinary(
    number: u8,
    to: SocketAddr,
    stop: &Arc<AtomicBool>,
    count: &Arc<Ordinary>,
) -> JoinHandle<()> {
    let (stop, count) = (Arc::clone(stop), Arc::clone(count));
    thread::spawn(move || {
        let from = Ipv4Addr::new(127, 77, 0, number);
        let mut connection = None;
        let mut turn = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            turn += 1;
            if turn.is_multiple_of(20) {
                connection = None;
            }
            count.asked.fetch_add(1, Ordering::Relaxed);
            let stream = connection.take().or_else(|| dial(from, to));
            connection = stream.and_then(|mut stream| {
                stream
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .ok()?;
                stream
                    .write_all(b"GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n")
                    .ok()?;
                whole_answer(&mut stream)?;
                count.served.fetch_add(1, Ordering::Relaxed);
                Some(stream)
            });
            pass(Duration::from_millis(20));
        }
    })
}

/// Reads a 200 with its body.
fn whole_answer(stream: &mut impl Read) -> Option<()> {
    let mut answer = Vec::new();
    let mut block = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length?.trim().parse().ok()?;
            if body.len() >= length {
                return head.starts_with("HTTP/1.1 200").then_some(());
            }
        }
        match stream.read(&mut block) {
            Ok(len @ 1..) => answer.extend_from_slice(&block[..len]),
            _ => return None,
        }
    }
}

/// Runs an attack again and again; the longest time until it was ended, and how often it was.
fn flood(
    attack: &'static Flood,
    number: u8,
    to: SocketAddr,
    config: Arc<ClientConfig>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<(Duration, usize)> {
    thread::spawn(move || {
        let (mut longest, mut times) = (Duration::ZERO, 0);
        while !stop.load(Ordering::Relaxed) {
            let from = Ipv4Addr::new(127, 88, 0, number);
            if let Some(lasted) = one_flood(attack, from, to, &config, &stop) {
                longest = longest.max(lasted);
                times += 1;
            }
            // An attacker that is turned away comes back at once, but not in a busy loop.
            pass(Duration::from_millis(50));
        }
        (longest, times)
    })
}

/// One connection of an attack; how long it lasted, if it was ended by the other side.
fn one_flood(
    attack: &Flood,
    from: Ipv4Addr,
    to: SocketAddr,
    config: &Arc<ClientConfig>,
    stop: &AtomicBool,
) -> Option<Duration> {
    let tcp = dial(from, to)?;
    tcp.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    tcp.set_write_timeout(Some(Duration::from_secs(20))).ok()?;
    let name = ServerName::try_from("www.example.test").ok()?;
    let tls = ClientConnection::new(Arc::clone(config), name).ok()?;
    let mut stream = StreamOwned::new(tls, tcp);
    let start = Instant::now();
    stream.write_all(&(attack.opening)()).ok()?;
    stream
        .sock
        .set_read_timeout(Some(Duration::from_millis(1)))
        .ok()?;
    let mut block = [0; 16 * 1024];
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let piece = (attack.piece)(n);
        let written = stream.write_all(&piece).and_then(|()| stream.flush());
        if piece.is_empty() {
            pass(Duration::from_millis(100));
        }
        let ended = match stream.read(&mut block) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
        };
        if ended || written.is_err() {
            return Some(start.elapsed());
        }
        if start.elapsed() > 4 * attack.deadline + Duration::from_secs(20) {
            return Some(start.elapsed());
        }
    }
    None
}

/// What stands around adit.
const PROXIED: &str = "  - {name: told, role: lan, bind: \"127.0.0.1:0\", proxyProtocol: required, trustProxy: [127.0.0.0/8]}\n";

/// adit in its cage.
fn caged(site: &Site, cage: &Cage, backend: SocketAddr) -> Adit {
    let routes = format!(
        "accessLog: {{format: off}}\nroutes:\n- {{host: www.example.test, backends: [\"http://{backend}\"]}}\n"
    );
    let config = Site::config_with(&format!("{DOORS}{PROXIED}"), &routes);
    let file = site.dir.write("adit.yaml", config);
    let ready = site.dir.join("ready.json");
    let mut command = cage.command();
    command.arg("run").arg("--config").arg(&file);
    command.arg("--ready-file").arg(&ready);
    Adit::start(&mut command, &file, &ready)
}

/// All attackers at work for so long; what they did that they should not have been able to do.
fn under_attack(site: &Site, adit: &mut Adit, time: Duration, each: usize) -> String {
    let stop = Arc::new(AtomicBool::new(false));
    let slow: Vec<_> = KINDS
        .iter()
        .zip(1..)
        .map(|(kind, number)| {
            let to = adit.addr(kind.door);
            (kind, besiege(kind, each, number, to, Arc::clone(&stop)))
        })
        .collect();
    let to = adit.addr("webs");
    let floods: Vec<_> = FLOODS
        .iter()
        .zip(1..)
        .map(|(attack, number)| {
            let config = site.tls(&["h2"]);
            (attack, flood(attack, number, to, config, Arc::clone(&stop)))
        })
        .collect();
    let end = Instant::now() + time;
    while Instant::now() < end {
        pass(Duration::from_secs(1));
        assert_eq!(adit.process_mut().ended(), None, "adit has ended");
    }
    stop.store(true, Ordering::Relaxed);
    let mut wrong = String::new();
    for (kind, thread) in slow {
        let Outcome {
            ended,
            longest,
            immortal,
        } = thread.join().unwrap();
        let (name, deadline) = (kind.name, kind.deadline);
        println!("| {name} | {deadline:?} | {ended} | {longest:.1?} |");
        if immortal > 0 {
            wrong += &format!("{immortal} {name} outlived their deadline\n");
        }
    }
    for (attack, thread) in floods {
        let (longest, times) = thread.join().unwrap();
        let (name, deadline) = (attack.name, attack.deadline);
        println!("| {name} | {deadline:?} | {times} | {longest:.1?} |");
        if longest > 3 * deadline + Duration::from_secs(5) {
            wrong += &format!("{name} went on for {longest:?}\n");
        }
    }
    wrong
}

/// Waits for the memory to come down to so much; what is used in the end.
fn calmed(adit: &Adit, most: u64) -> u64 {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let (now, _) = adit.process().memory();
        if now <= most || Instant::now() > end {
            return now;
        }
        pass(Duration::from_millis(500));
    }
}

/// Acceptance: 35, 37, 39, R-13, R-20
#[test]
fn all_attackers_at_once_neither_kill_nor_starve_it() {
    let Some(cage) = Cage::new() else { return };
    let (time, each) = if soak() { (600, 300) } else { (60, 100) };
    let site = Site::new();
    let one = origin(OriginKind::Http1, "one");
    let mut adit = caged(&site, &cage, one.addr());
    let calm = Arc::new(AtomicBool::new(false));
    let count = Arc::new(Ordinary::default());
    let clients: Vec<_> = (1..=4)
        .map(|number| ordinary(number, adit.addr("web"), &calm, &count))
        .collect();
    pass(Duration::from_secs(5));
    let (baseline, _) = adit.process().memory();
    let mut wrong = under_attack(&site, &mut adit, Duration::from_secs(time), each);

    let (_, highest) = adit.process().memory();
    let asked = count.asked.load(Ordering::Relaxed);
    let served = count.served.load(Ordering::Relaxed);
    println!("ordinary requests: {served} of {asked} were served");
    if served * 100 < asked * 95 {
        wrong += &format!("only {served} of {asked} ordinary requests were served\n");
    }
    let kills = cage.kills();
    if kills > 0 {
        wrong += &format!("the kernel killed {kills} times for memory\n");
    }
    // Code that runs for the first time is mapped then, and stays.
    let most = baseline + baseline / 10 + MAPPED;
    let after = calmed(&adit, most);
    let caged = cage.highest() >> 10;
    println!(
        "memory in KiB: {baseline} before, {highest} at most ({caged} with the kernel's part), {after} afterwards"
    );
    if after > most {
        wrong += &format!("{after} KiB are kept, {baseline} KiB were used before\n");
    }
    calm.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    adit.stop();
}
