//! The same requests to nginx itself and to adit under `profile: nginx`.
//!
//! Each case is a host that both serve: nginx by native directives, as an Ingress controller writes
//! them, adit by its file. Status, `Location`, the fields that policies touch and what the backend
//! saw must agree. What may differ stands in the table with the rule that allows it, and must
//! differ: a difference that goes away leaves the table.

mod access;
mod cases;
mod order;
mod paths;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::support::adit::Adit;
use crate::support::curl::Answer;
use crate::support::free_addr;
use crate::support::process::Process;
use crate::support::servers::nginx;
use crate::support::site::Site;

/// A host that both serve alike.
pub(super) struct Case {
    /// Ids of the rules that it shows, and what about them.
    pub(super) rules: &'static str,
    /// Inside of `http {}`, with names of its own that begin with `CASE`: zones, maps.
    pub(super) zone: &'static str,
    /// Inside of `server {}`.
    pub(super) nginx: &'static str,
    /// Keys of the route beside its host and profile.
    pub(super) adit: &'static str,
    /// What both are asked, in this order.
    pub(super) asks: Vec<Ask>,
}

/// One request.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) target: &'static str,
    pub(super) fields: &'static [&'static str],
    pub(super) body: Option<&'static str>,
    pub(super) tls: bool,
    /// What differs, and the rule that allows it.
    pub(super) differs: &'static [(&'static str, &'static str)],
}

pub(super) const fn get(target: &'static str) -> Ask {
    ask("GET", target)
}

pub(super) const fn ask(method: &'static str, target: &'static str) -> Ask {
    Ask {
        method,
        target,
        fields: &[],
        body: None,
        tls: false,
        differs: &[],
    }
}

impl Ask {
    pub(super) const fn with(self, fields: &'static [&'static str]) -> Self {
        Self { fields, ..self }
    }

    pub(super) const fn body(self, body: &'static str) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    pub(super) const fn tls(self) -> Self {
        Self { tls: true, ..self }
    }

    pub(super) const fn differs(self, differs: &'static [(&'static str, &'static str)]) -> Self {
        Self { differs, ..self }
    }
}

/// Fields of answers that policies write.
const FIELDS: [&str; 15] = [
    "location",
    "refresh",
    "set-cookie",
    "vary",
    "www-authenticate",
    "strict-transport-security",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-max-age",
    "x-added",
    "x-powered-by",
    "x-frame-options",
];

/// Both servers with every case, and nginx as the backend of both.
struct Pair {
    site: Site,
    nginx: [SocketAddr; 2],
    adit: Adit,
    _process: Process,
}

/// What the backend answers: where a case needs more, it asks for one of the paths below `/be/`.
const BACKEND: &str = r#"
    default_type text/plain;
    location / {
        return 200 "$request_method $request_uri host=$http_host prefix=$http_x_forwarded_prefix auth=$http_authorization user=$http_x_user added=$http_x_added gone=$http_x_gone\n";
    }
    location ~ ^/be/cookies {
        add_header Set-Cookie "a=1; Domain=backend.lan; Path=/two/x";
        add_header Set-Cookie "b=2; Domain=.Backend.LAN; Path=/other; HttpOnly";
        return 200 "cookies\n";
    }
    location ~ ^/be/redirect { return 302 http://backend.lan:8080/two/x?y; }
    location ~ ^/be/elsewhere { return 302 http://other.lan/x; }
    location ~ ^/be/refresh { add_header Refresh "5; url=http://backend.lan:8080/two/x"; return 200 "refresh\n"; }
    location ~ ^/be/fields {
        add_header X-Powered-By backend;
        add_header Strict-Transport-Security "max-age=1";
        add_header Access-Control-Allow-Origin https://backend.lan;
        return 200 "fields\n";
    }
    location ~ ^/be/(?<wanted>[45]\d\d)$ {
        add_header X-Powered-By backend always;
        if ($wanted = 404) { return 404 "missing\n"; }
        if ($wanted = 500) { return 500 "broken\n"; }
        return 503 "busy\n";
    }
"#;

impl Pair {
    fn start(cases: &[Case]) -> Self {
        let site = Site::new();
        let [plain, secure, backend, auth] = [(); 4].map(|()| free_addr());
        let dead = free_addr();
        let texts = |text: &str, id: usize| {
            text.replace("CASE", &format!("case{id}"))
                .replace("$backend", &backend.to_string())
                .replace("$authority", &auth.to_string())
                .replace("$dead", &dead.to_string())
                .replace("$dir", &site.dir.path().display().to_string())
        };
        let dir = site.dir.path().display();
        let mut http = format!(
            "server_names_hash_bucket_size 128;\nproxy_http_version 1.1;\n\
             proxy_set_header Host $http_host;\nport_in_redirect off;\n\
             server {{ listen {backend};\n{BACKEND}\n}}\n\
             server {{ listen {auth};\n{}\n}}\n",
            cases::AUTHORITY
        );
        let mut routes = String::from("routes:\n");
        for (id, case) in cases.iter().enumerate() {
            writeln!(
                http,
                "{}\nserver {{\nlisten {plain};\nlisten {secure} ssl;\n\
                 server_name case{id}.example.test;\nssl_certificate {dir}/site.pem;\n\
                 ssl_certificate_key {dir}/site.key;\n{}\n}}",
                texts(case.zone, id),
                texts(case.nginx, id)
            )
            .unwrap();
            let keys = texts(case.adit, id).replace('\n', "\n  ");
            writeln!(
                routes,
                "- host: case{id}.example.test\n  profile: nginx\n  {}",
                keys.trim()
            )
            .unwrap();
        }
        site.dir.write("users", cases::USERS);
        let process = nginx(&site.dir, &http, "", backend);
        let adit = site.run(&routes);
        Self {
            nginx: [plain, secure],
            adit,
            _process: process,
            site,
        }
    }

    fn ask(&self, to: SocketAddr, id: usize, ask: &Ask) -> Answer {
        let mut curl = self.site.curl(to).args(&["--path-as-is", "--http1.1"]);
        curl = match ask.method {
            "HEAD" => curl.arg("--head"),
            method => curl.arg("--request").arg(method),
        };
        for field in ask.fields {
            curl = curl.header(field);
        }
        if let Some(body) = ask.body {
            curl = curl.arg("--data-binary").arg(body);
        }
        let scheme = if ask.tls { "https" } else { "http" };
        curl.get(&format!("{scheme}://case{id}.example.test{}", ask.target))
    }

    /// Asks both; every difference that the table does not allow, or wrongly allows.
    fn compare(&self, id: usize, case: &Case) -> String {
        let mut wrong = String::new();
        for ask in &case.asks {
            let door = if ask.tls { "webs" } else { "web" };
            let theirs = facts(&self.ask(self.nginx[usize::from(ask.tls)], id, ask));
            let ours = facts(&self.ask(self.adit.addr(door), id, ask));
            let names: Vec<_> = theirs.keys().chain(ours.keys()).copied().collect();
            for name in names {
                let (theirs, ours) = (theirs.get(name), ours.get(name));
                let allowed = ask.differs.iter().any(|(what, _)| *what == name);
                if (theirs == ours) == allowed {
                    let line = format!(
                        "{} | {} {}{}: {name}: nginx {theirs:?}, adit {ours:?}{}\n",
                        case.rules,
                        ask.method,
                        ask.target,
                        if ask.tls { " over TLS" } else { "" },
                        if allowed { ", which is listed" } else { "" }
                    );
                    if !wrong.contains(&line) {
                        wrong += &line;
                    }
                }
            }
        }
        wrong
    }
}

/// What is compared.
fn facts(answer: &Answer) -> BTreeMap<&'static str, String> {
    let mut facts = BTreeMap::from([("status", answer.status.to_string())]);
    for name in FIELDS {
        let values = answer.fields(name);
        if !values.is_empty() {
            // The address under test is no matter.
            facts.insert(name, values.join(" | "));
        }
    }
    // What the backend says of a request; pages of errors are each server's own.
    let from_backend = [
        "host=", "cookies", "refresh", "fields", "missing", "broken", "busy", "page ",
    ];
    let text = answer.text();
    if from_backend.iter().any(|start| text.contains(start)) && !text.contains("<html>") {
        facts.insert("backend", text);
    }
    facts
}

/// Compares all cases of a table.
#[track_caller]
pub(super) fn agree(cases: &[Case]) {
    let pair = Pair::start(cases);
    let wrong: String = cases
        .iter()
        .enumerate()
        .map(|(id, case)| pair.compare(id, case))
        .collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}
