//! The forms of single values: each is a parser, a name and a sentence that says what is allowed.
//!
//! The same parser checks a value against the schema and gives it its type later, so the two can
//! never disagree.

mod backend;
mod rate;
mod server;
mod units;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use adit_route::policy::OriginPattern;
use adit_route::{CanonicalHost, HashKey, HostPattern, Pattern, Syntax, Template, path};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

pub(in crate::config) use backend::{BackendHost, BackendText, SCHEMES, Scheme, backend, scheme};
pub(in crate::config) use rate::rate;
pub(in crate::config) use server::{cache_time, query_name, server_url};
pub(in crate::config) use units::{duration, show_duration, show_size, size};

/// Why a text does not follow its form.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Misfit {
    /// What is wrong with it.
    pub(in crate::config) why: String,
    /// What was probably meant.
    pub(in crate::config) instead: Option<String>,
}

impl Misfit {
    fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            instead: None,
        }
    }

    fn instead(mut self, instead: impl Into<String>) -> Self {
        self.instead = Some(instead.into());
        self
    }
}

type Parsed<T> = Result<T, Misfit>;

/// A form of single values.
pub(in crate::config) struct Scalar {
    /// What the reference calls it.
    pub(in crate::config) label: &'static str,
    /// What may be written.
    pub(in crate::config) allowed: &'static str,
    /// Whether a text follows the form.
    pub(in crate::config) check: fn(&str) -> Parsed<()>,
}

/// Any text.
pub(in crate::config) static TEXT: Scalar = Scalar {
    label: "text",
    allowed: "any text",
    check: |_| Ok(()),
};
/// A name that the operator gives.
pub(in crate::config) static NAME: Scalar = Scalar {
    label: "name",
    allowed: "letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 63",
    check: |text| name(text).map(drop),
};
/// A path in the file system.
pub(in crate::config) static FILE: Scalar = Scalar {
    label: "file",
    allowed: "a path, absolute or relative to the file that names it",
    check: |text| file_path(text).map(drop),
};
/// A host pattern of a route.
pub(in crate::config) static HOST: Scalar = Scalar {
    label: "host",
    allowed: "`name`, `*.name` (one more label), `**.name` (one or more) or `*`",
    check: |text| host(text).map(drop),
};
/// A host pattern of a rule or guard.
pub(in crate::config) static RULE_HOST: Scalar = Scalar {
    label: "host",
    allowed: "`name`, `*.name` (one more label), `**.name` (one or more), or `**` for every host",
    check: |text| rule_host(text).map(drop),
};
/// A block of addresses.
pub(in crate::config) static CIDR: Scalar = Scalar {
    label: "CIDR",
    allowed: "an address or a block, such as `192.168.1.0/24` or `2001:db8::/32`",
    check: |text| cidr(text).map(drop),
};
/// A network of the file, or a block of addresses.
pub(in crate::config) static PEERS: Scalar = Scalar {
    label: "network or CIDR",
    allowed: "a name under `networks`, or a block such as `192.168.1.0/24`",
    check: |text| peers(text).map(drop),
};
/// An address to listen on.
pub(in crate::config) static BIND: Scalar = Scalar {
    label: "address:port",
    allowed: "`address:port`, such as `0.0.0.0:443`, `127.0.0.1:8080` or \
            `[::]:443` (IPv6 and IPv4)",
    check: |text| bind(text).map(drop),
};
/// A network interface.
pub(in crate::config) static INTERFACE: Scalar = Scalar {
    label: "interface",
    allowed: "the name of a network interface, at most 15 characters",
    check: interface,
};
/// A path of a URL.
pub(in crate::config) static URL_PATH: Scalar = Scalar {
    label: "path",
    allowed: "a path that begins with `/` and can be read in one way only: no \
            `%` escapes of `/`, no `//`, no dot segments, no query",
    check: url_path,
};
/// A regular expression over paths.
pub(in crate::config) static PATH_REGEX: Scalar = Scalar {
    label: "regular expression",
    allowed: "a regular expression that is matched from the beginning of the path",
    check: |text| {
        // What the strict profile cannot read is refused where the profile is known.
        let read = Pattern::compile(text, Syntax::NGINX_PATH);
        read.map(drop)
            .map_err(|error| Misfit::new(error.to_string()))
    },
};
/// A regular expression over values.
pub(in crate::config) static REGEX: Scalar = Scalar {
    label: "regular expression",
    allowed: "a regular expression (syntax of the Rust crate `regex`: no \
            look-around, no back-references)",
    check: |text| value_regex(text).map(drop),
};
/// An HTTP method.
pub(in crate::config) static METHOD: Scalar = Scalar {
    label: "method",
    allowed: "an HTTP method in capital letters, such as `GET`",
    check: |text| method(text).map(drop),
};
/// Name of a header field.
pub(in crate::config) static HEADER_NAME: Scalar = Scalar {
    label: "header name",
    allowed: "the name of a header field, such as `x-tenant`",
    check: |text| header_name(text).map(drop),
};
/// Value of a header field.
pub(in crate::config) static HEADER_VALUE: Scalar = Scalar {
    label: "header value",
    allowed: "visible characters and blanks, without line breaks",
    check: |text| header_value(text).map(drop),
};
/// What is hashed to choose an endpoint.
pub(in crate::config) static HASH_KEY: Scalar = Scalar {
    label: "variable",
    allowed: "clientIp (or $remote_addr), header:NAME, cookie:NAME, query:NAME, path, host, or a \
            text with variables such as `$http_x_tenant$arg_shard`",
    check: |text| hash_key(text).map(drop),
};
/// The name of a cookie, and what else is a token (RFC 9110 §5.6.2).
pub(in crate::config) static TOKEN: Scalar = Scalar {
    label: "token",
    allowed: "letters, digits and any of `!#$%&'*+-.^_`|~`",
    check: token,
};
/// A status that is an error.
pub(in crate::config) static STATUS: Scalar = Scalar {
    label: "status",
    allowed: "a status of an error: 400 to 599",
    check: status,
};
/// A media type, or a family of them.
pub(in crate::config) static MEDIA_TYPE: Scalar = Scalar {
    label: "media type",
    allowed: "a media type such as `application/json`, or a family such as `text/*`",
    check: media_type,
};
/// A host, with or without a port.
pub(in crate::config) static HOST_PORT: Scalar = Scalar {
    label: "host",
    allowed: "a host name or address, with or without a port",
    check: |text| {
        let parsed = CanonicalHost::parse_authority(text.as_bytes());
        parsed
            .map(drop)
            .map_err(|error| Misfit::new(error.to_string()))
    },
};
/// A text with variables.
pub(in crate::config) static TEMPLATE: Scalar = Scalar {
    label: "text with variables",
    allowed: "a text; `$host`, `$request_uri`, `$remote_addr` and the like stand for values of the \
            request, `$$` for a dollar sign",
    check: |text| template(text).map(drop),
};
/// A server that is asked something.
pub(in crate::config) static SERVER_URL: Scalar = Scalar {
    label: "URL of a server",
    allowed: "`http://host:port/path` or `https://…`; path and query may hold variables",
    check: |text| server_url(text).map(drop),
};
/// Statuses and a time.
pub(in crate::config) static CACHE_TIME: Scalar = Scalar {
    label: "statuses and a time",
    allowed: "statuses and how long, such as `200 202 401 5m`; a time alone is for every status",
    check: |text| cache_time(text).map(drop),
};
/// Name of a parameter of a query.
pub(in crate::config) static QUERY_NAME: Scalar = Scalar {
    label: "name of a parameter",
    allowed: "letters, digits, `-`, `.`, `_` and `~`",
    check: |text| query_name(text).map(drop),
};
/// So many in a time.
pub(in crate::config) static RATE: Scalar = Scalar {
    label: "rate",
    allowed: "a number in a time: `10/s`, `300/m` or `1000/h`",
    check: |text| rate(text).map(drop),
};
/// A text with variables and groups.
pub(in crate::config) static TARGET: Scalar = Scalar {
    label: "text with variables and groups",
    allowed: "a text; `$1` to `$9` stand for the groups of the expression, `$host` and the like for \
            values of the request, `$$` for a dollar sign",
    check: |text| target(text).map(drop),
};
/// A host for backends.
pub(in crate::config) static UPSTREAM_HOST: Scalar = Scalar {
    label: "host",
    allowed: "a host, with a port if it needs one; variables stand for values of the request",
    check: upstream_host,
};
/// A domain of cookies.
pub(in crate::config) static COOKIE_DOMAIN: Scalar = Scalar {
    label: "domain",
    allowed: "a domain, with or without a leading dot",
    check: |text| dns_name(text.strip_prefix('.').unwrap_or(text)).map(drop),
};
/// An origin of scripts.
pub(in crate::config) static ORIGIN: Scalar = Scalar {
    label: "origin",
    allowed: "`https://app.example.com`, with a port if it is not the usual one; \
            `https://*.example.com` for one label; `null`; `*` for every origin",
    check: |text| origin(text).map(drop),
};
/// A range of status codes.
pub(in crate::config) static STATUS_RANGE: Scalar = Scalar {
    label: "status or range",
    allowed: "a status such as `204`, or a range such as `200-399`",
    check: |text| status_range(text).map(drop),
};
/// A backend in its short form.
pub(in crate::config) static BACKEND: Scalar = Scalar {
    label: "backend",
    allowed: "`http://h:p`, `https://h:p`, `h2c://h:p`, `h2://h:p`, \
            `unix:/path`, or `h:p` for TCP and passthrough",
    check: |text| backend(text).map(drop),
};
/// A name that DNS answers.
pub(in crate::config) static DNS_NAME: Scalar = Scalar {
    label: "DNS name",
    allowed: "a host name without wildcard and port",
    check: |text| dns_name(text).map(drop),
};

pub(in crate::config) fn name(text: &str) -> Parsed<&str> {
    const MAX: usize = 63;
    let front = text
        .chars()
        .next()
        .is_some_and(|letter| letter.is_ascii_alphanumeric());
    let body = text
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.'));
    if front && body && text.len() <= MAX {
        Ok(text)
    } else {
        Err(Misfit::new(format!("`{text}` cannot be a name")))
    }
}

pub(in crate::config) fn file_path(text: &str) -> Parsed<&str> {
    if text.is_empty() || text.contains('\0') {
        Err(Misfit::new("this is not a path"))
    } else {
        Ok(text)
    }
}

pub(in crate::config) fn host(text: &str) -> Parsed<HostPattern> {
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

pub(in crate::config) fn rule_host(text: &str) -> Parsed<HostPattern> {
    if text == "**" {
        Ok(HostPattern::Any)
    } else {
        host(text)
    }
}

pub(in crate::config) fn dns_name(text: &str) -> Parsed<CanonicalHost> {
    CanonicalHost::parse(text.as_bytes())
        .map_err(|error| Misfit::new(error.to_string()))
        .and_then(|name| {
            if name.is_ip_literal() {
                Err(Misfit::new("this is an address"))
            } else {
                Ok(name)
            }
        })
}

pub(in crate::config) fn cidr(text: &str) -> Parsed<IpNet> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            let misfit = Misfit::new(format!("`{text}` is not a block of addresses"));
            let bare = text.strip_prefix('[').unwrap_or(text).replace(']', "");
            match bare.parse::<IpNet>() {
                Ok(block) => misfit.instead(block.to_string()),
                Err(_) => misfit,
            }
        })
}

/// What `allow`, `deny` and `from` name.
pub(in crate::config) enum Peers<'t> {
    /// A network of the file.
    Network(&'t str),
    /// A block.
    Block(IpNet),
}

pub(in crate::config) fn peers(text: &str) -> Parsed<Peers<'_>> {
    match cidr(text) {
        Ok(block) => Ok(Peers::Block(block)),
        Err(misfit) if text.contains(['/', ':']) => Err(misfit),
        Err(_) => name(text).map(Peers::Network),
    }
}

pub(in crate::config) fn bind(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| {
        let misfit = Misfit::new(format!("`{text}` is not an address with a port"));
        let bare = text
            .strip_prefix(':')
            .or_else(|| text.strip_prefix("*:"))
            .unwrap_or(text);
        if let Ok(port) = bare.parse::<u16>() {
            return misfit.instead(format!("[::]:{port}"));
        }
        if let Some(port) = text
            .strip_prefix("localhost:")
            .and_then(|port| port.parse::<u16>().ok())
        {
            return misfit.instead(format!("127.0.0.1:{port}"));
        }
        match text.rsplit_once(':') {
            Some((address, port))
                if address.parse::<Ipv6Addr>().is_ok() && port.parse::<u16>().is_ok() =>
            {
                misfit.instead(format!("[{address}]:{port}"))
            }
            _ => misfit,
        }
    })
}

fn interface(text: &str) -> Parsed<()> {
    const MAX: usize = 15;
    let good = (1..=MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if good {
        Ok(())
    } else {
        Err(Misfit::new(format!(
            "`{text}` cannot be a network interface"
        )))
    }
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

pub(in crate::config) fn value_regex(text: &str) -> Parsed<Regex> {
    regex(text)
}

fn regex(text: &str) -> Parsed<Regex> {
    const SIZE: usize = 1024 * 1024;
    RegexBuilder::new(text)
        .size_limit(SIZE)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            Misfit::new(reason.strip_prefix("error: ").unwrap_or(reason))
        })
}

pub(in crate::config) fn method(text: &str) -> Parsed<Method> {
    let upper = text.to_ascii_uppercase();
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if upper == text => Ok(method),
        Ok(_) => Err(Misfit::new("methods are compared letter by letter").instead(upper)),
        Err(_) => Err(Misfit::new(format!("`{text}` is not an HTTP method"))),
    }
}

pub(in crate::config) fn header_name(text: &str) -> Parsed<HeaderName> {
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Misfit::new(format!("`{text}` is not the name of a header field")))
}

pub(in crate::config) fn header_value(text: &str) -> Parsed<HeaderValue> {
    HeaderValue::from_str(text)
        .map_err(|_| Misfit::new("the text cannot be the value of a header field"))
}

fn status(text: &str) -> Parsed<()> {
    match text.parse::<u16>() {
        Ok(400..=599) => Ok(()),
        _ => Err(Misfit::new(format!(
            "`{text}` is not the status of an error"
        ))),
    }
}

fn media_type(text: &str) -> Parsed<()> {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let fits = essence
        .split_once('/')
        .is_some_and(|(kind, more)| token(kind).is_ok() && token(more).is_ok());
    if fits && HeaderValue::from_str(text).is_ok() {
        Ok(())
    } else {
        Err(Misfit::new(format!("`{text}` is not a media type")))
    }
}

fn token(text: &str) -> Parsed<()> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(known) {
        Ok(())
    } else {
        Err(Misfit::new(format!("`{text}` is no token")))
    }
}

pub(in crate::config) fn template(text: &str) -> Parsed<Template> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Misfit::new("the text holds control characters"));
    }
    Template::parse(text, &[]).map_err(|error| Misfit::new(error.to_string()))
}

/// A template beside an expression.
pub(in crate::config) fn target(text: &str) -> Parsed<Template> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Misfit::new("the text holds control characters"));
    }
    Template::with_captures(text, &[]).map_err(|error| Misfit::new(error.to_string()))
}

fn upstream_host(text: &str) -> Parsed<()> {
    let template = template(text)?;
    let Some(host) = template.as_literal() else {
        return Ok(());
    };
    match CanonicalHost::parse_authority(host.as_bytes()) {
        Ok(_) => Ok(()),
        Err(error) => Err(Misfit::new(error.to_string())),
    }
}

/// An origin; `None` is every one.
pub(in crate::config) fn origin(text: &str) -> Parsed<Option<OriginPattern>> {
    OriginPattern::parse(text).map_err(|error| {
        let misfit = Misfit::new(error.to_string());
        match text.trim_end_matches('/') {
            bare if bare != text && OriginPattern::parse(bare).is_ok() => misfit.instead(bare),
            _ => misfit,
        }
    })
}

pub(in crate::config) fn hash_key(text: &str) -> Parsed<HashKey> {
    let argument = |argument: &str| {
        if argument.is_empty() {
            Err(Misfit::new("the name behind `:` is missing"))
        } else {
            Ok(argument.to_owned())
        }
    };
    if text.contains('$') && text != "$remote_addr" {
        return template(text).map(HashKey::Template);
    }
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
                Err(match crate::config::spelling::nearest(other, known) {
                    Some(nearest) => misfit.instead(nearest),
                    None => misfit,
                })
            }
        },
    }
}

pub(in crate::config) fn status_range(text: &str) -> Parsed<(StatusCode, StatusCode)> {
    let wrong = || Misfit::new(format!("`{text}` is not a status or a range of them"));
    let status = |text: &str| {
        text.parse::<StatusCode>()
            .ok()
            .filter(|status| (100..=599).contains(&status.as_u16()))
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (
        status(low).ok_or_else(wrong)?,
        status(high).ok_or_else(wrong)?,
    );
    if low <= high {
        Ok((low, high))
    } else {
        Err(wrong().instead(format!("{}-{}", high.as_u16(), low.as_u16())))
    }
}
