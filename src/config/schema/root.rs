//! The top of the file: process settings, networks, TLS defaults and certificates.

use super::super::scalar::{CIDR, FILE, NAME};
use super::limits::LIMITS;
use super::listener::LISTENER;
use super::policy::{DEFAULT, GUARDS, RULE};
use super::route::ROUTE;
use super::tracing::TRACING;
use super::{Key, Kind, Table, key};

/// The whole file.
pub(in crate::config) static ROOT: Table = Table {
    name: "file",
    doc: "One YAML 1.2 document of at most 1 MiB. A directory is read as one \
            document: every `*.yaml` and `*.yml` in name order; `routes`, `rules`, \
            `networks`, `listeners` and the lists of `certificates` are appended, \
            any other key may appear once. Relative paths are relative to the file \
            that names them.",
    keys: &[
        key(
            "version",
            Kind::Integer {
                min: 1,
                max: u32::MAX as u64,
            },
            "Version of this grammar.",
        )
        .required()
        .example("1"),
        key(
            "workers",
            Kind::Either(&[Kind::Word(&["auto"]), Kind::Integer { min: 1, max: 1024 }]),
            "Threads that carry traffic; `auto` is one per CPU that the process may use.",
        )
        .default("auto")
        .example("2"),
        key("log", Kind::Table(&LOG), "What adit writes about itself.")
            .default("{level: info, format: text}")
            .example("{level: debug}"),
        key(
            "accessLog",
            Kind::Table(&ACCESS_LOG),
            "What adit writes about requests.",
        )
        .default("{format: json, path: stdout}")
        .example("{format: combined}"),
        key(
            "networks",
            Kind::Named(&NAME, &Kind::Table(&NETWORK)),
            "Sets of addresses that listeners and rules refer to by name.",
        )
        .default("none")
        .example("{lan: {role: lan, cidrs: [192.168.1.0/24]}}"),
        key(
            "listeners",
            Kind::Some(&Kind::Table(&LISTENER)),
            "Where clients connect.",
        )
        .required()
        .example("[{name: webs, role: lan, bind: \"[::]:443\", tls: true}]"),
        key(
            "tls",
            Kind::Table(&TLS),
            "TLS settings of every host that has none of its own.",
        )
        .default("TLS 1.2 and 1.3, no client certificates")
        .example("{minVersion: \"1.3\"}"),
        key(
            "certificates",
            Kind::Table(&CERTIFICATES),
            "Where certificates are found.",
        )
        .default("none")
        .example("{directories: [/etc/letsencrypt/live]}"),
        key(
            "routes",
            Kind::List(&Kind::Table(&ROUTE)),
            "What is served.",
        )
        .default("none")
        .example("[{host: www.example.com, backends: [\"http://127.0.0.1:8000\"]}]"),
        key(
            "rules",
            Kind::List(&Kind::Table(&RULE)),
            "Who may see which host; the first rule that matches decides.",
        )
        .default("none")
        .example("[{name: site, hosts: [www.example.com], exposure: public}]"),
        key(
            "default",
            Kind::Table(&DEFAULT),
            "What holds for hosts that no rule names.",
        )
        .default("{exposure: lan}")
        .example("{exposure: off}"),
        key("guards", Kind::Table(&GUARDS), "What no rule may do.")
            .default("none")
            .example("{neverPublic: {hosts: [\"**.int.example.com\"]}}"),
        key(
            "tracing",
            Kind::Table(&TRACING),
            "Traces of every route that does not say otherwise.",
        )
        .default("none")
        .example("{otlp: \"http://127.0.0.1:4318\", sample: 5}"),
        key(
            "limits",
            Kind::Table(&LIMITS),
            "Every limit of the data plane.",
        )
        .default("the defaults below")
        .example("{headTimeout: 5s}"),
    ],
    includes: &[],
    planned: &[
        ("owner", "it comes with the management of DNS records"),
        ("mode", "it comes with the management of DNS records"),
        ("cloudflare", "it comes with the management of DNS records"),
        (
            "requireApprovalFor",
            "it comes with the management of DNS records",
        ),
        ("tunnels", "it comes with the tunnel client"),
        ("publish", "it comes with the management of DNS records"),
        (
            "delegation",
            "it comes with Kubernetes as a source of routes",
        ),
        (
            "ingressClass",
            "it comes with Kubernetes as a source of routes",
        ),
        (
            "kubernetes",
            "it comes with Kubernetes as a source of routes",
        ),
        ("clock", "it comes with certificate issuers"),
        (
            "issuers",
            "it comes with certificate issuers, under `certificates`",
        ),
        (
            "<<",
            "merge keys are not YAML 1.2: write the keys out, or repeat a whole value \
            with an alias",
        ),
    ],
};

static LOG: Table = Table {
    name: "log",
    doc: "adit's own events, written to standard error.",
    keys: &[
        key(
            "level",
            Kind::Word(&["error", "warn", "info", "debug", "trace"]),
            "The least severe event that is written.",
        )
        .default("info")
        .example("debug"),
        key(
            "format",
            Kind::Word(&["text", "json"]),
            "Lines for people, or one JSON object per line.",
        )
        .default("text")
        .example("json"),
    ],
    includes: &[],
    planned: &[],
};

static ACCESS_LOG: Table = Table {
    name: "accessLog",
    doc: "One line per request or relayed connection.",
    keys: &[
        key(
            "format",
            Kind::Word(&["json", "combined", "off"]),
            "JSON objects, the combined log format of web servers, or nothing.",
        )
        .default("json")
        .example("combined"),
        key(
            "path",
            Kind::Either(&[Kind::Word(&["stdout"]), Kind::Scalar(&FILE)]),
            "Standard output, or a file that is appended to.",
        )
        .default("stdout")
        .example("/var/log/adit/access.log"),
    ],
    includes: &[],
    planned: &[],
};

static NETWORK: Table = Table {
    name: "network",
    doc: "A named set of addresses.",
    keys: &[
        key(
            "role",
            Kind::Word(&["lan", "internet", "cluster"]),
            "What kind of network it is.",
        )
        .required()
        .example("lan"),
        key(
            "cidrs",
            Kind::Some(&Kind::Scalar(&CIDR)),
            "Its blocks; an address stands for itself.",
        )
        .required()
        .example("[192.168.1.0/24, \"2001:db8::/64\"]"),
    ],
    includes: &[],
    planned: &[],
};

static TLS: Table = Table {
    name: "tls",
    doc: "Defaults of hosts whose TLS ends here.",
    keys: &[
        key(
            "defaultCertificate",
            Kind::Scalar(&NAME),
            "Name of the certificate for clients that send no SNI; without it they \
            are refused. An unknown SNI is always refused.",
        )
        .default("none")
        .example("example"),
        MIN_VERSION,
        CLIENT_AUTH_KEY,
    ],
    includes: &[],
    planned: &[],
};

/// Lowest TLS version, for the file or for a host.
pub(super) const MIN_VERSION: Key = key(
    "minVersion",
    Kind::Word(&["1.2", "1.3"]),
    "Lowest TLS version.",
)
.default("\"1.2\"")
.example("\"1.3\"");

/// Client certificates, for the file or for a host.
pub(super) const CLIENT_AUTH_KEY: Key = key(
    "clientAuth",
    Kind::Table(&CLIENT_AUTH),
    "Demand for client certificates.",
)
.default("none are asked for")
.example("{ca: clients.pem, mode: require}");

static CLIENT_AUTH: Table = Table {
    name: "clientAuth",
    doc: "Client certificates of a host.",
    keys: &[
        key(
            "ca",
            Kind::Scalar(&FILE),
            "PEM file with the authorities whose certificates are accepted.",
        )
        .required()
        .example("clients.pem"),
        key(
            "mode",
            Kind::Word(&["require", "optional"]),
            "Whether a request without a valid certificate is refused, or passed on \
            as unauthenticated.",
        )
        .default("require")
        .example("optional"),
    ],
    includes: &[],
    planned: &[],
};

static CERTIFICATES: Table = Table {
    name: "certificates",
    doc: "Certificates and keys, reloaded when their files change.",
    keys: &[
        key(
            "files",
            Kind::List(&Kind::Table(&CERTIFICATE_FILE)),
            "Pairs of certificate and key.",
        )
        .default("none")
        .example("[{cert: tls/example.pem, key: tls/example.key}]"),
        key(
            "directories",
            Kind::List(&Kind::Scalar(&FILE)),
            "Directories with `X.pem` or `X.crt` beside `X.key`, or with certbot's \
            `NAME/fullchain.pem` and `NAME/privkey.pem`.",
        )
        .default("none")
        .example("[/etc/letsencrypt/live]"),
    ],
    includes: &[],
    planned: &[
        ("issuers", "it comes with certificate issuers"),
        ("issuerMap", "it comes with certificate issuers"),
        (
            "default",
            "it comes with certificate issuers; the certificate for clients without \
            SNI is `tls.defaultCertificate`",
        ),
        ("lan", "it comes with certificate issuers"),
        ("public", "it comes with certificate issuers"),
    ],
};

static CERTIFICATE_FILE: Table = Table {
    name: "certificate",
    doc: "A certificate with its key.",
    keys: &[
        key(
            "name",
            Kind::Scalar(&NAME),
            "Name that `tls.defaultCertificate` and the status refer to.",
        )
        .default("the file name of `cert` without its ending")
        .example("example"),
        key(
            "cert",
            Kind::Scalar(&FILE),
            "PEM file with the certificate, followed by its chain.",
        )
        .required()
        .example("tls/example.pem"),
        key(
            "key",
            Kind::Scalar(&FILE),
            "PEM file with the private key; it must not be readable by everybody.",
        )
        .required()
        .example("tls/example.key"),
    ],
    includes: &[],
    planned: &[],
};
