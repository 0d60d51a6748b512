//! Conditions beside host and path: methods, header fields, query parameters.
//!
//! Gateway API semantics: every condition must hold; of a repeated field or parameter the first
//! counts. Nothing is allocated unless an escaped parameter meets a regular expression.

use std::borrow::Cow;

use http::{HeaderName, Method};

use super::RequestView;
use crate::field_list::FieldList;
use crate::path::escaped_byte;
use crate::rule::{Conditions, FieldMatch, ValueMatch};

/// A condition that does not hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unmet<'a> {
    /// The method is none of these.
    Method(&'a [Method]),
    /// The header field is absent or says something else.
    Header(&'a FieldMatch<HeaderName>),
    /// The query parameter is absent or says something else.
    Query(&'a FieldMatch<String>),
}

/// Whether all conditions hold.
pub(super) fn hold(conditions: &Conditions, request: &RequestView<'_>) -> bool {
    unmet(conditions, request).next().is_none()
}

/// The conditions that do not hold.
pub(super) fn unmet<'a>(
    conditions: &'a Conditions,
    request: &RequestView<'a>,
) -> impl Iterator<Item = Unmet<'a>> {
    let Conditions {
        methods,
        headers,
        query,
    } = conditions;
    let RequestView {
        method,
        headers: sent,
        query: asked,
        ..
    } = *request;
    let wrong_method = !methods.is_empty() && !methods.contains(method);
    let headers = headers.iter().filter(|wanted| !header_holds(wanted, sent));
    let query = query
        .iter()
        .filter(move |wanted| !parameter_holds(wanted, asked.unwrap_or_default()));
    wrong_method
        .then_some(Unmet::Method(methods))
        .into_iter()
        .chain(headers.map(Unmet::Header))
        .chain(query.map(Unmet::Query))
}

/// How specific the conditions are: a method, then the number of fields, then of parameters.
pub(super) fn specificity(conditions: &Conditions) -> (bool, usize, usize) {
    (
        !conditions.methods.is_empty(),
        conditions.headers.len(),
        conditions.query.len(),
    )
}

/// Whether both say the same, in whatever order.
pub(super) fn are_same(one: &Conditions, other: &Conditions) -> bool {
    same_items(&one.methods, &other.methods)
        && same_items(&one.headers, &other.headers)
        && same_items(&one.query, &other.query)
}

fn same_items<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.iter().all(|item| other.contains(item)) && other.iter().all(|item| one.contains(item))
}

fn header_holds(wanted: &FieldMatch<HeaderName>, headers: &FieldList) -> bool {
    let Some(value) = headers.get(&wanted.name) else {
        return false;
    };
    match &wanted.value {
        ValueMatch::Exact(text) => text.as_bytes() == value.as_bytes(),
        ValueMatch::Regex(regex) => {
            std::str::from_utf8(value.as_bytes()).is_ok_and(|text| regex.is_match(text))
        }
        ValueMatch::Present => true,
    }
}

fn parameter_holds(wanted: &FieldMatch<String>, query: &str) -> bool {
    let mut parameters = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let Some((_, value)) = parameters.find(|(name, _)| bytes(name).eq(wanted.name.bytes())) else {
        return false;
    };
    match &wanted.value {
        ValueMatch::Exact(text) => bytes(value).eq(text.bytes()),
        ValueMatch::Regex(regex) => regex.is_match(&decoded(value)),
        ValueMatch::Present => true,
    }
}

fn decoded(value: &str) -> Cow<'_, str> {
    if value.contains(['%', '+']) {
        let raw: Vec<u8> = bytes(value).collect();
        Cow::Owned(String::from_utf8_lossy(&raw).into_owned())
    } else {
        Cow::Borrowed(value)
    }
}

/// The bytes that a name or value of a query stands for: `+` is a blank, a stray `%` is itself.
fn bytes(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        let (byte, used) = match escaped_byte(rest) {
            Some(byte) => (byte, 2),
            None if first == b'+' => (b' ', 0),
            None => (first, 0),
        };
        rest = tail.get(used..).unwrap_or_default();
        Some(byte)
    })
}
