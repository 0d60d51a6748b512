//! Names in TLS and in requests: which of them go together, and which function reads them.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, mpsc};

use adit_bench::Kind;
use http::Request;

use crate::house;
use crate::support::backend::Backend;
use crate::support::h2client::run;
use crate::support::origin;
use crate::support::raw::Raw;
use crate::support::site::Site;

/// Hosts of the matrix and what stands for their TLS policy; `None` is passed through.
const HOSTS: [(&str, Option<&str>); 6] = [
    ("one.example.test", Some("usual")),
    ("two.example.test", Some("usual")),
    ("new.example.test", Some("1.3")),
    ("newer.example.test", Some("1.3")),
    ("far.c1.example.test", Some("usual")),
    ("own.example.test", None),
];

/// What a request for `host` gets on a connection for `name`, both terminated.
fn model(name: &str, host: &str) -> u16 {
    let policy = |wanted: &str| HOSTS.iter().find(|(host, _)| *host == wanted);
    match (policy(name), policy(host)) {
        (Some((_, Some(mine))), Some((_, Some(theirs)))) if mine == theirs => 200,
        _ => 421,
    }
}

/// Every name of a handshake against every host of a request, over HTTP/1.1, HTTP/2 and TLS 1.2.
///
/// Acceptance: 25
#[test]
fn a_request_is_served_where_its_handshake_would_have_been_the_same() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let mut routes = String::from("routes:\n");
    for (host, policy) in HOSTS {
        routes += &match policy {
            None => format!(
                "- {{host: {host}, tls: passthrough, backends: [\"{}\"]}}\n",
                own.addr()
            ),
            Some("1.3") => format!(
                "- {{host: {host}, tls: {{minVersion: \"1.3\"}}, backends: [\"http://{}\"]}}\n",
                one.addr()
            ),
            Some(_) => format!(
                "- {{host: {host}, backends: [\"http://{}\"]}}\n",
                one.addr()
            ),
        };
    }
    let adit = site.run(&routes);
    let to = adit.addr("webs");
    let asked = HOSTS
        .iter()
        .map(|(host, _)| *host)
        .chain(["gone.example.test", "example.org"]);
    let asked: Vec<&str> = asked.collect();
    for (name, policy) in HOSTS.iter().filter(|(_, policy)| policy.is_some()) {
        for host in &asked {
            let mut client = site.raw_tls(to, name);
            client.send(format!(
                "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            ));
            let answer = client.rest();
            let status: u16 = answer[9..12].parse().unwrap();
            let expected = model(name, host);
            // A host that is unknown may also be said to be.
            let unknown = HOSTS.iter().all(|(known, _)| known != host) && status == 404;
            assert!(status == expected || unknown, "{name} {host}: {answer}");
        }
        run(async {
            let mut h2 = site.h2(to, name).await;
            for host in &asked {
                let status = h2.get(&format!("https://{host}/")).await.unwrap().status();
                let unknown = HOSTS.iter().all(|(known, _)| known != host) && status == 404;
                assert!(
                    status == model(name, host) || unknown,
                    "{name} {host} over HTTP/2: {status}"
                );
            }
        });
        // An older handshake is of a policy that allows it, or there is none.
        let mut old = (*site.tls(&["http/1.1"])).clone();
        old = {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut roots = rustls::RootCertStore::empty();
            let ca = fs::read(&site.ca).unwrap();
            use rustls::pki_types::pem::PemObject;
            roots
                .add(rustls::pki_types::CertificateDer::from_pem_slice(&ca).unwrap())
                .unwrap();
            let mut made = rustls::ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS12])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            made.alpn_protocols.clone_from(&old.alpn_protocols);
            made
        };
        let handshake = Raw::tls(to, name, Arc::new(old));
        assert_eq!(
            handshake.is_ok(),
            *policy == Some("usual"),
            "{name} with TLS 1.2"
        );
    }
}

/// Paths that some backends read in another way, on a host that has one route: they arrive as they
/// were sent.
///
/// Acceptance: 15
#[test]
fn a_host_with_one_route_passes_paths_as_they_are() {
    let site = Site::new();
    let (tell, told) = mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        while let Some(head) = client.try_head() {
            let line = head.lines().next().unwrap_or_default().to_owned();
            let _ = tell.send(line);
            let _ = client.try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        backend.addr()
    ));
    let paths = [
        "/a%2Fb",
        "/a%2fb",
        "//a//b",
        "/a//",
        "/.well-known/x",
        "/a/./b",
        "/a/x/../b",
        "/a/..b",
        "/%61",
        "/a;v=1/b;w",
        "/a%5Cb",
        "/a/%2e%2e/b",
        "/%252f",
        "/@scope%2fpkg/-/pkg-1.0.tgz",
        "/{x}|^\"",
        "/a?b=//../%2f%zz\\",
    ];
    for path in paths {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n"
        ));
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert_eq!(told.recv().unwrap(), format!("GET {path} HTTP/1.1"));
    }
    // What climbs above the root is refused even here.
    for path in ["/..", "/a/../../b", "/%2e%2e/x"] {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n"
        ));
        assert!(client.rest().starts_with("HTTP/1.1 400"), "{path}");
    }
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        for path in paths
            .iter()
            .filter(|path| !path.contains(['"', '{', '^', '\\']))
        {
            let url = format!("https://www.example.test{path}");
            let request = Request::get(&url).body(()).unwrap();
            let answer = h2.send(request, bytes::Bytes::new()).await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(told.recv().unwrap(), format!("GET {path} HTTP/1.1"));
        }
    });
}

/// Everything that reads a name of a host, with what for: a new reader is put on this list by
/// somebody who has thought about it.
const READERS: &[(&str, &str)] = &[
    ("proxy/route/src/host.rs", "the function, and patterns"),
    ("proxy/src/h1/head.rs", "Host and absolute targets"),
    ("proxy/src/h2/accept.rs", ":authority and host"),
    ("proxy/src/tls/hello/mod.rs", "SNI"),
    (
        "proxy/src/policy/traffic/mirror.rs",
        "the host that copies are sent to",
    ),
    ("proxy/src/trace/mod.rs", "the collector of spans"),
    ("src/config/scalar/server.rs", "servers that are asked"),
    (
        "proxy/src/tls/client.rs",
        "names of backends that are verified",
    ),
    (
        "proxy/src/http/headers.rs",
        "hosts that a trusted proxy tells",
    ),
    (
        "src/admin/gate.rs",
        "names of this machine and of admin requests",
    ),
    ("src/config/scalar/mod.rs", "hosts of the file"),
    ("src/config/scalar/backend.rs", "backends of the file"),
    ("src/commands/explain/url.rs", "URLs that are asked about"),
    ("proxy/src/tls/certificate.rs", "names of certificates"),
    ("proxy/route/src/policy/cors.rs", "origins of scripts"),
    (
        "proxy/src/policy/passage.rs",
        "the host that a trusted proxy tells, in redirects",
    ),
    ("proxy/src/policy/serve.rs", "hosts for backends"),
    ("fuzz/src/host.rs", "the function against a plain reader"),
];

/// Names are canonical by one function; what else turns text to lower case does not read hosts.
///
/// Acceptance: 17
#[test]
fn names_of_hosts_are_read_by_one_function() {
    let mut callers = BTreeSet::new();
    for path in house::files(".rs") {
        let name = path.strip_prefix(house::root()).unwrap();
        let name = name.to_string_lossy().into_owned();
        let test =
            name.starts_with("tests/") || name.contains("/tests") || name.ends_with("tests.rs");
        if test {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let product = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        if product.contains("CanonicalHost::parse") {
            callers.insert(name);
        }
    }
    let known: BTreeSet<String> = READERS.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(callers, known);
}
