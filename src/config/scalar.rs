//! The forms of single values: each is a parser, a name and a sentence that says what is allowed.
//!
//! The same parser checks a value against the schema and gives it its type later, so the two can
//! never disagree.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use adit_route::{CanonicalHost, HashKey, HostPattern, path};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

/// Why a text does not follow its form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// What is wrong with it.
    pub(super) why: String,
    /// What was probably meant.
    pub(super) instead: Option<String>,
}

impl Misfit {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), instead: None }
    }

    fn instead(mut self, instead: impl Into<String>) -> Self {
        self.instead = Some(instead.into());
        self
    }
}

type Parsed<T> = Result<T, Misfit>;

/// A form of single values.
pub(super) struct Scalar {
    /// What the reference calls it.
    pub(super) label: &'static str,
    /// What may be written.
    pub(super) allowed: &'static str,
    /// Whether a text follows the form.
    pub(super) check: fn(&str) -> Parsed<()>,
}

/// Any text.
pub(super) static TEXT: Scalar = Scalar { label: "text", allowed: "any text", check: |_| Ok(()) };
/// A name that the operator gives.
pub(super) static NAME: Scalar = Scalar {
    label: "name",
    allowed: "letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 63",
    check: |text| name(text).map(drop),
};
/// A path in the file system.
pub(super) static FILE: Scalar = Scalar {
    label: "file",
    allowed: "a path, absolute or relative to the file that names it",
    check: |text| file_path(text).map(drop),
};
/// A host pattern of a route.
pub(super) static HOST: Scalar = Scalar {
    label: "host",
    allowed: "`name`, `*.name` (one more label), `**.name` (one or more) or `*`",
    check: |text| host(text).map(drop),
};
/// A host pattern of a rule or guard.
pub(super) static RULE_HOST: Scalar = Scalar {
    label: "host",
    allowed: "`name`, `*.name` (one more label), `**.name` (one or more), or `**` for every host",
    check: |text| rule_host(text).map(drop),
};
/// A block of addresses.
pub(super) static CIDR: Scalar = Scalar {
    label: "CIDR",
    allowed: "an address or a block, such as `192.168.1.0/24` or `2001:db8::/32`",
    check: |text| cidr(text).map(drop),
};
/// A network of the file, or a block of addresses.
pub(super) static PEERS: Scalar = Scalar {
    label: "network or CIDR",
    allowed: "a name under `networks`, or a block such as `192.168.1.0/24`",
    check: |text| peers(text).map(drop),
};
/// An address to listen on.
pub(super) static BIND: Scalar = Scalar {
    label: "address:port",
    allowed: "`address:port`, such as `0.0.0.0:443`, `127.0.0.1:8080` or `[::]:443` (IPv6 and IPv4)",
    check: |text| bind(text).map(drop),
};
/// A network interface.
pub(super) static INTERFACE: Scalar = Scalar {
    label: "interface",
    allowed: "the name of a network interface, at most 15 characters",
    check: interface,
};
/// A path of a URL.
pub(super) static URL_PATH: Scalar = Scalar {
    label: "path",
    allowed: "a path that begins with `/` and can be read in one way only: no `%` escapes of `/`, no `//`, no dot segments, no query",
    check: url_path,
};
/// A regular expression over paths.
pub(super) static PATH_REGEX: Scalar = Scalar {
    label: "regular expression",
    allowed: "a regular expression that is matched from the beginning of the path",
    check: |text| path_regex(text).map(drop),
};
/// A regular expression over values.
pub(super) static REGEX: Scalar = Scalar {
    label: "regular expression",
    allowed: "a regular expression (syntax of the Rust crate `regex`: no look-around, no back-references)",
    check: |text| value_regex(text).map(drop),
};
/// An HTTP method.
pub(super) static METHOD: Scalar = Scalar {
    label: "method",
    allowed: "an HTTP method in capital letters, such as `GET`",
    check: |text| method(text).map(drop),
};
/// Name of a header field.
pub(super) static HEADER_NAME: Scalar = Scalar {
    label: "header name",
    allowed: "the name of a header field, such as `x-tenant`",
    check: |text| header_name(text).map(drop),
};
/// Value of a header field.
pub(super) static HEADER_VALUE: Scalar = Scalar {
    label: "header value",
    allowed: "visible characters and blanks, without line breaks",
    check: |text| header_value(text).map(drop),
};
/// What is hashed to choose an endpoint.
pub(super) static HASH_KEY: Scalar = Scalar {
    label: "variable",
    allowed: "clientIp (or $remote_addr), header:NAME, cookie:NAME, query:NAME, path, host",
    check: |text| hash_key(text).map(drop),
};
/// A range of status codes.
pub(super) static STATUS_RANGE: Scalar = Scalar {
    label: "status or range",
    allowed: "a status such as `204`, or a range such as `200-399`",
    check: |text| status_range(text).map(drop),
};
/// A backend in its short form.
pub(super) static BACKEND: Scalar = Scalar {
    label: "backend",
    allowed: "`http://h:p`, `https://h:p`, `h2c://h:p`, `h2://h:p`, `unix:/path`, or `h:p` for TCP and passthrough",
    check: |text| backend(text).map(drop),
};
/// A name that DNS answers.
pub(super) static DNS_NAME: Scalar =
    Scalar { label: "DNS name", allowed: "a host name without wildcard and port", check: |text| dns_name(text).map(drop) };

pub(super) fn name(text: &str) -> Parsed<&str> {
    const MAX: usize = 63;
    let front = text.chars().next().is_some_and(|letter| letter.is_ascii_alphanumeric());
    let body = text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.'));
    if front && body && text.len() <= MAX { Ok(text) } else { Err(Misfit::new(format!("`{text}` cannot be a name"))) }
}

pub(super) fn file_path(text: &str) -> Parsed<&str> {
    if text.is_empty() || text.contains('\0') { Err(Misfit::new("this is not a path")) } else { Ok(text) }
}

pub(super) fn host(text: &str) -> Parsed<HostPattern> {
    HostPattern::parse(text).map_err(|error| {
        let misfit = Misfit::new(error.to_string());
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        let bare = bare.split(['/', ':']).next().unwrap_or(bare);
        match HostPattern::parse(bare) {
            Ok(pattern) if bare != text => misfit.instead(pattern.to_string()),
            _ => misfit,
        }
    })
}

pub(super) fn rule_host(text: &str) -> Parsed<HostPattern> {
    if text == "**" { Ok(HostPattern::Any) } else { host(text) }
}

pub(super) fn dns_name(text: &str) -> Parsed<CanonicalHost> {
    CanonicalHost::parse(text.as_bytes())
        .map_err(|error| Misfit::new(error.to_string()))
        .and_then(|name| if name.is_ip_literal() { Err(Misfit::new("this is an address")) } else { Ok(name) })
}

pub(super) fn cidr(text: &str) -> Parsed<IpNet> {
    text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
        let misfit = Misfit::new(format!("`{text}` is not a block of addresses"));
        let bare = text.strip_prefix('[').unwrap_or(text).replace(']', "");
        match bare.parse::<IpNet>() {
            Ok(block) => misfit.instead(block.to_string()),
            Err(_) => misfit,
        }
    })
}

/// What `allow`, `deny` and `from` name.
pub(super) enum Peers<'t> {
    /// A network of the file.
    Network(&'t str),
    /// A block.
    Block(IpNet),
}

pub(super) fn peers(text: &str) -> Parsed<Peers<'_>> {
    match cidr(text) {
        Ok(block) => Ok(Peers::Block(block)),
        Err(misfit) if text.contains(['/', ':']) => Err(misfit),
        Err(_) => name(text).map(Peers::Network),
    }
}

pub(super) fn bind(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| {
        let misfit = Misfit::new(format!("`{text}` is not an address with a port"));
        let bare = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")).unwrap_or(text);
        if let Ok(port) = bare.parse::<u16>() {
            return misfit.instead(format!("[::]:{port}"));
        }
        if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok()) {
            return misfit.instead(format!("127.0.0.1:{port}"));
        }
        match text.rsplit_once(':') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() && port.parse::<u16>().is_ok() => {
                misfit.instead(format!("[{address}]:{port}"))
            }
            _ => misfit,
        }
    })
}

fn interface(text: &str) -> Parsed<()> {
    const MAX: usize = 15;
    let good = (1..=MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if good { Ok(()) } else { Err(Misfit::new(format!("`{text}` cannot be a network interface"))) }
}

fn url_path(text: &str) -> Parsed<()> {
    if !text.starts_with('/') {
        return Err(Misfit::new("the path does not begin with `/`").instead(format!("/{text}")));
    }
    path::check_rule_path(text).map_err(|error| {
        let misfit = Misfit::new(error.to_string());
        match path::canonical(text) {
            Some(canonical) if canonical != text && path::check_rule_path(&canonical).is_ok() => {
                misfit.instead(canonical.into_owned())
            }
            _ => misfit,
        }
    })
}

/// The expression is anchored at the beginning: `/api` must not match `/evil/api`.
pub(super) fn path_regex(text: &str) -> Parsed<Regex> {
    regex(&format!("^(?:{text})")).map_err(|_| match regex(text) {
        Err(misfit) => misfit,
        Ok(_) => Misfit::new("the expression is too large"),
    })
}

pub(super) fn value_regex(text: &str) -> Parsed<Regex> {
    regex(text)
}

fn regex(text: &str) -> Parsed<Regex> {
    const SIZE: usize = 1024 * 1024;
    RegexBuilder::new(text).size_limit(SIZE).build().map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        Misfit::new(reason.strip_prefix("error: ").unwrap_or(reason))
    })
}

pub(super) fn method(text: &str) -> Parsed<Method> {
    let upper = text.to_ascii_uppercase();
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if upper == text => Ok(method),
        Ok(_) => Err(Misfit::new("methods are compared letter by letter").instead(upper)),
        Err(_) => Err(Misfit::new(format!("`{text}` is not an HTTP method"))),
    }
}

pub(super) fn header_name(text: &str) -> Parsed<HeaderName> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| Misfit::new(format!("`{text}` is not the name of a header field")))
}

pub(super) fn header_value(text: &str) -> Parsed<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| Misfit::new("the text cannot be the value of a header field"))
}

pub(super) fn hash_key(text: &str) -> Parsed<HashKey> {
    let argument = |argument: &str| {
        if argument.is_empty() { Err(Misfit::new("the name behind `:` is missing")) } else { Ok(argument.to_owned()) }
    };
    match text.split_once(':') {
        Some(("header", field)) => header_name(field).map(HashKey::Header),
        Some(("cookie", cookie)) => argument(cookie).map(HashKey::Cookie),
        Some(("query", parameter)) => argument(parameter).map(HashKey::Query),
        Some((other, _)) => Err(Misfit::new(format!("`{other}:` is not known"))),
        None => match text {
            "clientIp" | "$remote_addr" => Ok(HashKey::ClientIp),
            "path" => Ok(HashKey::Path),
            "host" => Ok(HashKey::Host),
            other => {
                let known = ["clientIp", "$remote_addr", "path", "host"];
                let misfit = Misfit::new(format!("`{other}` is not a variable"));
                Err(match super::spelling::nearest(other, known) {
                    Some(nearest) => misfit.instead(nearest),
                    None => misfit,
                })
            }
        },
    }
}

pub(super) fn status_range(text: &str) -> Parsed<(StatusCode, StatusCode)> {
    let wrong = || Misfit::new(format!("`{text}` is not a status or a range of them"));
    let status = |text: &str| text.parse::<StatusCode>().ok().filter(|status| (100..=599).contains(&status.as_u16()));
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (status(low).ok_or_else(wrong)?, status(high).ok_or_else(wrong)?);
    if low <= high { Ok((low, high)) } else { Err(wrong().instead(format!("{}-{}", high.as_u16(), low.as_u16()))) }
}

/// The scheme of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    H2c,
    H2,
}

/// The words of [`Scheme`].
pub(super) const SCHEMES: [&str; 4] = ["http", "https", "h2c", "h2"];

pub(super) fn scheme(text: &str) -> Option<Scheme> {
    match text {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        "h2c" => Some(Scheme::H2c),
        "h2" => Some(Scheme::H2),
        _ => None,
    }
}

/// A backend as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BackendText<'t> {
    /// `unix:/path`.
    Unix(&'t str),
    /// `scheme://host:port`, or `host:port`.
    Authority { scheme: Option<Scheme>, host: BackendHost, port: u16 },
}

/// The host of a backend.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BackendHost {
    Address(IpAddr),
    Name(CanonicalHost),
}

pub(super) fn backend(text: &str) -> Parsed<BackendText<'_>> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        // sun_path holds 108 bytes with the closing NUL (unix(7)).
        const MAX: usize = 107;
        let good = path.starts_with('/') && path.len() <= MAX && !path.contains('\0');
        let wrong = || Misfit::new("a UNIX socket needs an absolute path of at most 107 bytes");
        return if good { Ok(BackendText::Unix(path)) } else { Err(wrong()) };
    }
    let (known, authority) = match text.split_once("://") {
        None => (None, text),
        Some((word, rest)) => {
            let Some(found) = scheme(word) else {
                let misfit = Misfit::new(format!("the scheme `{word}` is not known"));
                return Err(match super::spelling::nearest(word, SCHEMES) {
                    Some(near) => misfit.instead(format!("{near}://{rest}")),
                    None => misfit,
                });
            };
            (Some(found), rest)
        }
    };
    if let Some(end) = authority.find(['/', '?', '#']) {
        let (front, _) = authority.split_at(end);
        let front = text.strip_suffix(authority).map_or_else(|| front.to_owned(), |head| format!("{head}{front}"));
        let why = "a backend has no path or query: the path of the request is sent as it came";
        return Err(Misfit::new(why).instead(front));
    }
    if authority.contains('@') {
        return Err(Misfit::new("a backend has no user or password"));
    }
    let (host, port) = CanonicalHost::parse_authority(authority.as_bytes()).map_err(|error| {
        let misfit = Misfit::new(format!("`{authority}` is not a host with a port: {error}"));
        match authority.rsplit_once(':') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => misfit.instead(format!("[{address}]:{port}")),
            _ => misfit,
        }
    })?;
    let Some(port) = port else {
        let usual = if matches!(known, Some(Scheme::Https | Scheme::H2)) { 443 } else { 80 };
        return Err(Misfit::new("the port is missing").instead(format!("{text}:{usual}")));
    };
    let bare = host.as_str();
    let literal = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(bare).parse().ok();
    let host = literal.map_or(BackendHost::Name(host), BackendHost::Address);
    Ok(BackendText::Authority { scheme: known, host, port })
}

/// `250ms`, `5s`, `2m`, `1h`.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let misfit = || Misfit::new(format!("`{text}` is not a duration"));
    let count: u64 = number.parse().map_err(|_| misfit())?;
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(misfit().instead(format!("{count}s"))),
        other => {
            let usual = match other.trim().to_ascii_lowercase().as_str() {
                "sec" | "secs" | "second" | "seconds" | "s" => "s",
                "min" | "mins" | "minute" | "minutes" | "m" => "m",
                "hour" | "hours" | "h" => "h",
                "msec" | "millis" | "milliseconds" | "ms" => "ms",
                "d" | "day" | "days" => return Err(misfit().instead(format!("{}h", count.saturating_mul(24)))),
                _ => return Err(misfit()),
            };
            return Err(misfit().instead(format!("{count}{usual}")));
        }
    };
    count.checked_mul(factor).map(Duration::from_millis).ok_or_else(misfit)
}

/// `64KiB`, `10MiB`, `1GiB`, or plain bytes.
pub(super) fn size(text: &str) -> Parsed<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let misfit = || Misfit::new(format!("`{text}` is not a size"));
    let count: u64 = number.parse().map_err(|_| misfit())?;
    let factor = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        other => {
            let usual = match other.trim().to_ascii_lowercase().as_str() {
                "k" | "kb" | "ki" | "kib" => "KiB",
                "m" | "mb" | "mi" | "mib" => "MiB",
                "g" | "gb" | "gi" | "gib" => "GiB",
                "t" | "tb" | "ti" | "tib" => "TiB",
                "b" | "bytes" => "",
                _ => return Err(misfit()),
            };
            return Err(misfit().instead(format!("{count}{usual}")));
        }
    };
    count.checked_mul(factor).ok_or_else(misfit)
}

/// A duration as a person would write it.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// A size as a person would write it.
pub(super) fn show_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| bytes.to_string(), |(factor, unit)| format!("{}{unit}", bytes / factor))
}
