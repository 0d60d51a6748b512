//! The reference pages and the JSON Schema, from the table that the reader uses.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::scalar::{show_duration, show_size};
use super::schema::{Key, Kind, ROOT, Table, limit_rows};

/// `docs/reference/config.md`.
pub(crate) fn reference_markdown() -> String {
    let mut out = String::from(
        "# Configuration reference\n\n<!-- Generated from src/config/schema by \
         `ADIT_BLESS=1 cargo test -p adit reference`. Do not edit. -->\n\n",
    );
    let mut tables = Vec::new();
    gather(&ROOT, "", &mut tables);
    for (table, path) in &tables {
        section(&mut out, table, path);
    }
    out
}

/// `docs/reference/limits.md`.
pub(crate) fn limits_markdown() -> String {
    let mut out = String::from(
        "# Limits\n\n<!-- Generated from src/config/schema/limits by \
         `ADIT_BLESS=1 cargo test -p adit reference`. Do not edit. -->\n\n\
         Each limit has an id, a key under `limits` and a default that is meant to be kept. \
         `adit check --limits` shows the values that hold.\n\n\
         | id | key | default | from | to | meaning |\n|---|---|---|---|---|---|\n",
    );
    for (key, id, _) in limit_rows() {
        let (from, to) = bounds(&key.kind);
        let Key {
            name, default, doc, ..
        } = key;
        let _ = writeln!(
            out,
            "| {id} | `{name}` | {default} | {from} | {to} | {doc} |"
        );
    }
    out
}

fn bounds(kind: &Kind) -> (String, String) {
    let time = |millis: u64| show_duration(Duration::from_millis(millis));
    match kind {
        Kind::Integer { min, max } => (min.to_string(), max.to_string()),
        Kind::Duration { min, max } => (time(*min), time(*max)),
        Kind::Size { min, max } => (show_size(*min), show_size(*max)),
        _ => (String::new(), String::new()),
    }
}

/// Every table once, in the order of the keys that lead to it, with the path of the first.
fn gather(table: &'static Table, path: &str, seen: &mut Vec<(&'static Table, String)>) {
    if seen.iter().any(|(known, _)| known.name == table.name) {
        return;
    }
    seen.push((table, path.to_owned()));
    for key in table.keys {
        let path = if path.is_empty() {
            key.name.to_owned()
        } else {
            format!("{path}.{}", key.name)
        };
        gather_kind(key.kind, &path, seen);
    }
    for included in table.includes {
        gather(included, path, seen);
    }
}

fn gather_kind(kind: Kind, path: &str, seen: &mut Vec<(&'static Table, String)>) {
    match kind {
        Kind::Table(table) => gather(table, path, seen),
        Kind::Named(_, inner) => gather_kind(*inner, &format!("{path}.NAME"), seen),
        Kind::List(inner) | Kind::Some(inner) | Kind::OneOrMore(inner) => {
            gather_kind(*inner, &format!("{path}[]"), seen);
        }
        Kind::Either(kinds) => kinds.iter().for_each(|kind| gather_kind(*kind, path, seen)),
        _ => {}
    }
}

fn section(out: &mut String, table: &Table, path: &str) {
    let title = match (path, table.includes.is_empty()) {
        ("", _) => "The file".to_owned(),
        _ if table.name == "common" => "Keys of routes and paths".to_owned(),
        _ => format!("`{path}`"),
    };
    let _ = writeln!(
        out,
        "## {title}\n\n<a id=\"{}\"></a>\n{}\n",
        anchor(table),
        table.doc
    );
    for included in table.includes {
        let _ = writeln!(
            out,
            "The [keys of routes and paths](#{}) may be written here too.\n",
            anchor(included)
        );
    }
    out.push_str("| key | type | default | unit | example | since | meaning |\n");
    out.push_str("|---|---|---|---|---|---|---|\n");
    for key in table.keys {
        row(out, key);
    }
    out.push('\n');
}

fn row(out: &mut String, key: &Key) {
    let Key {
        name,
        kind,
        doc,
        default,
        example,
        since,
        ..
    } = key;
    let default = match (key.required, *default) {
        (true, _) => "**required**".to_owned(),
        (false, text) => text.to_owned(),
    };
    let cell = |text: &str| text.replace('|', "\\|");
    let _ = writeln!(
        out,
        "| `{name}` | {} | {} | {} | `{}` | {since} | {} |",
        kind_name(kind),
        cell(&default),
        unit(kind),
        cell(example),
        cell(doc)
    );
}

fn anchor(table: &Table) -> String {
    format!("t-{}", table.name.replace(' ', "-").to_lowercase())
}

fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "truth value".to_owned(),
        Kind::Integer { min, max } => format!("number, {min} to {max}"),
        Kind::Duration { .. } => "duration".to_owned(),
        Kind::Size { .. } => "size".to_owned(),
        Kind::Word(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Scalar(form) => form.label.to_owned(),
        Kind::Table(table) => format!("[{}](#{})", table.name, anchor(table)),
        Kind::Named(name, inner) => format!("mapping of {} to {}", name.label, kind_name(inner)),
        Kind::List(inner) | Kind::Some(inner) => format!("list of {}", kind_name(inner)),
        Kind::OneOrMore(inner) => format!("{}, or a list", kind_name(inner)),
        Kind::Either(kinds) => kinds
            .iter()
            .map(kind_name)
            .collect::<Vec<_>>()
            .join(", or "),
    }
}

fn unit(kind: &Kind) -> &'static str {
    match kind {
        Kind::Duration { .. } => "`ms` `s` `m` `h`",
        Kind::Size { .. } => "bytes, `KiB` `MiB` `GiB`",
        Kind::Either(kinds) => kinds
            .iter()
            .map(unit)
            .find(|unit| !unit.is_empty())
            .unwrap_or(""),
        _ => "",
    }
}

/// `docs/reference/adit.schema.json`.
pub(crate) fn json_schema() -> Json {
    let mut tables = Vec::new();
    gather(&ROOT, "", &mut tables);
    let mut definitions = Map::new();
    for (table, _) in tables.iter().filter(|(table, _)| table.name != ROOT.name) {
        definitions.insert(definition_name(table), table_schema(table));
    }
    let mut root = table_schema(&ROOT);
    if let Json::Object(fields) = &mut root {
        fields.insert(
            "$schema".into(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        fields.insert("title".into(), json!("adit.yaml"));
        fields.insert("$defs".into(), Json::Object(definitions));
    }
    root
}

fn definition_name(table: &Table) -> String {
    table.name.replace(' ', "-")
}

fn table_schema(table: &Table) -> Json {
    let property = |key: &Key| {
        let mut schema = kind_schema(&key.kind);
        if let Json::Object(fields) = &mut schema {
            fields.insert("description".into(), json!(key.doc));
        }
        (key.name.to_owned(), schema)
    };
    let properties: Map<String, Json> = table.all_keys().map(property).collect();
    let required: Vec<_> = table
        .all_keys()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    json!({
        "type": "object",
        "description": table.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn kind_schema(kind: &Kind) -> Json {
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Duration { .. } => json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}),
        Kind::Size { .. } => json!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^[0-9]+(KiB|MiB|GiB|TiB)?$"},
        ]}),
        Kind::Word(words) => word_schema(words),
        Kind::Scalar(_) => json!({"type": ["string", "number", "boolean"]}),
        Kind::Table(table) => json!({"$ref": format!("#/$defs/{}", definition_name(table))}),
        Kind::Named(_, inner) => {
            json!({"type": "object", "additionalProperties": kind_schema(inner)})
        }
        Kind::List(inner) => json!({"type": "array", "items": kind_schema(inner)}),
        Kind::Some(inner) => json!({"type": "array", "items": kind_schema(inner), "minItems": 1}),
        Kind::OneOrMore(inner) => json!({"anyOf": [
            kind_schema(inner),
            {"type": "array", "items": kind_schema(inner), "minItems": 1},
        ]}),
        Kind::Either(kinds) => json!({"anyOf": kinds.iter().map(kind_schema).collect::<Vec<_>>()}),
    }
}

/// Words that look like other things to YAML readers are offered in both forms.
fn word_schema(words: &[&str]) -> Json {
    let number = |word: &&str| {
        word.parse::<f64>()
            .ok()
            .and_then(|_| serde_json::from_str::<Json>(word).ok())
    };
    let numbers: Vec<_> = words.iter().filter_map(number).collect();
    let mut all: Vec<_> = words
        .iter()
        .map(|word| json!(word))
        .chain(numbers)
        .collect();
    if words.contains(&"off") {
        all.push(json!(false));
    }
    json!({"enum": all})
}
