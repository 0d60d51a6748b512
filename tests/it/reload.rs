//! A change of the file takes hold whole or not at all, and nobody notices it being made.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use adit_bench::Kind;

use crate::support::adit::{self, Adit};
use crate::support::load::Load;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{Dir, eventually, free_addr, grpc, origin, pass, soak};

fn www(backend: impl std::fmt::Display, more: &str) -> String {
    format!("routes:\n- {{host: www.example.test, backends: [\"http://{backend}\"]}}\n{more}")
}

fn status(site: &Site, adit: &Adit, host: &str) -> u16 {
    let url = format!("http://{host}.example.test/");
    site.curl(adit.addr("web")).get(&url).status
}

fn becomes(site: &Site, adit: &Adit, host: &str, wanted: u16) {
    eventually(&format!("{host} answers {wanted}"), || {
        (status(site, adit, host) == wanted).then_some(())
    });
}

fn new_route(backend: impl std::fmt::Display) -> String {
    format!("- {{host: new.example.test, backends: [\"http://{backend}\"]}}\n")
}

#[test]
fn a_renamed_file_is_seen_and_so_is_a_written_one() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let without = Site::config(&www(one.addr(), ""));
    let with = Site::config(&www(one.addr(), &new_route(one.addr())));
    let adit = Adit::run(&site.dir, &without);
    assert_eq!(status(&site, &adit, "new"), 404);
    adit.rewrite(&with);
    becomes(&site, &adit, "new", 200);
    fs::write(site.dir.join("adit.yaml"), &without).unwrap();
    becomes(&site, &adit, "new", 404);
    adit.stop();
}

/// Acceptance: R-01
#[test]
fn a_change_is_seen_within_a_second() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = Adit::run(&site.dir, &Site::config(&www(one.addr(), "")));
    adit.rewrite(&Site::config(&www(one.addr(), &new_route(one.addr()))));
    let start = Instant::now();
    becomes(&site, &adit, "new", 200);
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(1), "{taken:?}");
}

#[test]
fn the_way_a_config_map_is_mounted_is_followed() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let mount = Dir::new();
    for name in ["site.pem", "site.key"] {
        fs::copy(site.dir.join(name), mount.join(name)).unwrap();
    }
    fs::set_permissions(
        mount.join("site.key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let absolute = |config: String| {
        let at = mount.path().display();
        config
            .replace("cert: site.pem", &format!("cert: {at}/site.pem"))
            .replace("key: site.key", &format!("key: {at}/site.key"))
    };
    // A directory per generation, a link to it, and the file through the link.
    mount.write(
        "..1/adit.yaml",
        absolute(Site::config(&www(one.addr(), ""))),
    );
    let second = absolute(Site::config(&www(one.addr(), &new_route(one.addr()))));
    mount.write("..2/adit.yaml", second);
    symlink("..1", mount.join("..data")).unwrap();
    symlink("..data/adit.yaml", mount.join("adit.yaml")).unwrap();
    let adit = Adit::run_with(&site.dir, &mount.join("adit.yaml"), &[]);
    assert_eq!(status(&site, &adit, "new"), 404);
    symlink("..2", mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    fs::remove_dir_all(mount.join("..1")).unwrap();
    becomes(&site, &adit, "new", 200);
}

#[test]
fn a_directory_is_one_file() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let dir = site.dir.join("conf.d");
    fs::create_dir_all(&dir).unwrap();
    let base = Site::config("").replace("site.", "../site.");
    site.dir.write("conf.d/10-base.yaml", base);
    site.dir.write("conf.d/20-www.yaml", www(one.addr(), ""));
    let adit = Adit::run_with(&site.dir, &dir, &[]);
    becomes(&site, &adit, "www", 200);
    assert_eq!(status(&site, &adit, "new"), 404);
    let more = format!("routes:\n{}", new_route(one.addr()));
    site.dir.write("conf.d/30-new.yaml", more);
    becomes(&site, &adit, "new", 200);
    fs::remove_file(site.dir.join("conf.d/30-new.yaml")).unwrap();
    becomes(&site, &adit, "new", 404);
}

/// Acceptance: R-05
#[test]
fn a_bad_file_changes_nothing_and_is_spoken_of_once() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let good = Site::config(&www(one.addr(), ""));
    let adit = Adit::run(&site.dir, &good);
    let ready = || site.curl(adit.addr("adm")).get("http://localhost/readyz");
    let before = ready().expect(200).text();
    for (index, bad) in [
        "version: 1\nroutes: [",
        "version: 1\nroutse: []\n",
        "",
        "version: 2\n",
    ]
    .into_iter()
    .enumerate()
    {
        adit.rewrite(bad);
        adit.hup();
        let after = eventually("the health page says so", || {
            let text = ready().text();
            (text != before).then_some(text)
        });
        assert!(!after.trim().is_empty());
        assert_eq!(status(&site, &adit, "www"), 200, "{index}");
        adit.rewrite(&good);
        eventually("the health page is content again", || {
            (ready().text() == before).then_some(())
        });
    }
    // Unchanged badness is not news.
    adit.rewrite("version: 1\nroutse: []\n");
    eventually("the log says so", || {
        let log = adit.process().stderr() + &adit.process().stdout();
        log.contains("routse").then_some(())
    });
    adit.hup();
    adit.hup();
    pass(Duration::from_millis(500));
    let log = adit.process().stderr() + &adit.process().stdout();
    let (_, last) = log.rsplit_once("version 2 is not known").unwrap();
    let spoken = last.matches("the new configuration is refused").count();
    assert_eq!(spoken, 1, "{log}");
    let metrics = site.curl(adit.addr("adm")).get("http://localhost/metrics");
    let metrics = metrics.expect(200).text();
    let told = metrics
        .lines()
        .any(|line| !line.starts_with('#') && line.contains("config") && line.ends_with(" 0"));
    assert!(told, "no metric says that the file is bad: {metrics}");
    adit.stop();
}

/// Acceptance: R-05
#[test]
fn a_missing_file_changes_nothing() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = Adit::run(&site.dir, &Site::config(&www(one.addr(), "")));
    fs::remove_file(site.dir.join("adit.yaml")).unwrap();
    adit.hup();
    pass(Duration::from_millis(400));
    assert_eq!(status(&site, &adit, "www"), 200);
}

#[test]
fn the_last_good_file_survives_a_restart() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let state = site.dir.join("state");
    fs::create_dir_all(&state).unwrap();
    let arguments = ["--state-dir", state.to_str().unwrap()];
    let file = site
        .dir
        .write("adit.yaml", Site::config(&www(one.addr(), "")));
    let adit = Adit::run_with(&site.dir, &file, &arguments);
    becomes(&site, &adit, "www", 200);
    adit.stop();
    site.dir.write("adit.yaml", "version: 1\nroutse: []\n");
    let adit = Adit::run_with(&site.dir, &file, &arguments);
    becomes(&site, &adit, "www", 200);
    adit.stop();
    // Without a state directory there is no last good one: all errors, exit 3.
    let output = adit::command()
        .args(["run", "--config", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("routse"));
}

#[test]
fn doors_come_and_go_without_touching_others() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let extra = free_addr();
    let config = |doors: &str| {
        let doors =
            format!("listeners:\n- {{name: web, role: lan, bind: \"127.0.0.1:0\"}}\n{doors}");
        Site::config_with(&doors, &www(one.addr(), ""))
    };
    let adit = Adit::run(&site.dir, &config(""));
    let mut kept = Raw::connect(adit.addr("web"));
    let mut ask = || {
        kept.send("GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
        assert!(kept.answer().0.starts_with("HTTP/1.1 200"));
    };
    ask();
    let door = |shape: &str| format!("- {{name: extra, role: lan, bind: \"{extra}\"{shape}}}\n");
    adit.rewrite(&config(&door("")));
    let at_extra = || site.curl(extra).get("http://www.example.test/").status;
    eventually("the new door opens", || (at_extra() == 200).then_some(()));
    ask();
    adit.rewrite(&config(&door(", allow: [192.0.2.0/24]")));
    eventually("the door closes on us", || (at_extra() == 0).then_some(()));
    ask();
    adit.rewrite(&config(&door(", tls: true")));
    eventually("the door speaks TLS", || {
        let answer = site.curl(extra).get("https://www.example.test/");
        (answer.status == 200).then_some(())
    });
    ask();
    adit.rewrite(&config(""));
    eventually("the door is gone", || {
        std::net::TcpStream::connect(extra).is_err().then_some(())
    });
    ask();
    adit.stop();
}

/// Acceptance: R-05
#[test]
fn a_door_that_cannot_be_opened_changes_nothing() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let config = |doors: &str, more: &str| {
        let doors =
            format!("listeners:\n- {{name: web, role: lan, bind: \"127.0.0.1:0\"}}\n{doors}");
        Site::config_with(&doors, &www(one.addr(), more))
    };
    let adit = Adit::run(&site.dir, &config("", ""));
    let door = format!("- {{name: taken, role: lan, bind: \"{at}\"}}\n");
    adit.rewrite(&config(&door, &new_route(one.addr())));
    eventually("the log says so", || {
        let log = adit.process().stderr() + &adit.process().stdout();
        log.contains(&at.port().to_string()).then_some(())
    });
    assert_eq!(status(&site, &adit, "new"), 404);
    assert_eq!(status(&site, &adit, "www"), 200);
}

/// Acceptance: R-01
#[test]
fn pools_and_streams_survive_changes_that_do_not_concern_them() {
    let site = Site::new();
    let backend = crate::support::backend::Backend::start(|_, mut client| {
        while client.try_until_head() {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let config = |more: &str| Site::config(&format!("workers: 1\n{}", www(backend.addr(), more)));
    let adit = Adit::run(&site.dir, &config(""));
    becomes(&site, &adit, "www", 200);
    for round in 0..3 {
        adit.rewrite(&config(&new_route(free_addr())));
        eventually("the change is live", || {
            (status(&site, &adit, "new") != 404).then_some(())
        });
        adit.rewrite(&config(""));
        becomes(&site, &adit, "new", 404);
        becomes(&site, &adit, "www", 200);
        assert_eq!(backend.accepted(), 1, "a new connection in round {round}");
    }
}

/// 200 file changes and 200 SIGHUPs in a minute; a quarter of it unless `--soak` is given.
/// Acceptance: R-01
#[test]
fn changes_under_load_cost_no_request_and_no_connection() {
    let (rounds, time) = if soak() { (200, 60) } else { (50, 15) };
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let server = grpc::server();
    let config = |round: u32| {
        let call = format!("- {{host: grpc.example.test, backends: [\"h2c://{server}\"]}}\n");
        let other = format!(
            "- {{host: r{round}.example.test, backends: [\"http://{}\"]}}\n",
            one.addr()
        );
        // So many requests on one connection are more than it is meant to carry.
        Site::config(&www(one.addr(), &(call + &other))).replace(
            "limits: {",
            "limits: {requestsPerConnection: 1000000, streamsPerConnection: 1000000, ",
        )
    };
    let adit = Adit::run(&site.dir, &config(0));
    let load = Load::steady(adit.addr("web"), adit.addr("webs"), &site);
    let start = Instant::now();
    for round in 1..=rounds {
        adit.rewrite(&config(round));
        let next = Duration::from_secs(time) * round / rounds;
        pass((next / 2).saturating_sub(start.elapsed() / 2));
        adit.hup();
        pass(next.saturating_sub(start.elapsed()));
    }
    eventually("the last change is live", || {
        (status(&site, &adit, &format!("r{rounds}")) == 200).then_some(())
    });
    let asked = load.finish();
    eprintln!("{rounds} changes and {rounds} signals in {time} s, {asked} requests");
    assert!(asked > 1000, "only {asked} requests");
    adit.stop();
}
