//! The fields of a message, in the order in which they came.
//!
//! A message has a dozen fields and is asked for twice as many, most of which it does not have. A
//! flat list with a filter in front answers both cheaply: nothing is hashed into a table, and a
//! field that is not there is found missing by one bit. Names are lower case, as [`HeaderName`]
//! has them; the order of fields, also of one name, is that of arrival.

use http::{HeaderMap, HeaderName, HeaderValue};

/// An ordered list of fields, several of which may have one name.
#[derive(Clone, Debug, Default)]
pub struct FieldList {
    fields: Vec<(HeaderName, HeaderValue)>,
    /// A bit per class of names that has ever been added: a clear bit means that the name is not there.
    seen: u64,
}

/// The bit of a name: its length, first and last byte tell the names of the field apart well.
fn bit(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let (first, last) = (bytes.first(), bytes.last());
    let mix = bytes.len() * 5
        + first.map_or(0, |&byte| usize::from(byte))
        + last.map_or(0, |&byte| usize::from(byte) * 3);
    1 << (mix % 64)
}

impl FieldList {
    /// No fields.
    pub const fn new() -> Self {
        Self {
            fields: Vec::new(),
            seen: 0,
        }
    }

    /// No fields, with room for some.
    pub fn with_capacity(fields: usize) -> Self {
        Self {
            fields: Vec::with_capacity(fields),
            seen: 0,
        }
    }

    /// How many fields there are, those of one name counted each.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first value of a name.
    pub fn get(&self, name: impl AsRef<str>) -> Option<&HeaderValue> {
        let name = name.as_ref();
        if self.seen & bit(name) == 0 {
            return None;
        }
        self.fields
            .iter()
            .find(|(known, _)| known.as_str() == name)
            .map(|(_, value)| value)
    }

    /// All values of a name, in order.
    pub fn get_all(&self, name: impl AsRef<str>) -> impl DoubleEndedIterator<Item = &HeaderValue> {
        let fields = match self.seen & bit(name.as_ref()) {
            0 => &[],
            _ => self.fields.as_slice(),
        };
        fields
            .iter()
            .filter(move |(known, _)| known.as_str() == name.as_ref())
            .map(|(_, value)| value)
    }

    /// Whether there is a field of this name.
    pub fn contains_key(&self, name: impl AsRef<str>) -> bool {
        self.get(name).is_some()
    }

    /// Adds a field behind the others.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.seen |= bit(name.as_str());
        self.fields.push((name, value));
    }

    /// Makes this the only field of its name; the first value that it had is returned.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) -> Option<HeaderValue> {
        let before = self.remove(&name);
        self.append(name, value);
        before
    }

    /// Removes all fields of a name; the first value is returned.
    pub fn remove(&mut self, name: impl AsRef<str>) -> Option<HeaderValue> {
        let name = name.as_ref();
        if self.seen & bit(name) == 0 {
            return None;
        }
        let mut first = None;
        self.fields.retain_mut(|(known, value)| {
            let gone = known.as_str() == name;
            if gone && first.is_none() {
                first = Some(std::mem::replace(value, HeaderValue::from_static("")));
            }
            !gone
        });
        first
    }

    /// Keeps the fields for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.fields.retain(|(name, value)| keep(name, value));
    }

    /// The fields, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&HeaderName, &HeaderValue)> {
        self.fields.iter().map(|(name, value)| (name, value))
    }

    /// The names, one for each field.
    pub fn keys(&self) -> impl Iterator<Item = &HeaderName> {
        self.fields.iter().map(|(name, _)| name)
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &HeaderValue> {
        self.fields.iter().map(|(_, value)| value)
    }
}

impl PartialEq for FieldList {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for FieldList {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let mut list = Self::new();
        for (name, value) in fields {
            list.append(name, value);
        }
        list
    }
}

impl From<HeaderMap> for FieldList {
    fn from(map: HeaderMap) -> Self {
        let mut list = Self::with_capacity(map.len() + 8);
        let mut last = None;
        for (name, value) in map {
            // A map names each group of fields once.
            if name.is_some() {
                last = name;
            }
            if let Some(name) = &last {
                list.append(name.clone(), value);
            }
        }
        list
    }
}

impl From<FieldList> for HeaderMap {
    fn from(list: FieldList) -> Self {
        let mut map = Self::with_capacity(list.len());
        for (name, value) in list.fields {
            map.append(name, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn list(fields: &[(&'static str, &'static str)]) -> FieldList {
        let field = |&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn fields_of_one_name_stay_in_order_and_go_together() {
        let mut fields = list(&[("a", "1"), ("via", "x"), ("a", "2")]);
        assert_eq!(fields.get("a").unwrap(), "1");
        let all: Vec<_> = fields.get_all("a").rev().collect();
        assert_eq!(all, ["2", "1"]);
        assert_eq!(
            fields
                .insert(header::VIA, HeaderValue::from_static("y"))
                .unwrap(),
            "x"
        );
        assert_eq!(fields.get(header::VIA).unwrap(), "y");
        assert_eq!(fields.remove("a").unwrap(), "1");
        assert_eq!((fields.len(), fields.contains_key("a")), (1, false));
        assert_eq!(fields.remove("a"), None);
    }

    #[test]
    fn a_map_and_a_list_hold_the_same_fields() {
        let fields = list(&[("cookie", "a"), ("x-y", "b"), ("cookie", "c")]);
        let map = HeaderMap::from(fields.clone());
        assert_eq!(map.get_all("cookie").iter().count(), 2);
        let back = FieldList::from(map);
        assert_eq!(back.len(), 3);
        let cookies: Vec<_> = back.get_all("cookie").collect();
        assert_eq!(cookies, ["a", "c"]);
    }
}
