//! The committed reference is what the table says.

use super::super::{json_schema, limits_markdown, reference_markdown};
use super::*;

/// Compares a committed file; `ADIT_BLESS=1` writes it instead.
fn committed(name: &str, text: &str) {
    let path = repository().join("docs/reference").join(name);
    if std::env::var_os("ADIT_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{} is out of date: run `ADIT_BLESS=1 cargo test -p adit reference`",
        path.display()
    );
}

#[test]
fn the_reference_page_is_up_to_date() {
    committed("config.md", &reference_markdown());
}

/// Acceptance: 89
#[test]
fn the_reference_of_limits_is_up_to_date() {
    committed("limits.md", &limits_markdown());
}

#[test]
fn the_reference_schema_is_up_to_date() {
    let text = serde_json::to_string_pretty(&json_schema()).unwrap();
    committed("adit.schema.json", &format!("{text}\n"));
}

#[test]
fn the_reference_schema_defines_everything_that_it_refers_to() {
    let schema = json_schema();
    let text = schema.to_string();
    let definitions = schema["$defs"].as_object().unwrap();
    let referred = text
        .split("#/$defs/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    for name in referred {
        assert!(definitions.contains_key(name), "{name}");
    }
    assert!(definitions.len() > 20);
}
