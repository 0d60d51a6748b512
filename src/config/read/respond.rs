//! Fixed answers.

use adit_route::{FieldList, FixedResponse};
use http::StatusCode;

use super::super::problem::{Code, Problem};
use super::super::scalar;
use super::super::tree::Node;
use super::Reader;

/// Fields that frame the message or belong to the connection: they are ours to write.
pub(super) const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "date",
];

/// A `respond` mapping.
pub(super) fn fixed_response(reader: &mut Reader<'_>, node: &Node) -> FixedResponse {
    let status = node
        .field("status")
        .and_then(Node::text)
        .and_then(|text| text.parse().ok());
    let status: StatusCode = status.unwrap_or(StatusCode::OK);
    let mut headers = FieldList::new();
    for entry in node.field("headers").into_iter().flat_map(Node::entries) {
        let value = entry.value.text().map(scalar::header_value);
        let (Ok(name), Some(Ok(value))) = (scalar::header_name(&entry.key), value) else {
            continue;
        };
        if FRAMING.contains(&name.as_str()) {
            let problem = Problem::error(
                Code::COMBINATION,
                entry.key_span,
                format!("the field `{name}` is written by adit itself"),
            );
            reader.push(problem.found(format!("`{}`", entry.key)).help("remove it"));
        } else if headers.insert(name, value).is_some() {
            let problem = Problem::error(
                Code::DUPLICATE_NAME,
                entry.key_span,
                "the field is there twice: names differ in more than case",
            );
            reader.push(
                problem
                    .found(format!("`{}`", entry.key))
                    .help("keep one of them"),
            );
        }
    }
    let body = node.field("body").and_then(Node::text).unwrap_or_default();
    let bodiless = matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    if bodiless && !body.is_empty() {
        reader.forbid(
            node,
            &["body"],
            "an answer with this status has no body (RFC 9110 §15)",
        );
    }
    FixedResponse {
        status,
        headers,
        body: body.as_bytes().to_vec(),
    }
}
