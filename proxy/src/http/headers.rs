//! The fields that change on the way through.
//!
//! First what the client's `Connection` nominates goes, then what only proxies may say, then our
//! own fields are set, so that a client can make us drop or believe nothing (H-01 to H-13).

use std::net::IpAddr;
use std::time::Duration;

use adit_route::{CanonicalHost, CidrSet, FieldList, cidr};
use http::{HeaderName, HeaderValue, StatusCode, header};
use smallvec::SmallVec;

use crate::h1::Violation;

/// What `Connection` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionOptions {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(crate) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(crate) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

const NOMINATED: Violation = Violation::new("H-13", "nominated-field", StatusCode::BAD_REQUEST);
const UNDERSCORE: Violation =
    Violation::new("H-12", "underscore-spelling", StatusCode::BAD_REQUEST);

/// The tokens of `Connection`.
fn tokens(headers: &FieldList) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::CONNECTION)
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Takes `Connection` apart: what it says of the connection itself, and the fields that it
/// nominates.
fn take_connection(headers: &mut FieldList) -> (ConnectionOptions, SmallVec<[HeaderName; 4]>) {
    let mut options = ConnectionOptions::default();
    let mut nominated = SmallVec::new();
    for token in tokens(headers) {
        if token.eq_ignore_ascii_case(b"close") {
            options.close = true;
        } else if token.eq_ignore_ascii_case(b"keep-alive") {
            options.keep_alive = true;
        } else if token.eq_ignore_ascii_case(b"upgrade") {
            options.upgrade = true;
        } else if !token.eq_ignore_ascii_case(b"te")
            && let Ok(name) = HeaderName::from_bytes(token)
        {
            nominated.push(name);
        }
    }
    headers.remove(header::CONNECTION);
    (options, nominated)
}

/// How long the sender keeps an idle connection, if it says so (`Keep-Alive: timeout=5`).
pub(crate) fn keep_alive_timeout(headers: &FieldList) -> Option<Duration> {
    let text = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds = text
        .split(',')
        .find_map(|part| part.trim().strip_prefix("timeout="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// The address that a chain of trusted proxies says is the client's: from the right, the first
/// that is not one of them (H-02). `None` if the chain says nothing usable.
pub(crate) fn forwarded_client(headers: &FieldList, trusted: &CidrSet) -> Option<IpAddr> {
    let mut found = None;
    let hops = headers
        .get_all(X_FORWARDED_FOR)
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b','));
    for hop in hops {
        let text = std::str::from_utf8(hop.trim_ascii()).ok()?;
        let text = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        let address = cidr::fold(text.parse().ok()?);
        found = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    found
}

/// Takes the hop-by-hop fields out of a request, the nominated ones first (RFC 9110 §7.6.1).
pub(crate) fn strip_request(headers: &mut FieldList) -> Result<ConnectionOptions, Violation> {
    let (options, nominated) = take_connection(headers);
    for name in nominated {
        if is_unnominable(&name) {
            return Err(NOMINATED);
        }
        headers.remove(name);
    }
    remove_where(headers, is_hop_by_hop);
    Ok(options)
}

/// Fields that end at each hop, whoever names them or not. `Connection` is taken apart before.
fn is_hop_by_hop(name: &str) -> bool {
    // Looked up for each field of each request: the first byte rules most of them out.
    let names: &[&str] = match name.as_bytes().first() {
        Some(b'e') => &["expect"],
        Some(b'h') => &["http2-settings"],
        Some(b'k') => &["keep-alive"],
        Some(b'p') => &[
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
        ],
        Some(b't') => &["te", "trailer"],
        Some(b'u') => &["upgrade"],
        _ => return false,
    };
    names.contains(&name)
}

/// Fields that a client must not be able to take away.
fn is_unnominable(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::COOKIE,
        header::AUTHORIZATION,
        header::VIA,
    ]
    .contains(name)
        || is_proxy_field(name.as_str())
}

/// Takes the hop-by-hop fields out of a response (D-94), and those of the tunnel protocol (D-95).
pub(crate) fn strip_response(headers: &mut FieldList) -> ConnectionOptions {
    let (options, nominated) = take_connection(headers);
    for name in nominated {
        headers.remove(name);
    }
    remove_where(headers, |name| {
        let tunnel = ["cf-cloudflared-", "cf-int-", "cf-proxy-"];
        is_hop_by_hop(name)
            || (name.starts_with("cf-") && tunnel.iter().any(|family| name.starts_with(family)))
    });
    options
}

fn remove_where(headers: &mut FieldList, wrong: impl Fn(&str) -> bool) {
    headers.retain(|name, _| !wrong(name.as_str()));
}

/// Fields that only a trusted proxy, or we, may write (H-01 to H-09).
pub(crate) fn is_proxy_field(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x') => {
            let families = ["x-forwarded-", "x-original-", "x-envoy-", "x-ssl-"];
            let names = [
                "x-real-ip",
                "x-scheme",
                "x-rewrite-url",
                "x-client-ip",
                "x-cluster-client-ip",
            ];
            families.iter().any(|family| name.starts_with(family)) || names.contains(&name)
        }
        Some(b'c') => name.starts_with("cf-") || name == "cdn-loop",
        Some(b'f') => ["forwarded", "front-end-https", "fastly-client-ip"].contains(&name),
        Some(b's') => name.starts_with("ssl-client-"),
        Some(b't') => name == "true-client-ip",
        Some(b'e') => name == "early-data",
        _ => false,
    }
}

/// Whether the request bears the marks of a Cloudflare tunnel, which on a LAN door can only be one
/// that is not ours (the foreign-tunnel guard). The marks can only lower trust.
pub(crate) fn has_tunnel_marks(headers: &FieldList) -> bool {
    ["cf-ray", "cf-connecting-ip", "cf-visitor", "cf-warp-tag-id"]
        .iter()
        .any(|name| headers.contains_key(*name))
        || headers.get_all("cdn-loop").any(|value| {
            memchr::memmem::find(&value.as_bytes().to_ascii_lowercase(), b"cloudflare").is_some()
        })
}

/// Who says what of the client.
pub(crate) struct Forwarding<'a> {
    /// The peer's address as text, or what a PROXY header says.
    pub client: &'a HeaderValue,
    /// The client's address as text: what trusted proxies say, else the same.
    pub real: &'a HeaderValue,
    /// The peer is an HTTP proxy that we believe: its fields stay and are added to.
    pub trusted: bool,
    /// Whether the connection has TLS.
    pub secure: bool,
    /// The door's port as text.
    pub port: &'a HeaderValue,
    /// Host as accepted, with its port if one was named.
    pub host: HeaderValue,
    /// Our own name for `Via`.
    pub pseudonym: &'a HeaderValue,
    /// The request's id, if the client's is not used.
    pub request_id: HeaderValue,
}

/// Sets the fields that tell the backend about the client.
pub(crate) fn set_forwarding(
    headers: &mut FieldList,
    forwarding: &Forwarding<'_>,
) -> Result<(), Violation> {
    refuse_spellings(headers)?;
    if forwarding.trusted {
        let keeps = [
            X_FORWARDED_FOR,
            X_FORWARDED_PROTO,
            X_FORWARDED_HOST,
            X_FORWARDED_PORT,
        ];
        remove_where(headers, |name| {
            is_proxy_field(name) && !keeps.iter().any(|keep| keep == name)
        });
        append_client(headers, forwarding.client);
        // What a proxy says is kept if it says it once and well (H-04).
        keep_if(
            headers,
            X_FORWARDED_PROTO,
            proto_of(forwarding.secure),
            |proto| matches!(proto, b"http" | b"https"),
        );
        keep_if(headers, X_FORWARDED_HOST, forwarding.host.clone(), |host| {
            CanonicalHost::parse_authority(host).is_ok()
        });
        keep_if(headers, X_FORWARDED_PORT, forwarding.port.clone(), |port| {
            (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit)
        });
    } else {
        remove_where(headers, is_proxy_field);
        headers.insert(X_FORWARDED_FOR, forwarding.client.clone());
        headers.insert(X_FORWARDED_PROTO, proto_of(forwarding.secure));
        headers.insert(X_FORWARDED_HOST, forwarding.host.clone());
        headers.insert(X_FORWARDED_PORT, forwarding.port.clone());
    }
    headers.insert(X_REAL_IP, forwarding.real.clone());
    if !headers.get(X_REQUEST_ID).is_some_and(is_request_id) {
        headers.insert(X_REQUEST_ID, forwarding.request_id.clone());
    }
    headers.append(header::VIA, forwarding.pseudonym.clone());
    Ok(())
}

fn proto_of(secure: bool) -> HeaderValue {
    HeaderValue::from_static(if secure { "https" } else { "http" })
}

/// Keeps the one value of a field that is well-formed, else sets ours.
fn keep_if(
    headers: &mut FieldList,
    name: HeaderName,
    ours: HeaderValue,
    is_well_formed: impl Fn(&[u8]) -> bool,
) {
    let kept = {
        let mut values = headers.get_all(&name);
        match (values.next(), values.next()) {
            (Some(value), None) => is_well_formed(value.as_bytes()),
            _ => false,
        }
    };
    if !kept {
        headers.insert(name, ours);
    }
}

fn append_client(headers: &mut FieldList, client: &HeaderValue) {
    let mut chain: Vec<u8> = Vec::new();
    for value in headers.get_all(X_FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(client.as_bytes());
    if let Ok(chain) = HeaderValue::from_bytes(&chain) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
}

/// An id of a client is kept if it is short and plain.
fn is_request_id(value: &HeaderValue) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=128).contains(&value.len()) && value.as_bytes().iter().all(plain)
}

/// A name that becomes a protected one with `_` read as `-` would be believed by some backends (H-12).
fn refuse_spellings(headers: &FieldList) -> Result<(), Violation> {
    let framing = ["content-length", "transfer-encoding", "host"];
    for name in headers.keys() {
        let name = name.as_str();
        if memchr::memchr(b'_', name.as_bytes()).is_none() {
            continue;
        }
        let spelled = name.replace('_', "-");
        if is_proxy_field(&spelled) || framing.contains(&spelled.as_str()) {
            return Err(UNDERSCORE);
        }
    }
    Ok(())
}

/// How often the request has been through us already (L-16).
pub(crate) fn passes(headers: &FieldList, pseudonym: &HeaderValue) -> usize {
    let own = pseudonym.as_bytes();
    headers
        .get_all(header::VIA)
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter(|hop| hop.trim_ascii() == own)
        .count()
}

/// Cookie crumbs of HTTP/2 as the one field that HTTP/1 knows (D-71).
pub(crate) fn join_cookies(headers: &mut FieldList) {
    if headers.get_all(header::COOKIE).nth(1).is_none() {
        return;
    }
    let mut joined: Vec<u8> = Vec::new();
    for crumb in headers.get_all(header::COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Trailers that may go on: framing and identity have no place there (D-53).
pub(crate) fn filter_trailers(trailers: &mut FieldList) {
    remove_where(trailers, |name| {
        name.starts_with("content-")
            || is_proxy_field(name)
            || [
                "authorization",
                "cookie",
                "set-cookie",
                "cache-control",
                "range",
                "proxy-authorization",
                "www-authenticate",
            ]
            .contains(&name)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> FieldList {
        let mut headers = FieldList::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers
    }

    fn forward(headers: &mut FieldList, trusted: bool) -> Result<(), Violation> {
        set_forwarding(
            headers,
            &Forwarding {
                client: &HeaderValue::from_static("192.0.2.7"),
                real: &HeaderValue::from_static("192.0.2.7"),
                trusted,
                secure: true,
                port: &HeaderValue::from_static("443"),
                host: HeaderValue::from_static("a.test"),
                pseudonym: &HeaderValue::from_static("1.1 adit-x"),
                request_id: HeaderValue::from_static("id"),
            },
        )
    }

    #[test]
    fn clients_cannot_speak_for_themselves() {
        let mut headers = map(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("cf-connecting-ip", "10.0.0.1"),
            ("x-original-url", "/admin"),
            ("ssl-client-verify", "SUCCESS"),
            ("accept", "*/*"),
        ]);
        forward(&mut headers, false).unwrap();
        assert_eq!(headers.get("x-forwarded-for").unwrap(), "192.0.2.7");
        assert_eq!(headers.get("x-real-ip").unwrap(), "192.0.2.7");
        assert_eq!(headers.get("x-forwarded-proto").unwrap(), "https");
        for gone in [
            "forwarded",
            "cf-connecting-ip",
            "x-original-url",
            "ssl-client-verify",
        ] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers.get("accept").unwrap(), "*/*");
    }

    #[test]
    fn a_trusted_proxy_is_added_to() {
        let mut headers = map(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "http"),
        ]);
        forward(&mut headers, true).unwrap();
        assert_eq!(
            headers.get("x-forwarded-for").unwrap(),
            "10.0.0.1, 192.0.2.7"
        );
        assert_eq!(headers.get("x-forwarded-proto").unwrap(), "http");
    }

    #[test]
    fn the_chain_is_walked_from_the_right() {
        let trusted = CidrSet::new(["10.0.0.0/8".parse().unwrap()]);
        for (chain, client) in [
            ("192.0.2.1, 10.0.0.2", Some("192.0.2.1")),
            (
                "198.51.100.9, 192.0.2.1, 10.0.0.2, 10.0.0.1",
                Some("192.0.2.1"),
            ),
            ("10.0.0.3, 10.0.0.2", Some("10.0.0.3")),
            ("192.0.2.1, unknown", None),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("", None),
        ] {
            let mut headers = FieldList::new();
            headers.insert(X_FORWARDED_FOR, HeaderValue::from_static(chain));
            let expected = client.map(|client| client.parse().unwrap());
            assert_eq!(forwarded_client(&headers, &trusted), expected, "{chain}");
        }
    }

    #[test]
    fn protected_fields_can_neither_be_nominated_nor_respelled() {
        for token in [
            "cookie",
            "authorization",
            "x-forwarded-for",
            "content-length",
        ] {
            let mut headers = FieldList::new();
            headers.insert(header::CONNECTION, HeaderValue::from_static(token));
            assert_eq!(strip_request(&mut headers), Err(NOMINATED), "{token}");
        }
        let mut headers = map(&[
            ("connection", "x-mine, close"),
            ("x-mine", "1"),
            ("te", "gzip"),
        ]);
        let options = strip_request(&mut headers).unwrap();
        assert!(options.close && headers.is_empty());
        for name in ["x_forwarded_for", "x-forwarded_for", "content_length"] {
            assert_eq!(
                forward(&mut map(&[(name, "1")]), false),
                Err(UNDERSCORE),
                "{name}"
            );
        }
        assert!(forward(&mut map(&[("grpc_custom", "1")]), false).is_ok());
    }
}
