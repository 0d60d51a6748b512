//! `adit version`.

use super::Exit;
use crate::cli::Output;

pub(super) fn run(output: Output) -> Exit {
    let (version, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    match output {
        Output::Text => println!("adit {version} ({arch})"),
        Output::Json => println!("{}", serde_json::json!({"version": version, "arch": arch})),
    }
    Exit::Fine
}
