//! What a client of a host meets: certificate, version, group, protocol, client certificate.

use adit_route::{CanonicalHost, ClientAuth, HostPattern, TlsVersion};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, Error, NamedGroup, PeerIncompatible, ProtocolVersion};

use super::*;

/// Acceptance: 23
#[test]
fn hosts_get_their_own_certificate_or_nothing() {
    let authority = Authority::new("ca");
    let set = set([
        &authority.issue(&["a.test"]),
        &authority.issue(&["*.b.test"]),
    ]);
    let fallback = authority.issue(&["fallback.test"]).certificate().unwrap();
    let tls = server_tls();
    for (pattern, sni, expected) in [
        ("a.test", Some("a.test"), Some(0)),
        ("a.test", Some("x.b.test"), None),
        ("x.b.test", Some("x.b.test"), Some(1)),
        ("none.test", Some("none.test"), None),
        ("*.b.test", Some("y.b.test"), Some(1)),
        ("*.b.test", Some("a.test"), None),
        ("**.test", Some("a.test"), Some(0)),
        ("**.test", Some("z.y.b.test"), None),
        ("*", Some("y.b.test"), Some(1)),
        ("*", Some("fallback.test"), None),
        ("*", None, None),
    ] {
        let pattern = HostPattern::parse(pattern).unwrap();
        let sni = sni.map(host);
        let plain = tls.host(&policy(), &pattern, &set, None).unwrap();
        let selected = plain.select(sni.as_ref());
        let expected = expected.and_then(|index| set.iter().nth(index));
        assert_eq!(
            selected
                .as_ref()
                .map(|selected| Arc::as_ptr(&selected.certificate)),
            expected.map(Arc::as_ptr),
            "{pattern} {sni:?}"
        );
        if let (Some(selected), Some(sni)) = (selected, sni) {
            connect(
                &Arc::new(authority.client()),
                sni.as_str(),
                &selected.config,
            )
            .unwrap();
        }
        let with_default = tls
            .host(&policy(), &pattern, &set, Some(&fallback))
            .unwrap();
        assert!(Arc::ptr_eq(
            &with_default.select(None).unwrap().certificate,
            &fallback
        ));
        assert!(with_default.select(Some(&host("fallback.test"))).is_none());
    }
}

#[test]
fn the_lowest_version_is_the_hosts_own() {
    use rustls::version::{TLS12, TLS13};

    let authority = Authority::new("ca");
    let from = |version| Arc::new(authority.client_of(&[version]));
    for (min_version, client, expected) in [
        (
            TlsVersion::V1_2,
            from(&TLS12),
            Some(ProtocolVersion::TLSv1_2),
        ),
        (
            TlsVersion::V1_2,
            from(&TLS13),
            Some(ProtocolVersion::TLSv1_3),
        ),
        (
            TlsVersion::V1_2,
            Arc::new(authority.client()),
            Some(ProtocolVersion::TLSv1_3),
        ),
        (TlsVersion::V1_3, from(&TLS12), None),
        (
            TlsVersion::V1_3,
            from(&TLS13),
            Some(ProtocolVersion::TLSv1_3),
        ),
    ] {
        let policy = TlsPolicy {
            min_version,
            ..policy()
        };
        let config = termination(&authority, &policy)
            .select(Some(&host("a.test")))
            .unwrap()
            .config;
        let found = connect(&client, "a.test", &config);
        match expected {
            Some(version) => assert_eq!(found.unwrap().server.protocol_version(), Some(version)),
            None => assert_eq!(
                found.unwrap_err(),
                Refused::ByServer(PeerIncompatible::Tls12NotOfferedOrEnabled.into()),
            ),
        }
    }
}

#[test]
fn modern_clients_get_a_hybrid_group_and_old_ones_a_curve() {
    let authority = Authority::new("ca");
    let config = termination(&authority, &policy())
        .select(Some(&host("a.test")))
        .unwrap()
        .config;
    let groups = &provider().kx_groups;
    for (offered, expected) in [
        (0..4, NamedGroup::X25519MLKEM768),
        (1..4, NamedGroup::X25519),
        (2..4, NamedGroup::secp256r1),
        (3..4, NamedGroup::secp384r1),
    ] {
        let mut crypto = provider().as_ref().clone();
        crypto.kx_groups = groups.get(offered).unwrap().to_vec();
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(crypto))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connected = connect(&Arc::new(client), "a.test", &config).unwrap();
        let group = connected.server.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), expected);
    }
}

#[test]
fn the_servers_order_of_ciphers_counts() {
    let authority = Authority::new("ca");
    let config = termination(&authority, &policy())
        .select(Some(&host("a.test")))
        .unwrap()
        .config;
    let mut crypto = provider().as_ref().clone();
    crypto.cipher_suites.reverse();
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(crypto))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connected = connect(&Arc::new(client), "a.test", &config).unwrap();
    let suites = &provider().cipher_suites;
    let preferred = suites
        .iter()
        .map(rustls::SupportedCipherSuite::suite)
        .find(|suite| {
            matches!(
                suite,
                CipherSuite::TLS13_AES_128_GCM_SHA256 | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            )
        });
    let found = connected.server.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(Some(found), preferred);
}

#[test]
fn protocols_are_chosen_by_us_or_refused() {
    let authority = Authority::new("ca");
    let http = termination(&authority, &policy());
    let bytes = termination(
        &authority,
        &TlsPolicy {
            alpn: Alpn::Ignore,
            ..policy()
        },
    );
    for (terminated, offered, expected) in [
        (&http, vec!["http/1.1", "h2"], Some(Some("h2"))),
        (&http, vec!["http/1.0", "http/1.1"], Some(Some("http/1.1"))),
        (&http, vec![], Some(None)),
        (&http, vec!["imap"], None),
        (&http, vec!["acme-tls/1"], None),
        (&bytes, vec!["imap"], Some(None)),
    ] {
        let mut client = authority.client();
        client.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let config = terminated.select(Some(&host("a.test"))).unwrap().config;
        match (connect(&Arc::new(client), "a.test", &config), expected) {
            (Ok(found), Some(expected)) => {
                assert_eq!(
                    found.server.alpn_protocol(),
                    expected.map(str::as_bytes),
                    "{offered:?}"
                );
            }
            (Err(found), None) => {
                assert_eq!(
                    found,
                    Refused::ByServer(Error::NoApplicationProtocol),
                    "{offered:?}"
                );
            }
            (found, expected) => panic!("{offered:?}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn a_client_certificate_is_judged_after_the_handshake() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let good = ours.issue_client("Zo\u{eb} #1");
    let server_only = ours.issue_with(&["a.test"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let expired = ours.issue_with(&[], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let future = ours.issue_with(&[], |params| {
        params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    });
    let subject = r"CN=Zo\C3\AB #1,O=Example\, Inc";
    let cases = [
        ("none", None, Ok(None)),
        ("good", Some(&good), Ok(Some(subject))),
        (
            "stranger's",
            Some(&theirs.issue_client("me")),
            Err(InvalidClient::UnknownIssuer),
        ),
        (
            "server's",
            Some(&server_only),
            Err(InvalidClient::WrongPurpose),
        ),
        ("expired", Some(&expired), Err(InvalidClient::Expired)),
        ("future", Some(&future), Err(InvalidClient::NotYetValid)),
        ("version 1", Some(&version_1()), Err(InvalidClient::Version)),
    ];
    for required in [true, false] {
        let terminated = termination(&ours, &with_clients(&ours, required));
        assert_eq!(terminated.requires_client(), required);
        let config = terminated.select(Some(&host("a.test"))).unwrap().config;
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for (name, shown, expected) in &cases {
                let client = client_showing(&ours, version, shown.map(identity));
                let connected = connect(&Arc::new(client), "a.test", &config).unwrap();
                let found = terminated.identify(connected.server.peer_certificates());
                match (found, expected) {
                    (ClientIdentity::None, Ok(None)) => {}
                    (ClientIdentity::Verified(client), Ok(Some(subject))) => {
                        assert_eq!(
                            (client.subject.as_str(), client.issuer.as_str()),
                            (*subject, "CN=ours")
                        );
                        let leaf = CertificateDer::from_pem_slice(good.chain.as_bytes()).unwrap();
                        assert_eq!(client.certificate, leaf);
                        assert!(!client.serial.is_empty());
                    }
                    (ClientIdentity::Invalid(found), Err(expected)) => assert_eq!(found, *expected),
                    (found, expected) => panic!("{name}: {found:?}, not {expected:?}"),
                }
            }
        }
    }
}

#[test]
fn a_client_must_hold_the_key_of_what_it_shows() {
    let authority = Authority::new("ca");
    let terminated = termination(&authority, &with_clients(&authority, false));
    let config = terminated.select(Some(&host("a.test"))).unwrap().config;
    let thief = identity(&authority.issue_client("thief")).key;
    for victim in [authority.issue_client("victim"), version_1()] {
        let stolen = CertifiedKey::new(identity(&victim).cert, Arc::clone(&thief));
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = client_showing(&authority, version, Some(stolen.clone()));
            let refused = connect(&Arc::new(client), "a.test", &config).unwrap_err();
            let bad = rustls::CertificateError::BadSignature;
            assert_eq!(refused, Refused::ByServer(Error::InvalidCertificate(bad)));
        }
    }
}

#[test]
fn clients_are_not_asked_where_no_certificate_is_wanted() {
    let authority = Authority::new("ca");
    let terminated = termination(&authority, &policy());
    let config = terminated.select(Some(&host("a.test"))).unwrap().config;
    let shown = identity(&authority.issue_client("me"));
    let client = client_showing(&authority, &rustls::version::TLS13, Some(shown));
    let connected = connect(&Arc::new(client), "a.test", &config).unwrap();
    assert!(connected.server.peer_certificates().is_none());
    assert_eq!(terminated.identify(None), ClientIdentity::None);
}

/// Acceptance: 24
#[test]
fn a_policy_that_cannot_be_read_opens_nothing() {
    let tls = server_tls();
    let good = Authority::new("ca").pem();
    let broken = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
    for bundle in [
        String::new(),
        "text".to_owned(),
        broken.to_owned(),
        good.clone() + broken,
    ] {
        let auth = ClientAuth {
            ca_pem: bundle.as_bytes().into(),
            required: false,
        };
        let policy = TlsPolicy {
            client_auth: Some(auth),
            ..policy()
        };
        let host = HostPattern::parse("a.test").unwrap();
        let refused = tls.host(&policy, &host, &Arc::default(), None).unwrap_err();
        assert!(!refused.to_string().is_empty(), "{bundle}");
    }
}

#[test]
fn policies_are_one_where_they_say_the_same() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let policies = [
        policy(),
        TlsPolicy {
            min_version: TlsVersion::V1_3,
            ..policy()
        },
        TlsPolicy {
            alpn: Alpn::Ignore,
            ..policy()
        },
        with_clients(&ours, false),
        with_clients(&ours, true),
        with_clients(&theirs, true),
    ];
    for (index, one) in policies.iter().enumerate() {
        for (other_index, other) in policies.iter().enumerate() {
            assert_eq!(one.id() == other.id(), index == other_index);
        }
        assert_eq!(one.id(), one.clone().id());
    }
}

#[test]
fn a_host_inherits_what_it_does_not_say() {
    use crate::blueprint::TlsDefaults;

    let own = ClientAuth {
        ca_pem: b"own".as_slice().into(),
        required: true,
    };
    let general = ClientAuth {
        ca_pem: b"general".as_slice().into(),
        required: false,
    };
    let defaults = TlsDefaults {
        min_version: Some(TlsVersion::V1_3),
        client_auth: Some(general.clone()),
        ..TlsDefaults::default()
    };
    let bare = TlsPolicy::resolve(None, None, &TlsDefaults::default(), Alpn::Http);
    assert_eq!(bare, policy());
    let inherited = TlsPolicy::resolve(None, None, &defaults, Alpn::Http);
    assert_eq!(
        (inherited.min_version, inherited.client_auth),
        (TlsVersion::V1_3, Some(general))
    );
    let stated = TlsPolicy::resolve(Some(TlsVersion::V1_2), Some(&own), &defaults, Alpn::Http);
    assert_eq!(
        (stated.min_version, stated.client_auth),
        (TlsVersion::V1_2, Some(own))
    );
}

#[test]
fn a_client_that_trusts_another_authority_says_so() {
    let authority = Authority::new("ca");
    let config = termination(&authority, &policy())
        .select(Some(&host("a.test")))
        .unwrap()
        .config;
    let client = Arc::new(Authority::new("other").client());
    let refused = connect(&client, "a.test", &config).unwrap_err();
    assert!(matches!(
        refused,
        Refused::ByClient(Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer
        ))
    ));
}

pub(super) fn policy() -> TlsPolicy {
    TlsPolicy {
        min_version: TlsVersion::V1_2,
        client_auth: None,
        alpn: Alpn::Http,
    }
}

pub(super) fn with_clients(authority: &Authority, required: bool) -> TlsPolicy {
    let auth = ClientAuth {
        ca_pem: authority.pem().as_bytes().into(),
        required,
    };
    TlsPolicy {
        client_auth: Some(auth),
        ..policy()
    }
}

pub(super) fn host(name: &str) -> CanonicalHost {
    CanonicalHost::parse(name.as_bytes()).unwrap()
}

pub(super) fn set<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> Arc<CertificateSet> {
    let certificates = pairs.into_iter().map(|pair| pair.certificate().unwrap());
    Arc::new(CertificateSet::new(certificates))
}

pub(super) fn server_tls() -> ServerTls {
    ServerTls::new(Arc::new(
        TicketSecrets::generate(SystemTime::now()).unwrap(),
    ))
}

fn termination(authority: &Authority, policy: &TlsPolicy) -> Termination {
    let certificates = set([&authority.issue(&["a.test"])]);
    let pattern = HostPattern::parse("a.test").unwrap();
    server_tls()
        .host(policy, &pattern, &certificates, None)
        .unwrap()
}

pub(super) fn identity(pair: &Pair) -> CertifiedKey {
    let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes())
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    // Unlike `from_der`, takes certificates that path validation cannot read.
    CertifiedKey::new(chain, any_supported_type(&key).unwrap())
}

pub(super) fn client_showing(
    authority: &Authority,
    version: &'static rustls::SupportedProtocolVersion,
    shown: Option<CertifiedKey>,
) -> ClientConfig {
    let mut config = authority.client_of(&[version]);
    if let Some(shown) = shown {
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(shown));
    }
    config
}
