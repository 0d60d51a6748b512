//! Who may come back without a full handshake, and for how long.

use std::sync::Mutex;
use std::time::Duration;

use adit_route::{HostPattern, TlsVersion};
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::server::ProducesTickets;
use rustls::{HandshakeKind, NamedGroup};

use super::server::{client_showing, host, identity, policy, server_tls, set, with_clients};
use super::*;

/// Acceptance: 26
#[test]
fn a_session_is_resumed_where_it_was_made_and_nowhere_else() {
    let authority = Authority::new("ca");
    let certificates = set([&authority.issue(&["a.test", "b.test", "*.w.test"])]);
    let tls = server_tls();
    let other_secrets = server_tls();
    let stricter = TlsPolicy {
        alpn: Alpn::Ignore,
        ..policy()
    };
    let raised = TlsPolicy {
        min_version: TlsVersion::V1_3,
        ..policy()
    };
    let clients = with_clients(&authority, false);
    let first = ("a.test", "a.test", &tls, policy());
    for (name, at_first, then, resumed) in [
        ("same host", first.clone(), first.clone(), true),
        (
            "other host",
            first.clone(),
            ("b.test", "b.test", &tls, policy()),
            false,
        ),
        (
            "other policy",
            first.clone(),
            ("a.test", "a.test", &tls, stricter),
            false,
        ),
        (
            "raised version",
            first.clone(),
            ("a.test", "a.test", &tls, raised),
            false,
        ),
        (
            "now with client certificates",
            first.clone(),
            ("a.test", "a.test", &tls, clients.clone()),
            false,
        ),
        (
            "client certificates",
            ("a.test", "a.test", &tls, clients.clone()),
            ("a.test", "a.test", &tls, clients),
            false,
        ),
        (
            "other secrets",
            first.clone(),
            ("a.test", "a.test", &other_secrets, policy()),
            false,
        ),
        (
            "pattern, same name",
            ("*.w.test", "x.w.test", &tls, policy()),
            ("*.w.test", "x.w.test", &tls, policy()),
            true,
        ),
        (
            "pattern, other name",
            ("*.w.test", "x.w.test", &tls, policy()),
            ("*.w.test", "y.w.test", &tls, policy()),
            false,
        ),
        (
            "route changed to a pattern",
            first,
            ("*", "a.test", &tls, policy()),
            true,
        ),
    ] {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let shown = identity(&authority.issue_client("me"));
            let mut client = client_showing(&authority, version, Some(shown));
            client.resumption = Resumption::store(Arc::new(OneForAll::default()));
            let client = Arc::new(client);
            let mut kinds = Vec::new();
            for (pattern, sni, tls, policy) in [&at_first, &then] {
                let pattern = HostPattern::parse(pattern).unwrap();
                let terminated = tls.host(policy, &pattern, &certificates, None).unwrap();
                let config = terminated.select(Some(&host(sni))).unwrap().config;
                match connect(&client, sni, &config) {
                    Ok(connected) => kinds.push(connected.server.handshake_kind()),
                    Err(_) => kinds.push(None),
                }
            }
            assert_eq!(kinds.first(), Some(&Some(HandshakeKind::Full)), "{name}");
            let came_back = kinds.get(1) == Some(&Some(HandshakeKind::Resumed));
            assert_eq!(
                came_back, resumed,
                "{name} {:?}: {kinds:?}",
                version.version
            );
        }
    }
}

/// Acceptance: 26
#[test]
fn keys_are_derived_for_each_host_and_policy() {
    let secrets = Arc::new(TicketSecrets::generate(SystemTime::now()).unwrap());
    let ticket = secrets
        .for_host(&[1; 32], "a.test")
        .encrypt(b"session")
        .unwrap();
    for (policy, host, opens) in [
        ([1; 32], "a.test", true),
        ([1; 32], "b.test", false),
        ([1; 32], "", false),
        ([2; 32], "a.test", false),
    ] {
        let found = secrets.for_host(&policy, host).decrypt(&ticket);
        assert_eq!(found.as_deref() == Some(b"session"), opens, "{host}");
    }
}

#[test]
fn a_ticket_that_was_touched_is_nothing() {
    let secrets = Arc::new(TicketSecrets::generate(SystemTime::now()).unwrap());
    let tickets = secrets.for_host(&[1; 32], "a.test");
    let ticket = tickets.encrypt(b"session").unwrap();
    assert_ne!(ticket, tickets.encrypt(b"session").unwrap());
    for index in 0..ticket.len() {
        let mut touched = ticket.clone();
        touched[index] ^= 1;
        assert_eq!(tickets.decrypt(&touched), None, "byte {index}");
        assert_eq!(tickets.decrypt(&ticket[..index]), None, "cut to {index}");
    }
    assert_eq!(tickets.decrypt(&[]), None);
    assert_eq!(tickets.decrypt(&[7; 16 * 1024]), None);
}

/// Acceptance: 26
#[test]
fn tickets_live_one_to_two_spans() {
    let start = SystemTime::now();
    let hour = |hours| start + Duration::from_hours(hours);
    let secrets = Arc::new(TicketSecrets::generate(start).unwrap());
    let tickets = secrets.for_host(&[1; 32], "a.test");
    let early = tickets.encrypt(b"early").unwrap();
    assert_eq!(secrets.next_rotation(), hour(12));

    assert!(!secrets.rotate(hour(11)).unwrap());
    assert!(secrets.rotate(hour(13)).unwrap());
    assert!(!secrets.rotate(hour(23)).unwrap(), "spans do not creep");
    let late = tickets.encrypt(b"late").unwrap();
    assert!(tickets.decrypt(&early).is_some());

    assert!(secrets.rotate(hour(24)).unwrap());
    assert!(tickets.decrypt(&early).is_none());
    assert!(tickets.decrypt(&late).is_some());

    assert!(secrets.rotate(hour(1000)).unwrap());
    assert!(tickets.decrypt(&late).is_none());
    assert!(!secrets.rotate(hour(1000)).unwrap());
}

/// Acceptance: R-18
#[test]
fn a_clock_that_jumps_back_does_not_freeze_the_keys() {
    let now = SystemTime::now();
    let ahead = now + Duration::from_hours(1000);
    let secrets = Arc::new(TicketSecrets::generate(ahead).unwrap());
    let tickets = secrets.for_host(&[1; 32], "a.test");
    let ticket = tickets.encrypt(b"session").unwrap();
    assert!(!secrets.rotate(ahead - Duration::from_secs(5)).unwrap());
    assert!(tickets.decrypt(&ticket).is_some());
    assert!(secrets.rotate(now).unwrap());
    assert!(tickets.decrypt(&ticket).is_none());
    assert_eq!(secrets.next_rotation(), now + ROTATION);
}

/// Acceptance: 26
#[test]
fn a_successor_opens_the_tickets_of_its_predecessor() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let hour = |hours| start + Duration::from_hours(hours);
    let old = Arc::new(TicketSecrets::generate(start).unwrap());
    let ticket = old
        .for_host(&[1; 32], "a.test")
        .encrypt(b"session")
        .unwrap();
    let opens = |secrets: TicketSecrets| {
        Arc::new(secrets)
            .for_host(&[1; 32], "a.test")
            .decrypt(&ticket)
            .is_some()
    };
    let exported = old.export();
    for (after, accepted) in [
        (0, true),
        (11, true),
        (13, true),
        (25, false),
        (10_000, false),
    ] {
        let new = TicketSecrets::import(&exported, hour(after)).unwrap();
        assert_eq!(opens(new), accepted, "after {after} hours");
    }
    // A replica that turned a little earlier already seals with what is next for us.
    let ahead = Arc::new(TicketSecrets::import(&exported, hour(12)).unwrap());
    let sealed = ahead
        .for_host(&[1; 32], "a.test")
        .encrypt(b"session")
        .unwrap();
    assert!(old.for_host(&[1; 32], "a.test").decrypt(&sealed).is_some());
}

#[test]
fn keys_in_another_form_are_refused() {
    let now = SystemTime::now();
    let exported = TicketSecrets::generate(now).unwrap().export();
    let mut longer = exported.to_vec();
    longer.push(0);
    let mut newer = exported.to_vec();
    newer[0] = 99;
    for wrong in [
        &[],
        &exported[..1],
        &exported[..exported.len() - 1],
        &longer,
        &newer,
    ] {
        assert!(matches!(
            TicketSecrets::import(wrong, now),
            Err(TlsError::TicketKeys)
        ));
    }
    let mut far = exported.to_vec();
    far[1..9].fill(0xff);
    assert!(TicketSecrets::import(&far, now).is_err());
    far[1] = 0;
    far[2] = 0;
    assert!(TicketSecrets::import(&far, now).unwrap().next_rotation() <= now + ROTATION);
    assert!(!format!("{:?}", TicketSecrets::import(&exported, now)).contains("bytes"));
}

/// A client that offers whatever session it has to whatever host it talks to.
#[derive(Debug, Default)]
struct OneForAll {
    tls12: Mutex<Option<Tls12ClientSessionValue>>,
    tls13: Mutex<Option<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for OneForAll {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        *self.tls12.lock().unwrap() = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.tls12.lock().unwrap().clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        *self.tls12.lock().unwrap() = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        *self.tls13.lock().unwrap() = Some(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tls13.lock().unwrap().take()
    }
}
