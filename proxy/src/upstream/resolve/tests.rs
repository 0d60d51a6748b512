//! Names against a real name server on loopback.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;

use adit_route::{Protocol, Target, UpstreamSpec};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record};
use hickory_resolver::proto::serialize::binary::{BinDecodable as _, BinEncodable as _};
use tokio::net::UdpSocket;
use tokio::task::LocalSet;

use super::*;

/// What a server says of a name and type.
#[derive(Clone)]
enum Says {
    Records(Vec<RData>),
    Code(ResponseCode),
    Nothing,
}

/// A DNS server on loopback whose zone can be changed.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    zone: Rc<RefCell<HashMap<(&'static str, RecordType), Says>>>,
    asked: Rc<RefCell<usize>>,
}

impl Server {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            zone: Rc::default(),
            asked: Rc::default(),
        };
        tokio::task::spawn_local(server.clone().serve(socket));
        server
    }

    async fn serve(self, socket: UdpSocket) {
        let mut packet = [0; 1_500];
        loop {
            let (length, peer) = socket.recv_from(&mut packet).await.unwrap();
            *self.asked.borrow_mut() += 1;
            let query = Message::from_bytes(&packet[..length]).unwrap();
            let question = query.queries[0].clone();
            let name = question.name().to_string();
            let says = self.zone.borrow().iter().find_map(|((known, kind), says)| {
                (*known == name && *kind == question.query_type()).then(|| says.clone())
            });
            let mut answer = Message::response(query.id, query.op_code);
            answer.add_query(question.clone());
            match says.unwrap_or(Says::Code(ResponseCode::NXDomain)) {
                Says::Nothing => continue,
                Says::Code(code) => answer.metadata.response_code = code,
                Says::Records(records) => {
                    for data in records {
                        answer.add_answer(Record::from_rdata(question.name().clone(), 1, data));
                    }
                }
            }
            socket
                .send_to(&answer.to_bytes().unwrap(), peer)
                .await
                .unwrap();
        }
    }

    fn say(&self, name: &'static str, kind: RecordType, says: Says) {
        self.zone.borrow_mut().insert((name, kind), says);
    }

    fn addresses(&self, name: &'static str, ips: &[&str]) {
        for (kind, v4) in [(RecordType::A, true), (RecordType::AAAA, false)] {
            let ips = ips.iter().map(|ip| IpAddr::from_str(ip).unwrap());
            let records: Vec<_> = ips
                .filter(|ip| ip.is_ipv4() == v4)
                .map(RData::from)
                .collect();
            self.say(name, kind, Says::Records(records));
        }
    }

    fn resolver(&self) -> Rc<Resolver> {
        let options = ResolverOptions {
            nameservers: Some(vec![self.address]),
        };
        Rc::new(Resolver::new(&options).unwrap())
    }
}

fn dns(name: &str, family: Family, srv: bool) -> DnsTarget {
    DnsTarget {
        name: name.into(),
        port: 8080,
        family,
        srv,
    }
}

fn upstream(target: DnsTarget) -> Arc<Upstream> {
    let target = Target {
        address: Address::Dns(target),
        protocol: Protocol::Http1,
        weight: 1,
    };
    let spec = UpstreamSpec {
        targets: vec![target],
        ..crate::upstream::test_spec()
    };
    Arc::new(Upstream::new(Arc::new(spec), 1))
}

fn labels(upstream: &Upstream) -> Vec<String> {
    upstream
        .endpoints()
        .iter()
        .map(|endpoint| endpoint.label().to_string())
        .collect()
}

fn locally<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, story)
}

async fn until(upstream: &Upstream, wanted: &[&str]) {
    for _ in 0..1_500 {
        if labels(upstream) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("wanted {wanted:?}, have {:?}", labels(upstream));
}

#[test]
fn a_name_has_the_addresses_of_the_wanted_family() {
    locally(async {
        let server = Server::start().await;
        server.addresses("a.test.", &["198.51.100.9", "198.51.100.1", "2001:db8::1"]);
        for (family, wanted) in [
            (
                Family::Any,
                &[
                    "198.51.100.1:8080",
                    "198.51.100.9:8080",
                    "[2001:db8::1]:8080",
                ][..],
            ),
            (Family::Ipv4, &["198.51.100.1:8080", "198.51.100.9:8080"]),
            (Family::Ipv6, &["[2001:db8::1]:8080"]),
        ] {
            let upstream = upstream(dns("a.test", family, false));
            follow(&upstream, &server.resolver());
            upstream.settled().await;
            until(&upstream, wanted).await;
        }
    });
}

#[test]
fn services_are_found_with_their_ports_and_weights() {
    locally(async {
        let server = Server::start().await;
        let srv = |priority, weight, port, host| {
            RData::SRV(SRV::new(
                priority,
                weight,
                port,
                Name::from_str(host).unwrap(),
            ))
        };
        server.say(
            "_http._tcp.test.",
            RecordType::SRV,
            Says::Records(vec![
                srv(10, 3, 81, "one.test."),
                srv(10, 0, 82, "two.test."),
                srv(20, 9, 83, "three.test."),
            ]),
        );
        server.addresses("one.test.", &["198.51.100.1"]);
        server.addresses("two.test.", &["198.51.100.2"]);
        server.addresses("three.test.", &["198.51.100.3"]);
        let upstream = upstream(dns("_http._tcp.test", Family::Ipv4, true));
        follow(&upstream, &server.resolver());
        until(&upstream, &["198.51.100.1:81", "198.51.100.2:82"]).await;
        let weights: Vec<u32> = upstream
            .endpoints()
            .members()
            .iter()
            .map(|member| member.weight)
            .collect();
        assert_eq!(weights, [3, 1]);
    });
}

#[test]
fn a_changed_answer_is_followed_and_a_bad_one_is_not() {
    locally(async {
        let server = Server::start().await;
        server.addresses("a.test.", &["198.51.100.1"]);
        let upstream = upstream(dns("a.test.", Family::Ipv4, false));
        follow(&upstream, &server.resolver());
        until(&upstream, &["198.51.100.1:8080"]).await;
        server.addresses("a.test.", &["198.51.100.2", "127.0.0.1"]);
        until(&upstream, &["198.51.100.2:8080"]).await;
        assert!(
            !upstream.stats().dns_stale(),
            "what is left of the answer is good"
        );
        for says in [
            Says::Code(ResponseCode::ServFail),
            Says::Records(vec![RData::from(IpAddr::from([169, 254, 169, 254]))]),
        ] {
            server.say("a.test.", RecordType::A, says);
            while !upstream.stats().dns_stale() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(labels(&upstream), ["198.51.100.2:8080"]);
            server.addresses("a.test.", &["198.51.100.2"]);
            while upstream.stats().dns_stale() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        server.say("a.test.", RecordType::A, Says::Code(ResponseCode::NXDomain));
        while !upstream.stats().dns_stale() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(
            labels(&upstream),
            ["198.51.100.2:8080"],
            "one denial is not believed"
        );
    });
}

#[test]
fn one_family_is_used_while_the_other_does_not_answer() {
    locally(async {
        let server = Server::start().await;
        server.addresses("a.test.", &["198.51.100.1"]);
        server.say("a.test.", RecordType::AAAA, Says::Nothing);
        let upstream = upstream(dns("a.test", Family::Any, false));
        follow(&upstream, &server.resolver());
        let started = Instant::now();
        until(&upstream, &["198.51.100.1:8080"]).await;
        assert!(started.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn a_name_does_not_lead_into_our_own_doors() {
    locally(async {
        let server = Server::start().await;
        server.addresses("a.test.", &["198.51.100.1", "198.51.100.2"]);
        let resolver = server.resolver();
        resolver.set_listeners(vec!["198.51.100.1:8080".parse().unwrap()]);
        let upstream = upstream(dns("a.test", Family::Ipv4, false));
        follow(&upstream, &resolver);
        until(&upstream, &["198.51.100.2:8080"]).await;
    });
}

#[test]
fn localhost_is_this_machine_and_nobody_is_asked() {
    locally(async {
        let server = Server::start().await;
        let resolver = server.resolver();
        for (name, family, wanted) in [
            (
                "localhost",
                Family::Any,
                &["127.0.0.1:8080", "[::1]:8080"][..],
            ),
            ("LOCALHOST.", Family::Ipv4, &["127.0.0.1:8080"]),
            ("app.localhost", Family::Ipv6, &["[::1]:8080"]),
        ] {
            let upstream = upstream(dns(name, family, false));
            follow(&upstream, &resolver);
            assert_eq!(labels(&upstream), wanted);
        }
        resolver.set_listeners(vec!["[::]:8080".parse().unwrap()]);
        let upstream = upstream(dns("localhost", Family::Any, false));
        follow(&upstream, &resolver);
        assert!(labels(&upstream).is_empty(), "it would come back to us");
        assert_eq!(*server.asked.borrow(), 0);
    });
}

#[test]
fn asking_ends_with_the_upstream() {
    locally(async {
        let server = Server::start().await;
        server.addresses("a.test.", &["198.51.100.1"]);
        let upstream = upstream(dns("a.test", Family::Ipv4, false));
        follow(&upstream, &server.resolver());
        until(&upstream, &["198.51.100.1:8080"]).await;
        drop(upstream);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = *server.asked.borrow();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(*server.asked.borrow(), asked);
    });
}
