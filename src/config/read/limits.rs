//! Limits, straight from their table.

use std::time::Duration;

use adit_proxy::limits::Limits;
use adit_route::CidrSet;

use super::super::scalar::{duration, show_duration, show_size, size};
use super::super::schema::{Slot, limit_rows};
use super::super::tree::Node;

/// The limits of the document.
pub(super) fn limits(root: &Node) -> Limits {
    let mut limits = Limits::default();
    let Some(node) = root.field("limits") else {
        return limits;
    };
    for (key, _, slot) in limit_rows() {
        if let Some(value) = node.field(key.name) {
            set(&mut limits, *slot, value);
        }
    }
    limits
}

fn set(limits: &mut Limits, slot: Slot, value: &Node) {
    let bytes = || size(value.text()?).ok();
    let count = || value.integer();
    let time = || duration(value.text()?).ok();
    match slot {
        Slot::Size(field) => assign(
            field(limits),
            bytes().and_then(|bytes| bytes.try_into().ok()),
        ),
        Slot::Size32(field) => assign(
            field(limits),
            bytes().and_then(|bytes| bytes.try_into().ok()),
        ),
        Slot::Count(field) => assign(
            field(limits),
            count().and_then(|count| count.try_into().ok()),
        ),
        Slot::Count32(field) => assign(
            field(limits),
            count().and_then(|count| count.try_into().ok()),
        ),
        Slot::Time(field) => assign::<Duration>(field(limits), time()),
        Slot::Blocks(field) => *field(limits) = CidrSet::new(super::cidrs(value)),
    }
}

fn assign<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// A limit with its value, for `check --limits`.
pub(crate) struct LimitValue {
    /// Key under `limits`.
    pub(crate) key: &'static str,
    /// Id in the security reference.
    pub(crate) id: &'static str,
    /// The value that holds.
    pub(crate) value: String,
    /// The value that is shipped.
    pub(crate) default: &'static str,
}

/// Every limit with the value that holds.
pub(crate) fn limit_values(limits: &Limits) -> Vec<LimitValue> {
    let mut limits = limits.clone();
    let mut value = |slot| match slot {
        Slot::Size(field) => show_size(*field(&mut limits) as u64),
        Slot::Size32(field) => show_size(u64::from(*field(&mut limits))),
        Slot::Count(field) => field(&mut limits).to_string(),
        Slot::Count32(field) => field(&mut limits).to_string(),
        Slot::Time(field) => show_duration(*field(&mut limits)),
        Slot::Blocks(field) => {
            let blocks = field(&mut limits).blocks().iter().map(ToString::to_string);
            format!("[{}]", blocks.collect::<Vec<_>>().join(", "))
        }
    };
    let row = |(key, id, slot): &(super::super::schema::Key, &'static str, Slot)| LimitValue {
        key: key.name,
        id,
        value: value(*slot),
        default: key.default,
    };
    limit_rows().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance: 89
    #[test]
    fn the_documented_defaults_are_the_shipped_ones() {
        for limit in limit_values(&Limits::default()) {
            assert_eq!(limit.value, limit.default, "{}", limit.key);
        }
    }
}
