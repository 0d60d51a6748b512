//! `adit status`: asks the admin listener of the running adit how it is.
//!
//! The listener is the one that the configuration names, unless its address is given. The exit code
//! is for scripts: 0 only if it serves, and serves the newest configuration.

mod ask;
mod show;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{Exit, say};
use crate::cli::{Output, StatusArgs};
use crate::config;

use show::at;

/// The admin listener of the guide and of the sample.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// Rates need two readings; when nobody has asked lately the first answer has none.
const BETWEEN_READINGS: Duration = Duration::from_secs(1);

pub(super) fn run(args: &StatusArgs) -> Exit {
    let addresses = match &args.admin {
        Some(address) => given_address(address),
        None => configured_addresses(&args.config.config),
    };
    let status = addresses.and_then(|addresses| status_of_first(&addresses));
    let status = match status {
        Ok(status) => status,
        Err(message) => {
            eprintln!("adit: {message}");
            return Exit::Failed;
        }
    };
    let text = match args.output.output {
        Output::Json => format!("{status}\n"),
        Output::Text => show::text(&status),
    };
    say(&text);
    let serving = at(&status, "phase") == "serving";
    if serving && at(at(&status, "config"), "valid") == true {
        Exit::Fine
    } else {
        Exit::Failed
    }
}

/// Asks one address after the other until one answers.
fn status_of_first(addresses: &[SocketAddr]) -> Result<Value, String> {
    let mut failures = Vec::new();
    for address in addresses {
        match complete_status(*address) {
            Ok(status) => return Ok(status),
            Err(error) => failures.push(format!("no status from {address}: {error}")),
        }
    }
    Err(failures.join("\nadit: "))
}

fn complete_status(address: SocketAddr) -> Result<Value, ask::AskError> {
    let status = ask::json(address, "/status")?;
    if !at(&status, "window").is_null() {
        return Ok(status);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the command has one thread and nothing else to do"
    )]
    std::thread::sleep(BETWEEN_READINGS);
    ask::json(address, "/status")
}

/// `HOST:PORT`; the URL of the page will do as well.
fn given_address(text: &str) -> Result<Vec<SocketAddr>, String> {
    let plain = text.strip_prefix("http://").unwrap_or(text);
    let plain = plain.trim_end_matches('/');
    match plain.to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(format!("--admin {text}: {error}; write HOST:PORT")),
    }
}

/// The addresses of the admin listeners of the configuration; of one that is no YAML, the address
/// that the guide uses.
fn configured_addresses(path: &Path) -> Result<Vec<SocketAddr>, String> {
    let shown = path.display();
    let binds = config::admin_addresses(path).unwrap_or_else(|report| {
        let first = report.diagnostics.first().map(|first| first.render(false));
        eprint!(
            "adit: the admin listener cannot be read from {shown}, so {USUAL} is asked; \
             --admin HOST:PORT asks another\n{}",
            first.unwrap_or_default()
        );
        vec![USUAL]
    });
    if binds.is_empty() {
        return Err(format!(
            "{shown} has no listener of role admin; add one, such as \
             {{name: adm, role: admin, bind: \"{USUAL}\"}}, or give --admin HOST:PORT"
        ));
    }
    let known: Vec<SocketAddr> = binds
        .into_iter()
        .filter(|bind| bind.port() != 0)
        .map(reachable)
        .collect();
    if known.is_empty() {
        return Err(format!(
            "the admin listener of {shown} takes a new port at each start; give --admin HOST:PORT"
        ));
    }
    Ok(known)
}

/// Where a listener on every address is found from here.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, bind.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_given_as_it_is_at_hand() {
        let port = |text| given_address(text).map(|found| found[0].port());
        for text in ["127.0.0.1:9090", "[::1]:9090", "http://127.0.0.1:9090/"] {
            assert_eq!(port(text), Ok(9090), "{text}");
        }
        assert!(port("localhost:9090").is_ok());
        for text in ["", "9090", "127.0.0.1", "127.0.0.1:x"] {
            let message = port(text).unwrap_err();
            assert!(message.contains("HOST:PORT"), "{message}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (bind, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.1:1", "192.0.2.1:1"),
        ] {
            assert_eq!(reachable(bind.parse().unwrap()).to_string(), asked);
        }
    }
}
