//! What is accepted from backends, and what they get to see.

use std::net::SocketAddr;

use adit_route::{Address, BackendTls, DnsTarget, Family};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, Error, ServerConfig};

use super::server::identity;
use super::*;

#[test]
fn a_backend_must_be_who_the_route_says() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let backend = ours.issue(&["backend.test", "192.0.2.9"]);
    let expired = ours.issue_with(&["backend.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let bundle = |authority: &Authority| Some(Arc::from(authority.pem().as_bytes()));
    let trusting = BackendTls {
        ca_pem: bundle(&ours),
        ..BackendTls::default()
    };
    let named = BackendTls {
        server_name: Some("backend.test".into()),
        ..trusting.clone()
    };
    let insecure = BackendTls {
        insecure: true,
        ..BackendTls::default()
    };
    let elsewhere = BackendTls {
        ca_pem: bundle(&theirs),
        ..BackendTls::default()
    };
    let (name, address) = (
        dns("backend.test"),
        Address::Socket("192.0.2.9:443".parse().unwrap()),
    );
    let (unknown, misnamed, outdated): (Fault, Fault, Fault) =
        (is_unknown, is_misnamed, is_outdated);
    for (case, tls, at, shown, fault) in [
        ("by name", &trusting, &name, &backend, None),
        (
            "with a trailing dot",
            &trusting,
            &dns("Backend.test."),
            &backend,
            None,
        ),
        ("by address", &trusting, &address, &backend, None),
        (
            "by the configured name",
            &named,
            &dns("other.test"),
            &backend,
            None,
        ),
        (
            "wrong name",
            &trusting,
            &dns("other.test"),
            &backend,
            Some(misnamed),
        ),
        (
            "wrong address",
            &trusting,
            &socket("192.0.2.10:443"),
            &backend,
            Some(misnamed),
        ),
        (
            "wrong authority",
            &elsewhere,
            &name,
            &backend,
            Some(unknown),
        ),
        (
            "system's authorities",
            &BackendTls::default(),
            &name,
            &backend,
            Some(unknown),
        ),
        ("expired", &trusting, &name, &expired, Some(outdated)),
        (
            "insecure, wrong name",
            &insecure,
            &dns("other.test"),
            &backend,
            None,
        ),
        ("insecure, expired", &insecure, &name, &expired, None),
        ("insecure, version 1", &insecure, &name, &version_1(), None),
    ] {
        let connector = BackendConnector::new(tls, &[]).unwrap();
        let asked = connector.server_name(at).unwrap();
        let server = plain_server(shown);
        let found = connect(connector.config(), &asked.to_str(), &server);
        match (found, fault) {
            (Ok(_), None) => {}
            (Err(Refused::ByClient(Error::InvalidCertificate(found))), Some(expected)) => {
                assert!(expected(&found), "{case}: {found:?}");
            }
            (found, _) => panic!("{case}: {found:?}"),
        }
    }
}

#[test]
fn even_an_unverified_backend_must_hold_its_key() {
    let authority = Authority::new("ca");
    let insecure = BackendTls {
        insecure: true,
        ..BackendTls::default()
    };
    let connector = BackendConnector::new(&insecure, &[]).unwrap();
    let stolen = rustls::sign::CertifiedKey::new(
        identity(&authority.issue(&["a.test"])).cert,
        identity(&authority.issue(&["a.test"])).key,
    );
    let resolver = rustls::sign::SingleCertAndKey::from(stolen);
    let server = ServerConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    let refused = connect(connector.config(), "a.test", &Arc::new(server)).unwrap_err();
    assert!(
        matches!(refused, Refused::ByClient(Error::InvalidCertificate(_))),
        "{refused:?}"
    );
}

#[test]
fn a_device_that_signed_its_own_certificate_can_be_listed() {
    let own = |hosts: &[&str], until| {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        Pair {
            chain: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    };
    let (device, old) = (own(&["nas.test"], 2090), own(&["nas.test"], 2020));
    let twin = own(&["nas.test"], 2090);
    for (case, listed, shown, name, accepted) in [
        ("itself", &device, &device, "nas.test", true),
        ("under another name", &device, &device, "other.test", false),
        ("a twin", &device, &twin, "nas.test", false),
        ("expired", &old, &old, "nas.test", false),
    ] {
        let ca_pem = Some(Arc::from(listed.chain.as_bytes()));
        let tls = BackendTls {
            ca_pem,
            ..BackendTls::default()
        };
        let connector = BackendConnector::new(&tls, &[]).unwrap();
        let found = connect(connector.config(), name, &plain_server(shown));
        assert_eq!(found.is_ok(), accepted, "{case}: {found:?}");
    }
}

#[test]
fn a_backend_sees_our_certificate_and_our_protocols() {
    let authority = Authority::new("ca");
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider()))
            .build()
            .unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity(
            &authority.issue(&["a.test"]),
        ))));
    server.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let server = Arc::new(server);

    let us = authority.issue_client("adit");
    let ca_pem: Option<Arc<[u8]>> = Some(authority.pem().as_bytes().into());
    let with_identity = BackendTls {
        ca_pem: ca_pem.clone(),
        identity_pem: Some((us.chain.as_bytes().into(), us.key.as_bytes().into())),
        ..BackendTls::default()
    };
    let connector = BackendConnector::new(&with_identity, &[b"h2"]).unwrap();
    let connected = connect(connector.config(), "a.test", &server).unwrap();
    assert_eq!(connected.client.alpn_protocol(), Some(b"h2".as_slice()));
    assert_eq!(
        connected.server.peer_certificates().unwrap(),
        identity(&us).cert
    );
    let again = connect(connector.config(), "a.test", &server).unwrap();
    assert_eq!(
        again.client.handshake_kind(),
        Some(rustls::HandshakeKind::Resumed)
    );

    let anonymous = BackendTls {
        ca_pem,
        ..BackendTls::default()
    };
    let connector = BackendConnector::new(&anonymous, &[b"h2"]).unwrap();
    assert!(connect(connector.config(), "a.test", &server).is_err());
}

#[test]
fn the_verified_name_is_the_routes() {
    let plain = BackendConnector::new(&BackendTls::default(), &[]).unwrap();
    let srv = |name: &str| match dns(name) {
        Address::Dns(target) => Address::Dns(DnsTarget {
            srv: true,
            ..target
        }),
        other => other,
    };
    for (address, expected) in [
        (dns("a.test"), Some("a.test")),
        (dns("A.Test."), Some("a.test")),
        (srv("_https._tcp.a.test"), Some("a.test")),
        (socket("192.0.2.1:1"), Some("192.0.2.1")),
        (socket("[2001:db8::1]:1"), Some("2001:db8::1")),
        (Address::Unix("/run/x".into()), None),
        (dns("a b.test"), None),
        (dns(""), None),
    ] {
        let found = plain.server_name(&address).ok();
        assert_eq!(
            found.as_ref().map(|name| name.to_str()).as_deref(),
            expected,
            "{address:?}"
        );
    }
    for (configured, expected) in [
        ("b.test", Some("b.test")),
        ("192.0.2.2", Some("192.0.2.2")),
        ("2001:db8::2", Some("2001:db8::2")),
        ("[2001:db8::2]", Some("2001:db8::2")),
        ("b\0.test", None),
        ("*.test", None),
    ] {
        let tls = BackendTls {
            server_name: Some(configured.into()),
            ..BackendTls::default()
        };
        let found = BackendConnector::new(&tls, &[])
            .and_then(|connector| connector.server_name(&Address::Unix("/run/x".into())));
        let found = found.ok().map(|name| name.to_str().into_owned());
        assert_eq!(found.as_deref(), expected, "{configured:?}");
    }
}

#[test]
fn settings_that_cannot_be_used_are_refused_by_kind() {
    let authority = Authority::new("ca");
    let (one, other) = (
        authority.issue_client("one"),
        authority.issue_client("other"),
    );
    let bytes = |text: &str| -> Arc<[u8]> { text.as_bytes().into() };
    let with_ca = |pem: &str| BackendTls {
        ca_pem: Some(bytes(pem)),
        ..BackendTls::default()
    };
    let with_identity = |chain: &str, key: &str| BackendTls {
        identity_pem: Some((bytes(chain), bytes(key))),
        ..BackendTls::default()
    };
    type Expected = fn(&TlsError) -> bool;
    let cases: [(BackendTls, Expected); 6] = [
        (with_ca(""), |error| matches!(error, TlsError::NoAuthority)),
        (with_ca("-----BEGIN CERTIFICATE-----\n"), |error| {
            matches!(error, TlsError::AuthorityPem(_))
        }),
        (
            with_ca("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n"),
            |error| matches!(error, TlsError::Authority { position: 1, .. }),
        ),
        (with_identity("", &one.key), |error| {
            matches!(error, TlsError::IdentityPem(_))
        }),
        (with_identity(&one.chain, ""), |error| {
            matches!(error, TlsError::IdentityPem(_))
        }),
        (with_identity(&one.chain, &other.key), |error| {
            matches!(error, TlsError::Identity(_))
        }),
    ];
    for (tls, expected) in cases {
        let error = BackendConnector::new(&tls, &[]).unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
}

type Fault = fn(&CertificateError) -> bool;

fn is_unknown(error: &CertificateError) -> bool {
    matches!(error, CertificateError::UnknownIssuer)
}

fn is_misnamed(error: &CertificateError) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(error, NotValidForName | NotValidForNameContext { .. })
}

fn is_outdated(error: &CertificateError) -> bool {
    matches!(
        error,
        CertificateError::Expired | CertificateError::ExpiredContext { .. }
    )
}

fn plain_server(pair: &Pair) -> Arc<ServerConfig> {
    let resolver = rustls::sign::SingleCertAndKey::from(identity(pair));
    Arc::new(
        ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver)),
    )
}

fn dns(name: &str) -> Address {
    Address::Dns(DnsTarget {
        name: name.into(),
        port: 443,
        family: Family::Any,
        srv: false,
    })
}

fn socket(address: &str) -> Address {
    Address::Socket(address.parse::<SocketAddr>().unwrap())
}
