//! Names and passwords, servers that decide, client certificates.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adit_route::policy::{
    Access, BasicAuth, CacheFor, CertificateFields, Credentials, ExternalAuth, Satisfy,
};
use adit_route::{BackendTls, UpstreamSpec};
use http::{HeaderName, HeaderValue, StatusCode};

use super::super::super::problem::{Code, Problem};
use super::super::super::scalar;
use super::super::super::source::read_limited;
use super::super::super::tree::{Entry, Node};
use super::super::Reader;
use super::super::certificates::readable_by_everybody;
use super::super::respond::FRAMING;
use super::super::upstreams::{Scope, server};
use super::{template, unless_off};

/// Reads the family; whether anything of it is written.
pub(super) fn auth(reader: &mut Reader<'_>, scope: &Scope<'_>, access: &mut Access) -> bool {
    if let Some(node) = unless_off(scope, "auth") {
        access.basic = node.field("basic").and_then(|node| basic(reader, node));
        access.external = node
            .field("external")
            .and_then(|node| external(reader, node));
        if node.field("satisfy").and_then(Node::text) == Some("any") {
            access.satisfy = Satisfy::Any;
        }
        if node.field("basic").is_none() && node.field("external").is_none() {
            let message = "nothing is demanded";
            let problem = Problem::error(Code::COMBINATION, node.span, message);
            reader.push(problem.allowed("`basic`, `external`, or both; or `off`"));
        }
    }
    access.certificate =
        unless_off(scope, "clientCertificate").map(|node| certificate(reader, node));
    access.basic.is_some() || access.external.is_some() || access.certificate.is_some()
}

fn basic(reader: &mut Reader<'_>, node: &Node) -> Option<BasicAuth> {
    let credentials = match (node.field("file"), node.field("directory")) {
        (Some(file), None) => users_of_file(reader, file)?,
        (None, Some(directory)) => users_of_directory(reader, directory)?,
        (found, _) => {
            let message = if found.is_some() {
                "both `file` and `directory` are written"
            } else {
                "neither `file` nor `directory` is written"
            };
            let problem = Problem::error(Code::COMBINATION, node.span, message)
                .allowed("exactly one of `file` and `directory`");
            reader.push(problem.help("`htpasswd -cB users.htpasswd NAME` makes a file"));
            return None;
        }
    };
    let realm = node.field("realm").and_then(Node::text).unwrap_or_default();
    Some(BasicAuth {
        realm: realm.into(),
        credentials: Arc::new(credentials),
    })
}

fn users_of_file(reader: &mut Reader<'_>, node: &Node) -> Option<Credentials> {
    let content = reader.content(node)?;
    let path = reader.path(node)?;
    warn_of_readers(reader, node, &path);
    let Ok(text) = std::str::from_utf8(&content) else {
        let problem = Problem::error(Code::FILE_CONTENT, node.span, "the file is not UTF-8");
        reader.push(problem.help("it must hold lines `user:hash`"));
        return None;
    };
    let (credentials, faults) = Credentials::from_htpasswd(text);
    for (line, fault) in faults {
        let message = format!("line {line} of the file lets nobody in: {fault}");
        let problem = Problem::warning(Code::FILE_CONTENT, node.span, message);
        reader.push(problem.help("`htpasswd -B FILE NAME` writes a good line"));
    }
    Some(credentials)
}

/// A file for each user, as a mounted Secret has them. Hidden entries belong to its atomic swap.
fn users_of_directory(reader: &mut Reader<'_>, node: &Node) -> Option<Credentials> {
    const LARGEST: u64 = 4096;
    let directory = reader.path(node)?;
    reader.refer(&directory);
    let unreadable = |reader: &mut Reader<'_>, path: &Path, why: String| {
        let problem = Problem::error(Code::FILE_UNREADABLE, node.span, why);
        reader.push(problem.found(path.display().to_string()));
    };
    let mut names = match names(&directory) {
        Ok(names) => names,
        Err(error) => {
            let why = format!("the directory cannot be read: {error}");
            unreadable(reader, &directory, why);
            return None;
        }
    };
    names.sort();
    // A renamed file is a change too.
    let listed = names.join("\n");
    reader
        .contents
        .insert(directory.clone(), Some(Arc::from(listed.as_bytes())));
    let mut credentials = Credentials::default();
    for user in names {
        let path = directory.join(&user);
        reader.refer(&path);
        let content = match read_limited(&path, LARGEST) {
            Ok(content) if content.len() as u64 <= LARGEST => content,
            Ok(_) => {
                unreadable(reader, &path, "the file is larger than 4 KiB".to_owned());
                continue;
            }
            Err(error) => {
                unreadable(reader, &path, format!("the file cannot be read: {error}"));
                continue;
            }
        };
        let added = credentials.add(&user, &String::from_utf8_lossy(&content));
        reader.contents.insert(path, Some(content.into()));
        if let Err(fault) = added {
            let message = format!("the file of user `{user}` lets nobody in: {fault}");
            reader.push(Problem::warning(Code::FILE_CONTENT, node.span, message));
        }
    }
    Some(credentials)
}

fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.starts_with('.') && !name.contains(':') && entry.path().is_file() {
            names.push(name);
        }
    }
    Ok(names)
}

fn warn_of_readers(reader: &mut Reader<'_>, node: &Node, path: &Path) {
    if readable_by_everybody(path) {
        let message = "everybody on this machine can read the password hashes";
        let problem = Problem::warning(Code::FILE_MODE, node.span, message);
        reader.push(problem.help("take the right away: `chmod o-r FILE`; a group may keep it"));
    }
}

fn external(reader: &mut Reader<'_>, node: &Node) -> Option<ExternalAuth> {
    let tls = node.field("tls");
    let tls = tls.map(|tls| super::super::upstreams::backend_tls(reader, tls));
    let url_node = node.field("url")?;
    let url = scalar::server_url(url_node.text()?).ok()?;
    let upstream = auth_upstream(reader, url_node, &url.backend, tls.unwrap_or_default())?;
    if node.field("signIn").is_none() {
        reader.forbid(
            node,
            &["returnParameter"],
            "there is no `signIn` to add it to",
        );
    }
    let text = |key: &str| node.field(key).and_then(Node::text);
    let named = |key: &str| node.field(key).and_then(template);
    let cache = node.field("cache");
    let timeout = text("timeout").and_then(|text| scalar::duration(text).ok());
    Some(ExternalAuth {
        upstream,
        host: url.host,
        target: url.target,
        method: text("method").and_then(|text| scalar::method(text).ok()),
        sign_in: named("signIn"),
        return_parameter: text("returnParameter").unwrap_or("rd").into(),
        response_fields: response_fields(reader, node),
        request_redirect: named("requestRedirect"),
        set_fields: set_fields(reader, node),
        always_set_cookie: node
            .field("alwaysSetCookie")
            .and_then(Node::truth)
            .unwrap_or(false),
        cache_key: cache.and_then(|cache| template(cache.field("key")?)),
        cache_for: cache.map(cache_times).unwrap_or_default(),
        timeout: timeout.unwrap_or(Duration::from_secs(5)),
    })
}

/// One upstream for all routes that ask one server, so that they share its connections.
fn auth_upstream(
    reader: &mut Reader<'_>,
    node: &Node,
    backend: &str,
    tls: BackendTls,
) -> Option<Arc<UpstreamSpec>> {
    let fresh = server(reader, node, backend, tls)?;
    let place = backend
        .split_once("://")
        .map_or(backend, |(_, place)| place);
    let same = |known: &Arc<UpstreamSpec>| {
        UpstreamSpec {
            name: Arc::clone(&known.name),
            ..fresh.clone()
        } == **known
    };
    if let Some(known) = reader.servers.iter().find(|known| same(known)) {
        return Some(Arc::clone(known));
    }
    let named = |name: &str| reader.servers.iter().any(|known| &*known.name == name);
    let mut name = format!("auth:{place}");
    let mut number = 1;
    while named(&name) {
        number += 1;
        name = format!("auth:{place}#{number}");
    }
    let spec = Arc::new(UpstreamSpec {
        name: name.into(),
        ..fresh
    });
    reader.servers.push(Arc::clone(&spec));
    Some(spec)
}

fn response_fields(reader: &mut Reader<'_>, node: &Node) -> Vec<HeaderName> {
    let items = node.field("responseHeaders").map(Node::one_or_more);
    let mut fields = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(Ok(name)) = item.text().map(scalar::header_name) else {
            continue;
        };
        if FRAMING.contains(&name.as_str()) || name == http::header::HOST {
            let message = format!("the field `{name}` is written by adit itself");
            let problem = Problem::error(Code::COMBINATION, item.span, message);
            reader.push(problem.found(format!("`{name}`")).help("remove it"));
        } else if !fields.contains(&name) {
            fields.push(name);
        }
    }
    fields
}

fn set_fields(reader: &mut Reader<'_>, node: &Node) -> Vec<(HeaderName, adit_route::Template)> {
    let entries = node.field("setHeaders").map(Node::entries);
    let mut field = |entry: &Entry| {
        let name = scalar::header_name(&entry.key).ok()?;
        if FRAMING.contains(&name.as_str()) || name == http::header::HOST {
            let message = format!("the field `{name}` is written by adit itself");
            let problem = Problem::error(Code::COMBINATION, entry.key_span, message);
            reader.push(problem.found(format!("`{name}`")).help("remove it"));
            return None;
        }
        Some((name, template(&entry.value)?))
    };
    let entries = entries.unwrap_or_default().iter();
    entries.filter_map(&mut field).collect()
}

fn cache_times(cache: &Node) -> Vec<CacheFor> {
    let Some(times) = cache.field("times") else {
        let usual = [
            StatusCode::OK,
            StatusCode::ACCEPTED,
            StatusCode::UNAUTHORIZED,
        ];
        return vec![CacheFor {
            statuses: usual.into(),
            time: Duration::from_mins(5),
        }];
    };
    let times = times.one_or_more().iter();
    times
        .filter_map(|node| scalar::cache_time(node.text()?).ok())
        .collect()
}

fn certificate(reader: &mut Reader<'_>, node: &Node) -> CertificateFields {
    let error_page = node.field("errorPage").and_then(|page| {
        let text = page.text()?;
        let good =
            text.starts_with('/') || text.starts_with("https://") || text.starts_with("http://");
        let value = HeaderValue::from_str(text).ok().filter(|_| good);
        if value.is_none() {
            let message = "this is neither a URL nor a path";
            let problem = Problem::error(Code::MALFORMED, page.span, message);
            reader.push(
                problem
                    .found(format!("`{text}`"))
                    .allowed("`https://…` or `/path`"),
            );
        }
        value
    });
    let expression = node.field("matchSubject").and_then(Node::text);
    CertificateFields {
        pass_certificate: node.field("pass").and_then(Node::truth).unwrap_or(false),
        match_subject: expression.and_then(|text| scalar::value_regex(text).ok()),
        error_page,
    }
}
