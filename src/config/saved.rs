//! A configuration as it is kept for a restart: the texts that were read, with their names.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::source::{Source, Sources};

/// The texts of a configuration. What they refer to is read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    files: Vec<SavedFile>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SavedFile {
    name: String,
    base: PathBuf,
    text: String,
}

impl Saved {
    pub(super) fn new(sources: &Sources) -> Self {
        let file = |source: &Source| SavedFile {
            name: source.name.to_string(),
            base: source.base.clone(),
            text: source.text.clone().unwrap_or_default(),
        };
        Self {
            files: sources.files.iter().map(file).collect(),
        }
    }

    pub(super) fn sources(&self) -> Sources {
        let file = |saved: &SavedFile| Source {
            name: saved.name.as_str().into(),
            base: saved.base.clone(),
            text: Some(saved.text.clone()),
        };
        Sources {
            files: self.files.iter().map(file).collect(),
            watched: Vec::new(),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let file =
            |file: &SavedFile| json!({"name": file.name, "base": file.base, "text": file.text});
        json!({"version": 1, "files": self.files.iter().map(file).collect::<Vec<_>>()}).to_string()
    }

    /// `None` for what this version did not write.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        if value.get("version")?.as_u64()? != 1 {
            return None;
        }
        let text = |file: &Value, key: &str| Some(file.get(key)?.as_str()?.to_owned());
        let file = |file: &Value| {
            Some(SavedFile {
                name: text(file, "name")?,
                base: text(file, "base")?.into(),
                text: text(file, "text")?,
            })
        };
        let files = value
            .get("files")?
            .as_array()?
            .iter()
            .map(file)
            .collect::<Option<Vec<_>>>()?;
        Some(Self { files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let saved = Saved::new(&Sources::embedded(
            "a.yaml",
            "version: 1\n",
            std::path::Path::new("/etc"),
        ));
        assert_eq!(Saved::from_json(&saved.to_json()), Some(saved));
        assert_eq!(Saved::from_json("{}"), None);
        assert_eq!(Saved::from_json("{\"version\": 2, \"files\": []}"), None);
    }
}
