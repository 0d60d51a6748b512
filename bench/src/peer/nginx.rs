//! nginx: `stream` for what is relayed, `http` for the rest.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{CONNECTIONS, GRPC, PASS, Setup, Site, WWW};

/// Where distributions keep the module that relays.
const STREAM_MODULES: &[&str] = &[
    "/usr/lib/nginx/modules/ngx_stream_module.so",
    "/usr/lib64/nginx/modules/ngx_stream_module.so",
];

pub(super) fn stream_module() -> Option<PathBuf> {
    STREAM_MODULES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}

pub(super) fn setup(program: &Path, site: &Site) -> Setup {
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(&site.folder)
        .arg("-c")
        .arg(site.path("nginx.conf"));
    Setup {
        files: vec![("nginx.conf", configuration(site))],
        command,
    }
}

fn configuration(site: &Site) -> String {
    let at = site.folder.display();
    let (doors, origins) = (&site.doors, &site.origins);
    let (module, stream) = match stream_module() {
        Some(module) => (format!("load_module {};\n", module.display()), stream(site)),
        None => Default::default(),
    };
    let log = if site.features.log {
        format!("access_log {at}/access.log combined buffer=64k flush=1s;")
    } else {
        "access_log off;".to_owned()
    };
    let windows = if site.features.windows {
        "client_body_buffer_size 16m; http2_body_preread_size 16m;"
    } else {
        ""
    };
    let mut hosts = String::new();
    for number in 0..site.features.hosts {
        // Writing to a String cannot fail.
        let _ = writeln!(
            hosts,
            "server {{ listen {}; server_name h{number}.bench.test; location / {{ proxy_pass http://www; }} }}",
            doors.plain
        );
    }
    let (regex, edits) = if site.features.edits {
        (
            "location ~ ^/never/[0-9]+$ { proxy_pass http://www; }",
            "proxy_set_header X-Tenant blue; proxy_set_header X-Debug ''; add_header X-Frame-Options DENY;",
        )
    } else {
        Default::default()
    };
    format!(
        "{module}daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
error_log stderr error;
pid {at}/nginx.pid;
events {{ worker_connections {connections}; }}
http {{
  {log}
  client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
  server_names_hash_max_size 65536; server_names_hash_bucket_size 64;
  keepalive_timeout 600; keepalive_requests 2147483647; client_header_timeout 600;
  client_max_body_size 0; http2_max_concurrent_streams 128; {windows}
  tcp_nodelay on; sendfile on; server_tokens off;
  map $http_upgrade $hop {{ default Upgrade; '' ''; }}
  upstream www {{ server {http}; keepalive 512; keepalive_requests 2147483647; keepalive_timeout 600; }}
  upstream rpc {{ server {h2c}; keepalive 512; keepalive_requests 2147483647; keepalive_timeout 600; }}
  proxy_http_version 1.1; proxy_request_buffering off; proxy_max_temp_file_size 0;
  proxy_read_timeout 600; proxy_set_header Connection $hop; proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port $server_port; {edits}
  grpc_set_header X-Real-IP $remote_addr; grpc_read_timeout 600;
  grpc_set_header X-Forwarded-For $remote_addr; grpc_set_header X-Forwarded-Proto $scheme;
  grpc_set_header X-Forwarded-Host $host; grpc_set_header X-Forwarded-Port $server_port;
  ssl_certificate {certificate}; ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:prime256v1; ssl_prefer_server_ciphers off;
  ssl_session_cache shared:tls:10m; ssl_session_tickets on;
  server {{
    listen {plain} backlog=4096;
    listen {tls} ssl http2 backlog=4096;
    server_name {WWW};
    location / {{ proxy_pass http://www; }}
    {regex}
  }}
  server {{
    listen {tls} ssl http2;
    server_name {GRPC};
    location / {{ grpc_pass grpc://rpc; }}
  }}
{hosts}}}
{stream}",
        connections = 2 * CONNECTIONS,
        http = origins.http,
        h2c = origins.h2c,
        plain = doors.plain,
        tls = doors.tls,
        certificate = site.identity.certificate.display(),
        key = site.identity.key.display(),
    )
}

fn stream(site: &Site) -> String {
    let (doors, raw) = (&site.doors, site.origins.raw);
    format!(
        "stream {{
  access_log off;
  proxy_buffer_size 64k; proxy_timeout 600;
  upstream raw {{ server {raw}; }}
  map $ssl_preread_server_name $relay {{ {PASS} raw; default unix:/nowhere; }}
  server {{ listen {tcp} backlog=4096; proxy_pass raw; }}
  server {{ listen {pass} backlog=4096; ssl_preread on; proxy_pass $relay; }}
}}
",
        tcp = doors.tcp,
        pass = doors.pass,
    )
}
