//! Requests in flight: in the process, on a route, at an endpoint, and in the queue (L-85, L-86).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{GET, metric, refused};
use crate::support::adit::Adit;
use crate::support::backend::Backend;
use crate::support::h2client::run;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{PATIENCE, eventually, pass};

/// A backend that answers each request when it is told to.
struct Held {
    backend: Backend,
    asked: Receiver<()>,
    answer: Sender<()>,
}

impl Held {
    fn start() -> Self {
        let (tell, asked) = channel();
        let (answer, answers) = channel::<()>();
        let answers = Arc::new(Mutex::new(answers));
        let backend = Backend::start(move |_, mut client| {
            while client.try_until_head() {
                let _ = tell.send(());
                let go = answers.lock().unwrap().recv();
                if go.is_err() {
                    return;
                }
                let _ = client.try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
            }
        });
        Self {
            backend,
            asked,
            answer,
        }
    }

    fn serve(&self, site: &Site, limits: &str) -> Adit {
        let address = self.backend.addr();
        site.run(&format!(
            "workers: 2\nroutes:\n\
             - {{host: www.example.test, backends: [\"http://{address}\"]}}\n\
             - {{host: other.example.test, respond: {{status: 200, body: here}}}}\n\
             limits: {{shutdownGrace: 0s, {limits}}}\n"
        ))
    }

    /// Sends a request and waits until the backend has it.
    fn ask(&self, adit: &Adit) -> Raw {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(GET);
        self.asked.recv_timeout(PATIENCE).unwrap();
        client
    }

    fn answer(&self, clients: impl IntoIterator<Item = Raw>) {
        for mut client in clients {
            self.answer.send(()).unwrap();
            let (head, body) = client.answer();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert_eq!(body, b"done");
        }
    }
}

fn answer(adit: &Adit, host: &str) -> (String, Raw) {
    let mut client = Raw::connect(adit.addr("web"));
    client.send(GET.replace("www.example.test", host));
    (client.answer().0, client)
}

#[test]
fn one_request_too_many_is_told_to_come_again() {
    let site = Site::new();
    let held = Held::start();
    let adit = held.serve(&site, "requests: 2");
    let clients = [held.ask(&adit), held.ask(&adit)];
    for host in [
        "www.example.test",
        "other.example.test",
        "none.example.test",
    ] {
        let (head, _) = answer(&adit, host);
        assert!(head.starts_with("HTTP/1.1 503"), "{host}: {head}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("retry-after: 1\r\n"), "{host}: {head}");
    }
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let answer = h2.get("https://www.example.test/").await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.head.headers["retry-after"], "1");
    });
    refused(&site, &adit, "L-85", 4.0);
    assert!((metric(&site, &adit, &["adit_requests_active "]) - 2.0).abs() < 0.1);
    held.answer(clients);
    eventually("there is room again", || {
        let (head, mut client) = answer(&adit, "other.example.test");
        head.starts_with("HTTP/1.1 200").then_some(())?;
        // The refused client was not sent away for good either.
        client.send(GET.replace("www", "other"));
        client.answer().0.starts_with("HTTP/1.1 200").then_some(())
    });
    adit.stop();
}

#[test]
fn a_full_route_lets_a_few_wait_and_leaves_others_alone() {
    let site = Site::new();
    let held = Held::start();
    let limits = "requestsPerRoute: 1, queuedRequests: 1, queueTime: 10s";
    let adit = held.serve(&site, limits);
    let first = held.ask(&adit);
    let mut waiting = Raw::connect(adit.addr("web"));
    waiting.send(GET);
    // The queue is full once somebody is refused.
    eventually("the queue is full", || {
        let mut client = Raw::connect(adit.addr("web"));
        client.tcp().set_read_timeout(Some(PATIENCE / 40)).unwrap();
        client.send(GET);
        client.try_head()?.starts_with("HTTP/1.1 503").then_some(())
    });
    refused(&site, &adit, "L-86", 1.0);
    let (head, _) = answer(&adit, "other.example.test");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    held.answer([first]);
    held.asked.recv_timeout(PATIENCE).unwrap();
    held.answer([waiting]);
}

#[test]
fn who_waits_in_vain_is_answered_in_time() {
    let site = Site::new();
    let held = Held::start();
    for limits in ["requestsPerRoute: 1", "requestsPerEndpoint: 1"] {
        let adit = held.serve(&site, &format!("{limits}, queueTime: 200ms"));
        let first = held.ask(&adit);
        let (head, _) = answer(&adit, "www.example.test");
        assert!(head.starts_with("HTTP/1.1 503"), "{limits}: {head}");
        refused(&site, &adit, "L-86", 1.0);
        held.answer([first]);
        adit.stop();
    }
}

#[test]
fn requests_wait_for_a_busy_endpoint_in_order() {
    let site = Site::new();
    let held = Held::start();
    let adit = held.serve(&site, "requestsPerEndpoint: 1, queueTime: 20s");
    let first = held.ask(&adit);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut client = Raw::connect(adit.addr("web"));
            client.send(GET);
            client
        })
        .collect();
    held.answer([first]);
    let readers: Vec<_> = waiting
        .into_iter()
        .map(|mut client| std::thread::spawn(move || client.answer()))
        .collect();
    for _ in 0..3 {
        held.asked.recv_timeout(PATIENCE).unwrap();
        held.answer.send(()).unwrap();
    }
    for reader in readers {
        let (head, body) = reader.join().unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body, b"done");
    }
}

/// Acceptance: R-24
#[test]
fn five_times_too_much_is_served_as_far_as_it_goes_and_leaves_nothing_behind() {
    const ROOM: usize = 8;
    const CLIENTS: usize = 5 * ROOM;
    let site = Site::new();
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, highest) = (Arc::clone(&busy), Arc::clone(&most));
    let backend = Backend::start(move |_, mut client| {
        while client.try_until_head() {
            highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            pass(Duration::from_millis(30));
            now.fetch_sub(1, Ordering::SeqCst);
            let _ = client.try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        }
    });
    let adit = site.run(&format!(
        "workers: 2\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n\
         limits: {{shutdownGrace: 0s, requests: {ROOM}}}\n",
        backend.addr()
    ));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, to) = (Arc::clone(&stop), adit.addr("web"));
            std::thread::spawn(move || {
                let mut client = Raw::connect(to);
                let (mut served, mut refused) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    client.send(GET);
                    let head = client.answer().0;
                    match &head[9..12] {
                        "200" => served += 1,
                        "503" => refused += 1,
                        _ => panic!("{head}"),
                    }
                    pass(Duration::from_millis(5));
                }
                (served, refused)
            })
        })
        .collect();
    pass(Duration::from_secs(4));
    stop.store(true, Ordering::Relaxed);
    let counts = clients.into_iter().map(|client| client.join().unwrap());
    let (served, refused) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(
        served >= 100 && refused >= 100,
        "{served} served, {refused} refused"
    );
    assert!(
        most.load(Ordering::SeqCst) <= ROOM,
        "the backend had {most:?} at once"
    );
    // Nothing of it is left.
    let mut client = Raw::connect(adit.addr("web"));
    for _ in 0..20 {
        client.send(GET);
        assert!(client.answer().0.starts_with("HTTP/1.1 200"));
    }
    eventually("no request is counted any more", || {
        (metric(&site, &adit, &["adit_requests_active "]) < 0.5).then_some(())
    });
    adit.stop();
}
