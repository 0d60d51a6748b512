//! More than there is room for: what is refused, who is not, and what an operator sees of it.
//!
//! Limits are set low, so that a handful of clients is a flood.

mod alerts;
mod refusals;
mod requests;
mod sources;
mod stages;

use std::net::{SocketAddr, TcpStream};

use crate::support::adit::Adit;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{PATIENCE, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n";

/// A route that answers by itself.
const FIXED: &str = "routes:\n- {host: www.example.test, respond: {status: 200, body: here}}\n";

/// The sum of the samples whose name and labels hold all of these.
fn metric(site: &Site, adit: &Adit, parts: &[&str]) -> f64 {
    let answer = site.curl(adit.addr("adm")).get("http://localhost/metrics");
    let text = answer.expect(200).text();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let wanted = samples.filter(|line| parts.iter().all(|part| line.contains(part)));
    wanted
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

/// How often a rule has refused something.
fn refusals(site: &Site, adit: &Adit, rule: &str) -> f64 {
    let label = format!("rule=\"{rule}\"");
    metric(site, adit, &["adit_refused_total{", &label])
}

/// Waits until a rule has refused so often, and requires that the access log says it too.
#[track_caller]
fn refused(site: &Site, adit: &Adit, rule: &str, times: f64) {
    eventually(&format!("{times} refusals by {rule}"), || {
        (refusals(site, adit, rule) >= times).then_some(())
    });
    let word = format!("\"rule\":\"{rule}\"");
    eventually(&format!("{rule} in the access log"), || {
        (!adit.access(&word).is_empty()).then_some(())
    });
}

/// A connection from an address of loopback.
fn from(source: &str, to: SocketAddr) -> Raw {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect_timeout(&to.into(), PATIENCE).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Raw::over(stream)
}

/// Whether a connection is served, rather than closed.
fn is_served(mut client: Raw) -> Option<Raw> {
    client.try_send(GET.as_bytes()).ok()?;
    client
        .try_head()?
        .starts_with("HTTP/1.1 200")
        .then_some(())?;
    client.take(4);
    Some(client)
}
