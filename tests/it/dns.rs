//! Backends that are names: resolved, kept fresh, and kept when nobody answers.
//!
//! A name server (dnsmasq), backends and adit share a network of their own, so that the system's
//! resolver settings are the test's. Addresses of loopback would be refused as answers.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::adit::{ADIT, Adit};
use crate::support::netns::{self, Namespace};
use crate::support::process::Process;
use crate::support::servers::nginx_within;
use crate::support::site::Site;
use crate::support::{eventually, pass};

struct Net {
    site: Site,
    namespace: Namespace,
    _nginx: Process,
}

impl Net {
    /// Backends on three addresses, each of which answers its own.
    fn new() -> Self {
        let site = Site::new();
        let namespace = Namespace::new();
        for address in ["10.78.0.1/32", "10.78.0.2/32", "10.78.0.3/32"] {
            namespace.ip(&format!("address add {address} dev lo"));
        }
        namespace.ip("address add fd78::2/128 dev lo nodad");
        namespace.resolver("127.0.0.1");
        let servers: String = ["10.78.0.2", "10.78.0.3", "[fd78::2]"]
            .iter()
            .map(|at| {
                format!(
                    "server {{ listen {at}:8080; location / {{ return 200 $server_addr; }} }}\n"
                )
            })
            .collect();
        let nginx = nginx_within(&namespace, &site.dir, &servers);
        Self {
            site,
            namespace,
            _nginx: nginx,
        }
    }

    fn hosts(&self, lines: &str) {
        fs::write(self.site.dir.join("hosts"), lines).unwrap();
    }

    /// A name server that answers from the hosts file, for a second at a time.
    fn name_server(&self) -> Process {
        let mut command = self.namespace.command("dnsmasq");
        command
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--local-ttl=1",
            ])
            .args(["--conf-file=/dev/null", "--user=root", "--log-facility=-"])
            .args([
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--pid-file=",
            ])
            .arg(format!(
                "--addn-hosts={}",
                self.site.dir.join("hosts").display()
            ));
        let process = Process::start(&mut command);
        eventually("dnsmasq is up", || {
            process.stderr().contains("read ").then_some(())
        });
        process
    }

    fn run(&self, routes: &str) -> Adit {
        let doors = "listeners:\n- {name: web, role: lan, bind: \"10.78.0.1:80\"}\n";
        let config = Site::config_with(doors, routes);
        let file = self.site.dir.write("adit.yaml", config);
        let ready = self.site.dir.join("ready.json");
        let mut command = self.namespace.command(ADIT);
        command.args(["run", "--config"]).arg(&file);
        command.arg("--ready-file").arg(&ready);
        Adit::start(&mut command, &file, &ready)
    }

    /// Status and body of an answer.
    fn ask(&self, host: &str) -> String {
        let output = self
            .namespace
            .command("curl")
            .args(["-s", "--max-time", "10", "-w", " %{http_code}"])
            .args(["--connect-to", "::10.78.0.1:80"])
            .arg(format!("http://{host}.example.test/"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn becomes(&self, host: &str, wanted: &str) {
        eventually(&format!("{host} answers {wanted}"), || {
            (self.ask(host) == wanted).then_some(())
        });
    }
}

/// Acceptance: R-07
#[test]
fn a_name_is_followed_and_outlives_its_server() {
    if !netns::available("a_name_is_followed_and_outlives_its_server") {
        return;
    }
    let net = Net::new();
    net.hosts("10.78.0.2 app.internal\nfd78::2 app.internal\n");
    let mut server = net.name_server();
    let backend = "{dns: app.internal, port: 8080";
    let _adit = net.run(&format!(
        "routes:\n\
         - {{host: four.example.test, backends: [{backend}, family: ipv4}}]}}\n\
         - {{host: six.example.test, backends: [{backend}, family: ipv6}}]}}\n\
         - {{host: url.example.test, backends: [\"http://app.internal:8080\"]}}\n"
    ));
    net.becomes("four", "10.78.0.2 200");
    net.becomes("six", "fd78::2 200");
    eventually("a name in a URL is one too", || {
        net.ask("url").ends_with(" 200").then_some(())
    });
    net.hosts("10.78.0.3 app.internal\nfd78::2 app.internal\n");
    server.signal(Signal::HUP);
    net.becomes("four", "10.78.0.3 200");
    // Nobody answers any more: what was last known goes on.
    server.signal(Signal::KILL);
    server.wait();
    pass(Duration::from_secs(3));
    assert_eq!(net.ask("four"), "10.78.0.3 200");
    assert_eq!(net.ask("six"), "fd78::2 200");
}

/// Acceptance: 19, R-07
#[test]
fn an_answer_that_leads_home_is_refused() {
    if !netns::available("an_answer_that_leads_home_is_refused") {
        return;
    }
    let net = Net::new();
    net.hosts("127.0.0.1 loop.internal\n169.254.169.254 meta.internal\n10.78.0.1 us.internal\n");
    let _server = net.name_server();
    let _adit = net.run(
        "routes:\n\
         - {host: loop.example.test, backends: [{dns: loop.internal, port: 8080}]}\n\
         - {host: meta.example.test, backends: [{dns: meta.internal, port: 80}]}\n\
         - {host: us.example.test, backends: [{dns: us.internal, port: 80}]}\n",
    );
    for host in ["loop", "meta"] {
        let answer = net.ask(host);
        assert!(
            answer.ends_with(" 502") || answer.ends_with(" 503"),
            "{host}: {answer}"
        );
    }
    eventually("our own door is a loop", || {
        net.ask("us").ends_with(" 508").then_some(())
    });
}

#[test]
fn a_name_that_appears_later_is_served_then() {
    if !netns::available("a_name_that_appears_later_is_served_then") {
        return;
    }
    let net = Net::new();
    net.hosts("10.78.0.3 other.internal\n");
    let server = net.name_server();
    let _adit = net
        .run("routes:\n- {host: app.example.test, backends: [{dns: app.internal, port: 8080}]}\n");
    let answer = net.ask("app");
    assert!(
        answer.ends_with(" 502") || answer.ends_with(" 503"),
        "{answer}"
    );
    net.hosts("10.78.0.2 app.internal\n");
    server.signal(Signal::HUP);
    net.becomes("app", "10.78.0.2 200");
}
