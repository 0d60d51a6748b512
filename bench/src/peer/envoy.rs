//! Envoy: one worker, and what its own page on benchmarking asks for: no request ids, no dynamic
//! statistics, no circuit breakers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{GRPC, PASS, Setup, Site};

const EXTENSIONS: &str = "type.googleapis.com/envoy.extensions";

pub(super) fn setup(program: &Path, site: &Site) -> Setup {
    let mut command = Command::new(program);
    command
        .arg("--config-path")
        .arg(site.path("envoy.json"))
        .args([
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
        ]);
    Setup {
        files: vec![("envoy.json", format!("{:#}\n", configuration(site)))],
        command,
    }
}

fn configuration(site: &Site) -> Value {
    let (doors, origins) = (&site.doors, &site.origins);
    let certificate = json!({
        "certificate_chain": {"filename": site.identity.certificate},
        "private_key": {"filename": site.identity.key},
    });
    let tls = json!({"name": "tls", "typed_config": {
        "@type": format!("{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": {"tls_certificates": [certificate], "alpn_protocols": ["h2", "http/1.1"]},
    }});
    let relay = |name: &str| json!({"filters": [relay_to_raw(name)]});
    let by_name = json!({
        "filter_chain_match": {"server_names": [PASS]},
        "filters": [relay_to_raw("pass")],
    });
    let inspector = json!([{"name": "inspector", "typed_config": {
        "@type": format!("{EXTENSIONS}.filters.listener.tls_inspector.v3.TlsInspector"),
    }}]);
    json!({
        "static_resources": {
            "listeners": [
                {"name": "plain", "address": address(doors.plain),
                 "filter_chains": [{"filters": [http(site, "plain")]}]},
                {"name": "tls", "address": address(doors.tls),
                 "filter_chains": [{"filters": [http(site, "tls")], "transport_socket": tls}]},
                {"name": "tcp", "address": address(doors.tcp), "filter_chains": [relay("tcp")]},
                {"name": "pass", "address": address(doors.pass), "listener_filters": inspector,
                 "filter_chains": [by_name]},
            ],
            "clusters": [
                cluster("www", origins.http, false),
                cluster("rpc", origins.h2c, true),
                cluster("raw", origins.raw, false),
            ],
        },
        "stats_config": {"stats_matcher": {"reject_all": true}},
    })
}

fn relay_to_raw(name: &str) -> Value {
    json!({"name": "relay", "typed_config": {
        "@type": format!("{EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy"),
        "stat_prefix": name, "cluster": "raw", "idle_timeout": "600s",
    }})
}

fn http(site: &Site, name: &str) -> Value {
    let log = if site.features.log {
        json!([{"name": "log", "typed_config": {
            "@type": format!("{EXTENSIONS}.access_loggers.file.v3.FileAccessLog"),
            "path": site.path("access.log"),
        }}])
    } else {
        json!([])
    };
    let route = |to: &str| {
        json!({"match": {"prefix": "/"},
            "route": {"cluster": to, "timeout": "0s", "idle_timeout": "600s"}})
    };
    let set = |key: &str, value: &str| json!({"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"});
    let port = match name {
        "tls" => site.doors.tls.port(),
        _ => site.doors.plain.port(),
    };
    json!({"name": "http", "typed_config": {
        "@type": format!("{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "generate_request_id": false,
        "use_remote_address": true,
        "access_log": log,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "common_http_protocol_options": {"idle_timeout": "600s"},
        "http2_protocol_options": {"max_concurrent_streams": 128},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": format!("{EXTENSIONS}.filters.http.router.v3.Router"),
            "dynamic_stats": false, "suppress_envoy_headers": true,
        }}],
        "route_config": {
            "request_headers_to_add": [
                set("x-real-ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
                set("x-forwarded-host", "%REQ(:authority)%"),
                set("x-forwarded-port", &port.to_string()),
            ],
            "virtual_hosts": [
                {"name": "rpc", "domains": [GRPC, format!("{GRPC}:*")], "routes": [route("rpc")]},
                {"name": "www", "domains": ["*"], "routes": [route("www")]},
            ],
        },
    }})
}

fn address(addr: SocketAddr) -> Value {
    json!({"socket_address": {"address": addr.ip().to_string(), "port_value": addr.port()}})
}

fn cluster(name: &str, to: SocketAddr, h2: bool) -> Value {
    let many = 1_000_000;
    let version = if h2 {
        json!({"http2_protocol_options": {}})
    } else {
        json!({"http_protocol_options": {}})
    };
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(to)}}]}]},
        "circuit_breakers": {"thresholds": [{"max_connections": many, "max_pending_requests": many,
            "max_requests": many, "max_retries": many}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": version,
            },
        },
    })
}
