//! nginx and HAProxy, from the system's packages, as backends and as PROXY senders and receivers.
//!
//! Each runs in the foreground with its own configuration and logs in the test's directory; what
//! their logs say about a client is the proof that adit told them the truth.

use std::fmt::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::netns::Namespace;
use super::process::Process;
use super::{Dir, eventually};

/// nginx with these contents of `http {}` and `stream {}`; ready when `ready` accepts.
///
/// The log format `seen` writes PROXY source, remote address, request and status into
/// `nginx.log`; `stream_seen` writes PROXY source and remote address.
pub(crate) fn nginx(dir: &Dir, http: &str, stream: &str, ready: SocketAddr) -> Process {
    let file = nginx_file(dir, http, stream);
    let mut command = Command::new("nginx");
    command.arg("-p").arg(dir.path()).arg("-c").arg(&file);
    accepts(Process::start(&mut command), ready)
}

/// nginx in a network of its own.
pub(crate) fn nginx_within(namespace: &Namespace, dir: &Dir, http: &str) -> Process {
    let file = nginx_file(dir, http, "");
    let mut command = namespace.command("nginx");
    command.arg("-p").arg(dir.path()).arg("-c").arg(&file);
    let process = Process::start(&mut command);
    eventually("nginx is up", || {
        dir.join("nginx.pid").exists().then_some(())
    });
    process
}

fn nginx_file(dir: &Dir, http: &str, stream: &str) -> PathBuf {
    let at = dir.path().display();
    let mut config = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\n\
         error_log stderr notice;\npid {at}/nginx.pid;\n\
         events {{ worker_connections 1024; }}\n"
    );
    if !http.is_empty() {
        let mut paths = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(paths, "{kind}_temp_path {at}/nginx-{kind};").unwrap();
        }
        write!(
            config,
            "http {{\nlog_format seen '$proxy_protocol_addr $remote_addr \"$request\" $status';\n\
             access_log {at}/nginx.log seen;\n{paths}client_max_body_size 0;\n{http}\n}}\n"
        )
        .unwrap();
    }
    if !stream.is_empty() {
        let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
        config.insert_str(0, &format!("load_module {module};\n"));
        write!(
            config,
            "stream {{\nlog_format stream_seen '$proxy_protocol_addr $remote_addr';\n\
             access_log {at}/nginx-stream.log stream_seen;\n{stream}\n}}\n"
        )
        .unwrap();
    }
    dir.write("nginx.conf", config)
}

/// HAProxy with these sections; `log global` writes to its standard output.
pub(crate) fn haproxy(dir: &Dir, sections: &str, ready: SocketAddr) -> Process {
    let config = format!(
        "global\n  log stdout format raw local0 info\n  maxconn 1000\n\
         defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n{sections}\n"
    );
    let file = dir.write("haproxy.cfg", config);
    let process = Process::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file));
    accepts(process, ready)
}

fn accepts(mut process: Process, addr: SocketAddr) -> Process {
    eventually("server accepts", || {
        if let Some(status) = process.ended() {
            panic!("it ended with {status}");
        }
        TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok()
    });
    process
}
