//! Whole files: what they mean, and how wrong ones are reported.

mod access;
mod directory;
mod fuzz;
mod generated;
mod good;
mod good_routes;
mod hostile;
mod policies;

mod refused;
mod refused_routes;
mod rendering;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Config, Loaded, Report, load_str};

/// A directory with the PEM files that documents of the tests refer to; removed at the end.
struct Workplace {
    path: PathBuf,
}

impl Workplace {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "adit-config-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("tls")).unwrap();
        let place = Self { path };
        let certified =
            rcgen::generate_simple_self_signed(["internal.example.test".to_owned()]).unwrap();
        place.write("tls/ca.pem", &certified.cert.pem());
        place.write("tls/client.pem", &certified.cert.pem());
        place.write("tls/client.key", &certified.signing_key.serialize_pem());
        place.mode("tls/client.key", 0o640);
        place.write("tls/open.key", &certified.signing_key.serialize_pem());
        place.mode("tls/open.key", 0o644);
        place.write("tls/junk.pem", "junk\n");
        place.write(
            "tls/broken.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path.join(name), text).unwrap();
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self, text: &str) -> Result<Loaded, Report> {
        load_str("adit.yaml", text, &self.path)
    }

    /// A document that must be right.
    fn good(&self, text: &str) -> Config {
        match self.load(text) {
            Ok(loaded) => loaded.config,
            Err(report) => panic!("{report}\nin\n{text}"),
        }
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What every document needs, before the part that a test is about.
const HEAD: &str = "version: 1\nlisteners: [{name: w, role: lan, bind: \"127.0.0.1:0\"}]\n";

/// Lines of the form `line:column code path`, in the order of the report.
fn places(report: &Report) -> Vec<String> {
    let line = |found: &super::Diagnostic| {
        format!(
            "{}:{} {} {}",
            found.place.line, found.place.column, found.code, found.path
        )
    };
    report
        .diagnostics
        .iter()
        .map(|found| line(found).trim_end().to_owned())
        .collect()
}

/// A table of documents with the places that must be reported for each.
fn refuse(cases: &[(&str, &[&str])]) {
    let place = Workplace::new();
    let mut wrong = String::new();
    for (text, expected) in cases {
        let found = match place.load(text) {
            Ok(_) => vec!["accepted".to_owned()],
            Err(report) => places(&report),
        };
        if found != *expected {
            writeln!(
                wrong,
                "{text}\n  found    {found:#?}\n  expected {expected:#?}"
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The same for parts of a document; `whole` makes it complete.
fn refuse_within(whole: impl Fn(&str) -> String, cases: &[(&str, &[&str])]) {
    let texts: Vec<_> = cases.iter().map(|(text, _)| whole(text)).collect();
    let expected = cases.iter().map(|(_, expected)| *expected);
    let cases: Vec<_> = texts.iter().map(String::as_str).zip(expected).collect();
    refuse(&cases);
}

/// The same for documents that begin with [`HEAD`].
fn refuse_after_head(cases: &[(&str, &[&str])]) {
    refuse_within(|text| format!("{HEAD}{text}"), cases);
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
