//! Edits of header fields.

use adit_route::FieldList;
use adit_route::policy::FieldEdits;
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::expand::expand;
use super::passage::Scene;

/// The edits of one message with their values for one request: expanded first, applied later,
/// since what they are taken from is what they change.
pub(super) struct Edits<'a> {
    edits: &'a FieldEdits,
    values: SmallVec<[HeaderValue; 4]>,
}

impl<'a> Edits<'a> {
    /// Expands the values. A value that a variable makes unfit for a field becomes empty.
    pub(super) fn of(edits: &'a FieldEdits, scene: &Scene<'_>) -> Self {
        let templates = edits.set.iter().chain(&edits.add);
        let value = |(_, template): &(HeaderName, _)| match &expand(template, scene) {
            text if text.is_empty() => HeaderValue::from_static(""),
            text => HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("")),
        };
        Self {
            edits,
            values: templates.map(value).collect(),
        }
    }

    /// Removes, sets and adds. An empty value sets nothing, as in nginx: the field is absent then.
    pub(super) fn apply(self, headers: &mut FieldList) {
        for name in &self.edits.remove {
            headers.remove(name);
        }
        let set = self.edits.set.len();
        let named = self.edits.set.iter().chain(&self.edits.add);
        for (at, ((name, _), value)) in named.zip(self.values).enumerate() {
            if at < set {
                headers.remove(name);
            }
            if !value.is_empty() {
                headers.append(name.clone(), value);
            }
        }
    }
}
