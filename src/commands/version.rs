//! `adit version`.

use super::{Exit, say};
use crate::cli::Output;

pub(super) fn run(output: Output) -> Exit {
    let (version, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    match output {
        Output::Text => say(&format!("adit {version} ({arch})\n")),
        Output::Json => {
            let version = serde_json::json!({"version": version, "arch": arch});
            say(&format!("{version}\n"));
        }
    }
    Exit::Fine
}
