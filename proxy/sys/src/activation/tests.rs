//! Activation as the init system does it: descriptors 3 and up of a new process.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _};
use std::process::Command;

use super::*;

/// Set for the process that [`started`] starts; says what it must find.
const EXPECTED: &str = "ADIT_SYS_EXPECTED_SOCKETS";

/// Starts this test program as if by the init system, and runs only [`the_started_process`].
fn started(sockets: &[&dyn AsFd], names: &str, expected: &str) -> bool {
    let mut redirections = String::new();
    for (place, socket) in sockets.iter().enumerate() {
        let socket = socket.as_fd();
        rustix::io::fcntl_setfd(socket, FdFlags::empty()).unwrap();
        redirections += &format!("exec {}<&{};", 100 + place, socket.as_raw_fd());
    }
    for place in 0..sockets.len() {
        redirections += &format!("exec {}<&{};", 3 + place, 100 + place);
    }
    let program = std::env::current_exe().unwrap();
    let test = "activation::tests::the_started_process";
    let status = Command::new("bash")
        .arg("-c")
        .arg(format!(
            "{redirections} LISTEN_PID=$$ exec \"$0\" --exact {test}"
        ))
        .arg(program)
        .env("LISTEN_FDS", sockets.len().to_string())
        .env("LISTEN_FDNAMES", names)
        .env(EXPECTED, expected)
        .output()
        .unwrap();
    status.status.success()
}

#[test]
fn the_started_process() {
    let Ok(expected) = std::env::var(EXPECTED) else {
        return;
    };
    let variable = |name| std::env::var(name).ok();
    let (pid, fds, names) = (
        variable("LISTEN_PID"),
        variable("LISTEN_FDS"),
        variable("LISTEN_FDNAMES"),
    );
    let env = ActivationEnv {
        pid: pid.as_deref(),
        fds: fds.as_deref(),
        names: names.as_deref(),
    };
    let found = match listen_fds(env) {
        Ok(sockets) => {
            let mut found = String::new();
            for (name, descriptor) in sockets {
                assert!(
                    rustix::io::fcntl_getfd(&descriptor)
                        .unwrap()
                        .contains(FdFlags::CLOEXEC)
                );
                let port = TcpListener::from(descriptor).local_addr().unwrap().port();
                found += &format!("{name}={port} ");
            }
            assert!(
                listen_fds(env).is_err() || listen_fds(env).unwrap().is_empty(),
                "only once"
            );
            found
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected);
}

#[test]
fn passed_sockets_are_taken_over_by_name() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let tls = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [&web, &tls].map(|socket| socket.local_addr().unwrap().port());
    let expected = format!("web={} tls={} ", ports[0], ports[1]);
    assert!(started(&[&web, &tls], "web:tls", &expected));
    assert!(
        !started(&[&tls, &web], "web:tls", &expected),
        "the check itself works"
    );
}

#[test]
fn what_is_no_listening_socket_is_refused_with_its_number() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let wrong = |number| ActivationError::NotListening(number).to_string();
    let client = TcpStream::connect(web.local_addr().unwrap()).unwrap();
    assert!(started(&[&web, &client], "a:b", &wrong(4)));
    assert!(started(
        &[&UdpSocket::bind("127.0.0.1:0").unwrap()],
        "a",
        &wrong(3)
    ));
    assert!(started(
        &[&std::fs::File::open("/dev/null").unwrap()],
        "a",
        &wrong(3)
    ));
}

#[test]
fn only_what_is_meant_for_us_is_looked_at() {
    let own = std::process::id().to_string();
    let env = |pid, fds, names| ActivationEnv { pid, fds, names };
    for nothing in [
        env(None, None, None),
        env(None, Some("1"), None),
        env(Some(&own), None, None),
        env(Some("1"), Some("1"), None),
        env(Some("x"), Some("1"), None),
        env(Some(&own), Some("0"), Some("")),
    ] {
        assert!(listen_fds(nothing).unwrap().is_empty(), "{nothing:?}");
    }
    for wrong in ["-1", "x", "", "99999999999", "5000"] {
        let error = listen_fds(env(Some(&own), Some(wrong), None)).unwrap_err();
        assert!(matches!(error, ActivationError::Count(_)), "{error}");
    }
    let error = listen_fds(env(Some(&own), Some("2"), Some("a"))).unwrap_err();
    assert!(
        matches!(
            error,
            ActivationError::Names {
                sockets: 2,
                names: 1
            }
        ),
        "{error}"
    );
}

#[test]
fn readiness_reaches_paths_and_abstract_names() {
    let directory = std::env::temp_dir().join(format!("adit-notify-{}", std::process::id()));
    let _ = std::fs::remove_file(&directory);
    let by_path = UnixDatagram::bind(&directory).unwrap();
    let name = format!("adit-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let by_name = UnixDatagram::bind_addr(&address).unwrap();
    let abstract_name = format!("@{name}");
    for (receiver, socket) in [
        (by_path, directory.as_os_str()),
        (by_name, OsStr::new(&abstract_name)),
    ] {
        notify(socket, "READY=1\nSTATUS=serving").unwrap();
        let mut text = [0; 64];
        let length = receiver.recv(&mut text).unwrap();
        assert_eq!(&text[..length], b"READY=1\nSTATUS=serving");
    }
    std::fs::remove_file(&directory).unwrap();
    assert!(notify(directory.as_os_str(), "READY=1").is_err());
    assert!(notify(OsStr::new("vsock:2:1"), "READY=1").is_err());
}
