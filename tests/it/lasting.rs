//! What goes on for long: certificates that are renewed again and again, peers that vanish without a
//! word.

use std::time::Duration;

use adit_bench::Kind;

use crate::support::adit::{ADIT, Adit};
use crate::support::netns::{self, Namespace};
use crate::support::pki::write_identity;
use crate::support::process::Process;

use crate::support::site::Site;
use crate::support::{eventually, origin, soak, within};

/// The certificate that a new handshake is shown.
fn shown(site: &Site, adit: &Adit) -> Vec<u8> {
    let client = site.raw_tls(adit.addr("webs"), "www.example.test");
    client.session().peer_certificates().unwrap()[0].to_vec()
}

/// A hundred renewals (ten unless `--soak` is given), every third of them broken: new handshakes see
/// each good one, a connection that is open goes on, and what is broken changes nothing.
///
/// Acceptance: R-23
#[test]
fn a_certificate_is_renewed_again_and_again() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    ));
    let mut open = site.raw_tls(adit.addr("webs"), "www.example.test");
    let mut current = shown(&site, &adit);
    for round in 0..if soak() { 100 } else { 10 } {
        let next = site.pki.leaf(&["www.example.test"]);
        if round % 3 == 2 {
            // The key of another one; then a name that nobody asks for.
            let other = site.pki.leaf(&["www.example.test"]);
            site.dir.write("site.pem", &next.certificates);
            site.dir.write("site.key", &other.key);
            adit.hup();
            site.curl(adit.addr("adm"))
                .get("http://localhost/status")
                .expect(200);
            assert_eq!(shown(&site, &adit), current, "round {round}");
        }
        write_identity(&site.dir, "site", &next);
        adit.hup();
        current = eventually("the new certificate", || {
            let now = shown(&site, &adit);
            (now != current).then_some(now)
        });
        open.send("GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
        let (head, _) = open.answer();
        assert!(head.starts_with("HTTP/1.1 200"), "round {round}: {head}");
    }
}

/// Clients behind a link that goes dead, in the middle of requests and between them: they are found
/// and forgotten. Only with `--soak`, since it takes as long as the kernel takes to be sure.
///
/// Acceptance: R-14
#[test]
fn peers_that_vanish_are_found() {
    if !soak() || !netns::available("peers_that_vanish_are_found") {
        return;
    }
    let site = Site::new();
    let (edge, far) = (Namespace::new(), Namespace::new());
    edge.link(&far, "veth-gone", "10.9.0.1/24", "10.9.0.2/24");
    let doors = "listeners:\n- {name: web, role: lan, bind: \"10.9.0.1:8080\"}\n- {name: adm, role: admin, bind: \"127.0.0.1:9191\"}\n";
    let routes = "routes:\n- {host: www.example.test, respond: {body: \"here\"}}\n- {host: slow.example.test, backends: [\"http://10.9.0.2:7\"]}\n";
    let file = site
        .dir
        .write("adit.yaml", Site::config_with(doors, routes));
    let ready = site.dir.join("ready.json");
    let mut command = edge.command(ADIT);
    command
        .arg("run")
        .arg("--config")
        .arg(&file)
        .arg("--ready-file")
        .arg(&ready);
    let adit = Adit::start(&mut command, &file, &ready);
    // Two hundred clients: half of them have asked and are idle, half are in the middle of a head.
    let script = "import socket, time\n\
        held = []\n\
        for number in range(200):\n\
        \x20   stream = socket.create_connection((\"10.9.0.1\", 8080))\n\
        \x20   if number % 2:\n\
        \x20       stream.sendall(b\"GET / HTTP/1.1\\r\\nHost: www.example.test\\r\\n\\r\\n\")\n\
        \x20       stream.recv(1000)\n\
        \x20   else:\n\
        \x20       stream.sendall(b\"GET / HTTP/1.1\\r\\n\")\n\
        \x20   held.append(stream)\n\
        print(\"held\", flush=True)\n\
        time.sleep(600)\n";
    let mut clients = far.command("python3");
    clients.args(["-c", script]);
    let clients = Process::start(&mut clients);
    eventually("clients", || {
        clients.stdout().contains("held").then_some(())
    });
    let open = || -> u64 {
        let page = edge
            .command("curl")
            .args(["-s", "http://127.0.0.1:9191/metrics"])
            .output()
            .unwrap();
        let page = String::from_utf8_lossy(&page.stdout).into_owned();
        let lines = page.lines().filter(|line| {
            line.starts_with("adit_connections_active") && line.contains("listener=\"web\"")
        });
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    };
    assert!(open() > 0, "nobody is connected");
    far.ip("link set veth-gone down");
    within(Duration::from_secs(100), "forgotten", || {
        (open() == 0).then_some(())
    });
    drop(clients);
    drop(adit);
}
