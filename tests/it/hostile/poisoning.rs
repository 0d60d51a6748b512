//! Nobody gets what belongs to another: answers, connections of backends, and what is smuggled.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::backend::Backend;
use crate::support::raw::Raw;
use crate::support::site::Site;

/// The id that a request head carries.
fn id_of(head: &str) -> Option<&str> {
    let line = head.lines().find_map(|line| line.strip_prefix("x-id: "))?;
    Some(line.trim())
}

fn answer(id: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{id}",
        id.len()
    )
}

/// Answers each request by its id, and now and then does what desynchronises others: a second
/// answer, an interim answer too many, a body where none may be, a body that is too short or too
/// long, silence. What it does not do is to answer before it is asked, at a moment of its choice:
/// such a backend can give everybody's answers to everybody, and no proxy can tell.
fn hostile(number: usize, mut client: Raw) {
    let mut random = fastrand::Rng::with_seed(number as u64);
    while let Some(head) = client.try_head() {
        let id = id_of(&head).unwrap_or("none").to_owned();
        let good = answer(&id);
        let sent = match random.u8(..24) {
            0 => format!("{good}{}", answer("extra")),
            1 => format!("{good}\r\n"),
            2 => format!("HTTP/1.1 103 Early Hints\r\n\r\n{good}"),
            3 => format!("HTTP/1.1 204 No Content\r\n\r\n{}", answer("smuggled")),
            4 => format!(
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n{}",
                answer("smuggled")
            ),
            5 => format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{id}"),
            6 => format!("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{id}"),
            7 => format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{id}\r\n0\r\n\r\n{}",
                id.len(),
                answer("chunk")
            ),
            8 => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{}",
                answer("both")
            ),
            9 => format!(
                "HTTP/1.1 101 Switching Protocols\r\n\r\n{}",
                answer("switched")
            ),
            10 => String::new(),
            _ => good,
        };
        if client.try_send(sent.as_bytes()).is_err() || sent.is_empty() || sent.contains(" 900\r\n")
        {
            return;
        }
    }
}

/// Ten thousand requests with ids of their own through backends that do everything to mix up the
/// order of answers: an answer with a body of the wrong id never arrives.
///
/// Acceptance: 9, 10
#[test]
fn no_answer_ever_reaches_another_request() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 10_000 / CLIENTS;
    let site = Site::new();
    let backends: Vec<_> = (0..2).map(|_| Backend::start(hostile)).collect();
    let list: Vec<String> = backends
        .iter()
        .map(|backend| format!("\"http://{}\"", backend.addr()))
        .collect();
    let adit = site.run(&format!(
        "workers: 2\nroutes:\n- {{host: www.example.test, backends: [{}], outlier: {{consecutive: 0, minRequests: 1000000}}}}\n",
        list.join(", ")
    ));
    let (to, right) = (adit.addr("web"), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let right = Arc::clone(&right);
            thread::spawn(move || {
                let mut connection = Raw::connect(to);
                for number in 0..REQUESTS {
                    let id = format!("{client}-{number}-{:08x}", fastrand::u32(..));
                    let method = if number % 7 == 0 { "HEAD" } else { "GET" };
                    let request = format!(
                        "{method} /{id} HTTP/1.1\r\nHost: www.example.test\r\nX-Id: {id}\r\n\r\n"
                    );
                    if connection.try_send(request.as_bytes()).is_err() {
                        connection = Raw::connect(to);
                        continue;
                    }
                    match read_answer(&mut connection, method == "HEAD") {
                        Some(body) if body.is_empty() => {}
                        Some(body) => {
                            // Short bodies are the beginning of the right one.
                            assert!(id.starts_with(&body), "{id} got {body:?}");
                            right.fetch_add(usize::from(body == id), Ordering::Relaxed);
                        }
                        None => connection = Raw::connect(to),
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("a client got what was not its own");
    }
    let right = right.load(Ordering::Relaxed);
    assert!(right > CLIENTS * REQUESTS / 3, "{right} answers");
}

/// The body of a 200, nothing of another status, and `None` if the connection ended.
fn read_answer(connection: &mut Raw, bodiless: bool) -> Option<String> {
    loop {
        let head = connection.try_head()?;
        let status: u16 = head.get(9..12)?.parse().ok()?;
        if status < 200 {
            continue;
        }
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length
            .and_then(|length| length.trim().parse().ok())
            .unwrap_or(0);
        let chunked = lower.contains("transfer-encoding: chunked");
        let mut body = Vec::new();
        if chunked && !bodiless {
            loop {
                let size = connection.try_until("\r\n")?;
                let size = usize::from_str_radix(size.trim(), 16).ok()?;
                body.extend(connection.try_take(size)?);
                connection.try_until("\r\n")?;
                if size == 0 {
                    break;
                }
            }
        } else if !bodiless && status != 204 && status != 304 {
            body = connection.try_take(length)?;
        }
        if lower.contains("connection: close") {
            return None;
        }
        let ours = status == 200 && !bodiless;
        return Some(if ours {
            String::from_utf8(body).ok()?
        } else {
            String::new()
        });
    }
}

/// Reads a head from a TLS connection of a backend.
fn head_of(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// What arrived on each connection: the name in the handshake, then the path of each request.
type Arrivals = Arc<Mutex<HashMap<usize, (Option<String>, Vec<String>)>>>;

/// A TLS backend that notes which connection brought what.
fn noting(identity: &adit_bench::TlsIdentity, arrivals: &Arrivals) -> Backend {
    let chain = CertificateDer::pem_slice_iter(identity.certificates.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (config, arrivals) = (Arc::new(config), Arc::clone(arrivals));
    Backend::start(move |number, client| {
        let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(tls, client.into_tcp());
        while let Some(head) = head_of(&mut stream) {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let name = stream.conn.server_name().map(str::to_owned);
            let mut arrivals = arrivals.lock().unwrap();
            arrivals
                .entry(number)
                .or_insert((name, Vec::new()))
                .1
                .push(path);
            drop(arrivals);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    })
}

/// Three routes to one address that differ in what they demand of it.
///
/// Acceptance: 11
#[test]
fn connections_are_not_shared_between_settings() {
    let site = Site::new();
    let arrivals = Arrivals::default();
    let identity = site.pki.leaf(&["a.internal.test", "b.internal.test"]);
    let backend = noting(&identity, &arrivals);
    let ca = site.ca.display();
    let mut routes = String::from("routes:\n");
    for (path, settings) in [
        ("a", format!("serverName: a.internal.test, ca: \"{ca}\"")),
        ("b", format!("serverName: b.internal.test, ca: \"{ca}\"")),
        (
            "c",
            "serverName: a.internal.test, insecure: true".to_owned(),
        ),
    ] {
        let _ = writeln!(
            routes,
            "- {{host: {path}.example.test, backends: [\"https://{}\"], backendTls: {{{settings}}}}}",
            backend.addr()
        );
    }
    let adit = site.run(&format!("workers: 1\n{routes}"));
    for round in 0..30 {
        let host = ["a", "b", "c"][round % 3];
        let url = format!("http://{host}.example.test/{host}");
        site.curl(adit.addr("web")).get(&url).expect(200);
    }
    let arrivals = arrivals.lock().unwrap();
    let mut kinds = BTreeSet::new();
    for (name, paths) in arrivals.values() {
        let alike = paths.windows(2).all(|two| two[0] == two[1]);
        assert!(alike, "one connection served {paths:?}");
        let first = paths[0].as_str();
        let expected = if first == "/b" {
            "b.internal.test"
        } else {
            "a.internal.test"
        };
        assert_eq!(name.as_deref(), Some(expected));
        kinds.insert(first);
    }
    assert_eq!(kinds.len(), 3);
    // They are used again where they may be: not one connection for each request.
    assert!(arrivals.len() < 30, "{} connections", arrivals.len());
}
