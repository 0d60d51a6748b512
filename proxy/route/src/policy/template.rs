//! Texts with variables: a fixed, typed set, written as in nginx (section 2.14). There is no
//! language behind it: no conditions, no nesting, no functions.
//!
//! A template is parsed when it is read, so that a wrong name is an error with its place. Names that
//! stand for a fixed text (`$namespace`) are replaced there and then. What a variable stands for in
//! a request is for the data plane to say.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

/// A text with variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    parts: Box<[Part]>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// As it stands.
    Text(Arc<str>),
    /// Replaced for each request.
    Variable(Variable),
    /// What a group of the expression found, 1 to 9.
    Capture(u8),
}

/// What can be asked of a request. Named as in nginx.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    /// `$scheme`: `http` or `https`.
    Scheme,
    /// `$host`, `$server_name`, `$best_http_host` without its port: the host, canonical.
    Host,
    /// `$http_host`: the host with the port that the client named.
    HostAndPort,
    /// `$http_NAME`: the first field of this name.
    Field(HeaderName),
    /// `$request_uri`: path and query as the client sent them.
    RequestUri,
    /// `$escaped_request_uri`: the same, percent-encoded as a value of a parameter.
    EscapedRequestUri,
    /// `$uri`, `$document_uri`: the path as it goes to the backend.
    Uri,
    /// `$request_method`.
    Method,
    /// `$query_string`, `$args`.
    Query,
    /// `$arg_NAME`: the first parameter of this name, as sent.
    Argument(Arc<str>),
    /// `$is_args`: `?` if there is a query.
    IsArgs,
    /// `$remote_addr`: the client, as section 4.2 finds it.
    RemoteAddr,
    /// `$remote_user`: who basic authentication let in.
    RemoteUser,
    /// `$server_port`: the port that the client connected to.
    ServerPort,
    /// `$pass_port`: the same, or what a trusted proxy says.
    PassPort,
    /// `$request_port`: the port that the client named with the host.
    RequestPort,
    /// `$is_request_port`: `:` if it named one.
    IsRequestPort,
    /// `$hostname`: the name of this machine.
    Hostname,
    /// `$location_path`: the path of the rule.
    LocationPath,
    /// `$content_type`.
    ContentType,
    /// `$content_length`.
    ContentLength,
    /// `$cookie_NAME`.
    Cookie(Arc<str>),
    /// `$request_id`, `$req_id`.
    RequestId,
    /// `$proxy_add_x_forwarded_for`.
    ForwardedFor,
    /// `$ssl_client_s_dn`.
    ClientSubject,
    /// `$ssl_client_i_dn`.
    ClientIssuer,
    /// `$ssl_client_verify`.
    ClientVerify,
    /// `$ssl_client_fingerprint`: SHA-1 of the certificate, in hexadecimal digits.
    ClientFingerprint,
    /// `$msec`: seconds since 1970, with three decimals.
    Milliseconds,
    /// `$time_iso8601`.
    TimeIso8601,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// No variable has this name.
    Unknown(String),
    /// A `$` with nothing behind it that could be a name.
    Lone,
    /// `${` without `}`.
    Open,
    /// `$1` to `$9` where no expression finds anything.
    Capture(u8),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "no variable is named `${name}`"),
            Self::Lone => f.write_str("a `$` without a name; write `$$` for a dollar sign"),
            Self::Open => f.write_str("`${` is not closed by `}`"),
            Self::Capture(group) => {
                write!(f, "`${group}` stands for nothing: there is no expression")
            }
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Parses a text in which `$name` and `${name}` are variables. `fixed` says which further names
    /// stand for a text that is known already.
    pub fn parse(text: &str, fixed: &[(&str, &str)]) -> Result<Self, TemplateError> {
        let template = Self::with_captures(text, fixed)?;
        match template.parts.iter().find_map(Part::capture) {
            Some(group) => Err(TemplateError::Capture(group)),
            None => Ok(template),
        }
    }

    /// As [`Template::parse`], for a text beside an expression: `$1` to `$9` are its groups.
    pub fn with_captures(text: &str, fixed: &[(&str, &str)]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            let (name, after) = variable_name(after)?;
            rest = after;
            if name == "$" {
                plain.push('$');
            } else if let Some((_, text)) = fixed.iter().find(|(known, _)| *known == name) {
                plain.push_str(text);
            } else if !name.starts_with("geoip2_") {
                // Nothing is known of where clients are, so the names of that are empty.
                let part = match name.as_bytes() {
                    [digit @ b'1'..=b'9'] => Part::Capture(digit - b'0'),
                    _ => Part::Variable(
                        variable(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?,
                    ),
                };
                push_text(&mut parts, &mut plain);
                parts.push(part);
            }
        }
        plain.push_str(rest);
        push_text(&mut parts, &mut plain);
        Ok(Self {
            parts: parts.into(),
        })
    }

    /// A text without variables.
    pub fn literal(text: impl Into<Arc<str>>) -> Self {
        Self {
            parts: [Part::Text(text.into())].into(),
        }
    }

    /// What stands before the first `?` of the text itself, and what follows it.
    pub fn split_query(&self) -> (Self, Option<Self>) {
        let at = self.parts.iter().enumerate().find_map(|(place, part)| {
            let Part::Text(text) = part else { return None };
            Some((place, text.split_once('?')?))
        });
        let Some((place, (before, after))) = at else {
            return (self.clone(), None);
        };
        let piece = |text: &str| (!text.is_empty()).then(|| Part::Text(text.into()));
        let path = self.parts.iter().take(place).cloned().chain(piece(before));
        let rest = self.parts.iter().skip(place + 1).cloned();
        let query = piece(after).into_iter().chain(rest);
        let of = |parts: Vec<Part>| Self {
            parts: parts.into(),
        };
        (of(path.collect()), Some(of(query.collect())))
    }

    /// The pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The whole text, if nothing in it is variable.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl Part {
    fn capture(&self) -> Option<u8> {
        match self {
            Self::Capture(group) => Some(*group),
            _ => None,
        }
    }
}

fn push_text(parts: &mut Vec<Part>, plain: &mut String) {
    if !plain.is_empty() {
        parts.push(Part::Text(std::mem::take(plain).into()));
    }
}

/// The name behind a `$`, and what follows it.
fn variable_name(text: &str) -> Result<(&str, &str), TemplateError> {
    if let Some(inner) = text.strip_prefix('{') {
        return inner.split_once('}').ok_or(TemplateError::Open);
    }
    if text.starts_with('$') || text.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(text.split_at(1));
    }
    let end = text
        .find(|next: char| !(next.is_ascii_alphanumeric() || next == '_'))
        .unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err(TemplateError::Lone),
        found => Ok(found),
    }
}

/// Names without a parameter.
const PLAIN: [(&str, Variable); 31] = [
    ("scheme", Variable::Scheme),
    ("pass_access_scheme", Variable::Scheme),
    ("host", Variable::Host),
    ("server_name", Variable::Host),
    ("http_host", Variable::HostAndPort),
    ("best_http_host", Variable::HostAndPort),
    ("request_uri", Variable::RequestUri),
    ("escaped_request_uri", Variable::EscapedRequestUri),
    ("uri", Variable::Uri),
    ("document_uri", Variable::Uri),
    ("request_method", Variable::Method),
    ("query_string", Variable::Query),
    ("args", Variable::Query),
    ("is_args", Variable::IsArgs),
    ("remote_addr", Variable::RemoteAddr),
    ("binary_remote_addr", Variable::RemoteAddr),
    ("remote_user", Variable::RemoteUser),
    ("server_port", Variable::ServerPort),
    ("pass_port", Variable::PassPort),
    ("request_port", Variable::RequestPort),
    ("is_request_port", Variable::IsRequestPort),
    ("hostname", Variable::Hostname),
    ("location_path", Variable::LocationPath),
    ("content_type", Variable::ContentType),
    ("content_length", Variable::ContentLength),
    ("request_id", Variable::RequestId),
    ("req_id", Variable::RequestId),
    ("proxy_add_x_forwarded_for", Variable::ForwardedFor),
    ("ssl_client_s_dn", Variable::ClientSubject),
    ("ssl_client_i_dn", Variable::ClientIssuer),
    ("ssl_client_verify", Variable::ClientVerify),
];

fn variable(name: &str) -> Option<Variable> {
    if let Some((_, variable)) = PLAIN.iter().find(|(known, _)| *known == name) {
        return Some(variable.clone());
    }
    match name {
        "ssl_client_fingerprint" => return Some(Variable::ClientFingerprint),
        "msec" => return Some(Variable::Milliseconds),
        "time_iso8601" => return Some(Variable::TimeIso8601),
        _ => {}
    }
    let (family, rest) = name.split_once('_').filter(|(_, rest)| !rest.is_empty())?;
    match family {
        "http" => {
            let field = rest.replace('_', "-").to_ascii_lowercase();
            HeaderName::try_from(field).ok().map(Variable::Field)
        }
        "arg" => Some(Variable::Argument(rest.into())),
        "cookie" => Some(Variable::Cookie(rest.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }

    #[test]
    fn texts_are_split_at_their_variables() {
        let cases = [
            ("", vec![]),
            ("plain", vec![text("plain")]),
            ("US$$ 5", vec![text("US$ 5")]),
            (
                "https://$host$request_uri",
                vec![
                    text("https://"),
                    Part::Variable(Variable::Host),
                    Part::Variable(Variable::RequestUri),
                ],
            ),
            (
                "${scheme}x",
                vec![Part::Variable(Variable::Scheme), text("x")],
            ),
            ("in-$namespace-", vec![text("in-shop-")]),
            (
                "$http_x_forwarded_email",
                vec![Part::Variable(Variable::Field(HeaderName::from_static(
                    "x-forwarded-email",
                )))],
            ),
            (
                "$arg_page/$cookie_sid",
                vec![
                    Part::Variable(Variable::Argument("page".into())),
                    text("/"),
                    Part::Variable(Variable::Cookie("sid".into())),
                ],
            ),
        ];
        for (written, wanted) in cases {
            let template = Template::parse(written, &[("namespace", "shop")]).unwrap();
            assert_eq!(template.parts(), wanted, "{written}");
        }
    }

    #[test]
    fn a_target_is_split_at_its_own_question_mark() {
        let cases = [
            ("/a", "/a", None),
            ("/a?b=$1", "/a", Some("b=$1")),
            ("/$1?", "/$1", Some("")),
            ("/$2/x?a?b", "/$2/x", Some("a?b")),
        ];
        for (text, path, query) in cases {
            let of = |text| Template::with_captures(text, &[]).unwrap();
            let wanted = (of(path), query.map(of));
            assert_eq!(of(text).split_query(), wanted, "{text}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        let cases = [
            ("$nope", TemplateError::Unknown("nope".into())),
            ("a$", TemplateError::Lone),
            ("$ x", TemplateError::Lone),
            ("${host", TemplateError::Open),
            ("/$2", TemplateError::Capture(2)),
            ("$arg_", TemplateError::Unknown("arg_".into())),
        ];
        for (written, wanted) in cases {
            assert_eq!(Template::parse(written, &[]), Err(wanted), "{written}");
        }
        let groups = Template::with_captures("/$2x", &[]).unwrap();
        assert_eq!(groups.parts(), [text("/"), Part::Capture(2), text("x")]);
    }
}
