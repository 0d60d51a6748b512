//! The table of docs/security/acceptance.md: what was promised, and which test shows it.
//!
//! A test that shows an item says so in a line above it, `/// Acceptance: 12, R-05`; a script of
//! tests/conformance in a line of its own, `# Acceptance: 12`. The page is made from these lines and
//! must be up to date. An item that no test names is open, and is shown as open.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::house;

/// Items by number: what must hold, and what has to exist before it can be shown.
const ITEMS: &[(&str, &str, &str)] = &[
    (
        "1",
        "Each input that the libraries let pass is refused by the strict gate, on both sides; nothing reaches a backend",
        "",
    ),
    (
        "2",
        "Framing of requests (D-10 to D-22), on fresh and reused connections; what follows is never served",
        "",
    ),
    (
        "3",
        "Lines, fields and chunks (D-30 to D-42); the same result byte by byte and in one segment",
        "",
    ),
    (
        "4",
        "Each byte value in each position: exactly the specified set is accepted",
        "",
    ),
    (
        "5",
        "What the gate passes is passed again when written anew",
        "",
    ),
    (
        "6",
        "Trailers (D-50 to D-53), every version, both directions",
        "",
    ),
    (
        "7",
        "Malformed HTTP/2 (D-60 to D-73), also as a downgrade with the head that the backend sees",
        "",
    ),
    (
        "8",
        "Methods, upgrades, expectations (D-80 to D-89); nothing is smuggled behind a refused upgrade",
        "",
    ),
    (
        "9",
        "Hostile responses (D-90 to D-97); the next client gets the right answer",
        "",
    ),
    (
        "10",
        "No client ever receives the answer to another's request, however backends behave",
        "",
    ),
    (
        "11",
        "Pools: requests that differ in upstream, verification or TLS name never share a connection",
        "",
    ),
    (
        "12",
        "Conformance runs: HTTP/2 without a failure, WebSocket frames byte for byte",
        "",
    ),
    ("13", "Hosts and targets (N-01 to N-08), every version", ""),
    (
        "14",
        "Two hundred spellings of paths against five route sets: the decision of the reference model",
        "",
    ),
    (
        "15",
        "Hosts with a single route pass encoded slashes, double slashes and dots unchanged",
        "",
    ),
    ("16", "Rewrites never emit a path that is not canonical", ""),
    (
        "17",
        "One function makes hosts canonical; all its call sites are known",
        "",
    ),
    (
        "18",
        "A LAN-only route is out of reach from the Internet however it is asked for, and cannot be told from an unknown one",
        "",
    ),
    (
        "19",
        "Forbidden destinations are refused when connecting, also after DNS rebinding",
        "",
    ),
    (
        "20",
        "Remote tunnel configuration cannot widen exposure",
        "the tunnel",
    ),
    (
        "21",
        "A ClientHello in any pieces and records is decided alike",
        "",
    ),
    (
        "22",
        "Broken ClientHellos (TL-07 to TL-12) get the stated alert; none reaches a default host",
        "",
    ),
    (
        "23",
        "One order of matching names for termination, passthrough and policies",
        "",
    ),
    (
        "24",
        "A broken certificate or policy closes its host only",
        "",
    ),
    (
        "25",
        "SNI against host of the request: 200 or 421 as the model says",
        "",
    ),
    (
        "26",
        "Tickets stay with their host and policy; rotation and hand-over work; no early data",
        "",
    ),
    (
        "27",
        "Old versions, renegotiation, compression and weak suites are refused; scanners find nothing",
        "",
    ),
    (
        "28",
        "Passthrough is exact in both directions, for a gigabyte and for ten thousand connections",
        "",
    ),
    ("29", "QUIC limits", "HTTP/3"),
    (
        "30",
        "PROXY headers: valid, invalid, cut and split at every byte (P-01 to P-16)",
        "",
    ),
    (
        "31",
        "PROXY headers that we send are read by an independent parser (P-17 to P-19)",
        "",
    ),
    (
        "32",
        "Protected fields arrive with our values and nobody else's (H-01 to H-17)",
        "",
    ),
    (
        "33",
        "Connection nominations cannot remove or resurrect a protected field",
        "",
    ),
    (
        "34",
        "Each limit L-01 to L-16 one below, at, and one above it",
        "",
    ),
    (
        "35",
        "Floods and stalls of HTTP/2: attackers are disconnected, memory and others unharmed",
        "",
    ),
    ("36", "The same over HTTP/3", "HTTP/3"),
    (
        "37",
        "Two thousand slow connections of each kind are closed by their deadline",
        "",
    ),
    (
        "38",
        "Work at the backend after a reset counts as running",
        "",
    ),
    (
        "39",
        "Memory per idle connection and worst case, recorded",
        "",
    ),
    (
        "40",
        "Overload stages enter and leave as specified; admin answers",
        "",
    ),
    ("41", "Hostile annotations", "Kubernetes"),
    ("42", "Ownership of hosts between namespaces", "Kubernetes"),
    (
        "43",
        "No connection to a forbidden address is attempted",
        "Kubernetes",
    ),
    ("44", "Quotas of namespaces", "Kubernetes"),
    ("45", "Permissions of the controller", "Kubernetes"),
    (
        "46",
        "No listener that the API server or pods would call",
        "Kubernetes",
    ),
    (
        "47",
        "Invalid security annotations close, never open",
        "Kubernetes",
    ),
    (
        "48",
        "Not root, read-only root, one capability, system calls filtered",
        "",
    ),
    (
        "49",
        "A canary secret appears in nothing that a run produced",
        "",
    ),
    (
        "50",
        "Killed at random moments during state writes: every restart loads valid state",
        "",
    ),
    (
        "51",
        "A panic costs its own connection; the watchdog sees a stuck worker",
        "",
    ),
    (
        "52",
        "Versions, licences, bills of materials, reproducible builds",
        "",
    ),
    ("53", "Fuzz targets run without crash, hang or hunger", ""),
    ("54", "Runs on pages of 16 KiB", ""),
    ("R-01", "Changing routes loses nothing", ""),
    ("R-02", "Rolling restarts and upgrades lose nothing", ""),
    ("R-03", "No connection is lost in an accept queue", ""),
    (
        "R-04",
        "An upgrade that fails leaves the old process serving",
        "",
    ),
    ("R-05", "A bad configuration never replaces a good one", ""),
    (
        "R-06",
        "A backend that dies in the middle of a response is visible and contained",
        "",
    ),
    ("R-07", "Failing DNS does not stop traffic", ""),
    ("R-08", "Trying again never duplicates work", ""),
    ("R-09", "One bad backend of three is cut out", ""),
    (
        "R-10",
        "An outage of the API server is invisible to traffic",
        "Kubernetes",
    ),
    ("R-11", "Storms of watches stay cheap", "Kubernetes"),
    (
        "R-12",
        "Running out of descriptors neither spins nor stops",
        "",
    ),
    ("R-13", "Memory pressure sheds load and kills nothing", ""),
    ("R-14", "Peers that are cut off are found", ""),
    ("R-15", "Loss of tunnel edges", "the tunnel"),
    ("R-16", "ACME or the authority is down", "ACME"),
    ("R-17", "A full disk", "ACME"),
    ("R-18", "Jumps of the clock", ""),
    ("R-19", "A panic is contained", ""),
    ("R-20", "Slow peers do not hurt others", ""),
    ("R-21", "Readiness ends before service does", ""),
    (
        "R-22",
        "A cold start is fast and never answers 404 for a route that exists",
        "",
    ),
    ("R-23", "Certificates are renewed in place", ""),
    ("R-24", "Overload ends when it ends", ""),
    ("R-25", "Bad networks to backends", ""),
    ("R-26", "Soak", ""),
    (
        "R-27",
        "Backends are replaced one by one without a loss",
        "",
    ),
    ("R-28", "Leaders change", "Kubernetes"),
    ("R-29", "Signals at bad moments", ""),
    ("R-30", "Versions N and N-1 side by side", "Kubernetes"),
    (
        "85",
        "Each rule that can refuse is counted by its id; nothing is refused without one",
        "",
    ),
    (
        "86",
        "What clients send stays inside one valid line of the log",
        "",
    ),
    ("87", "Conflicts are explained", "Kubernetes"),
    (
        "88",
        "Alert rules fire when they should and are silent otherwise",
        "",
    ),
    ("89", "Documented defaults are those in force", ""),
    ("90", "Relaxed options are visible", ""),
];

/// The page.
const PAGE: &str = "docs/security/acceptance.md";

/// A test or script that shows something.
struct Proof {
    file: PathBuf,
    name: String,
}

/// Every line that names items, with what stands under it.
fn proofs() -> BTreeMap<String, Vec<Proof>> {
    let mut found: BTreeMap<String, Vec<Proof>> = BTreeMap::new();
    let mut scripts = house::files(".sh");
    scripts.extend(house::files(".py"));
    for path in house::files(".rs").into_iter().chain(scripts) {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(house::root()).unwrap().to_owned();
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for (at, line) in lines.iter().enumerate() {
            let mark = ["/// Acceptance: ", "# Acceptance: "];
            let Some(items) = mark.iter().find_map(|mark| line.strip_prefix(mark)) else {
                continue;
            };
            let name = name_of(&file, &lines[at..]);
            for item in items.split(", ") {
                let known = ITEMS.iter().any(|(id, ..)| *id == item);
                assert!(known, "{}: there is no item {item:?}", file.display());
                found.entry(item.to_owned()).or_default().push(Proof {
                    file: file.clone(),
                    name: name.clone(),
                });
            }
        }
    }
    found
}

/// The name of the test whose comment begins here; a script has the name of its file.
fn name_of(file: &Path, lines: &[&str]) -> String {
    if file.extension().is_some_and(|ending| ending != "rs") {
        return file.file_name().unwrap().to_string_lossy().into_owned();
    }
    let mut is_test = false;
    for line in lines {
        is_test |= line.starts_with("#[test]");
        if let Some((_, rest)) = line.split_once("fn ") {
            let name = rest.split('(').next().unwrap_or_default();
            assert!(is_test, "{}: {name} is no test", file.display());
            return name.to_owned();
        }
    }
    panic!("{}: nothing under a line of items", file.display());
}

fn page() -> String {
    let proofs = proofs();
    let mut rows = String::new();
    let (mut shown, mut open) = (0, 0);
    for (id, what, awaits) in ITEMS {
        let tests = proofs.get(*id).map(Vec::as_slice).unwrap_or_default();
        let state = match (tests, awaits) {
            ([], &"") => {
                open += 1;
                "**open**".to_owned()
            }
            ([], awaits) => format!("awaits {awaits}"),
            _ => {
                shown += 1;
                "shown".to_owned()
            }
        };
        let names: Vec<String> = tests
            .iter()
            .map(|proof| format!("[{}](../../{})", proof.name, proof.file.display()))
            .collect();
        let _ = writeln!(rows, "| {id} | {what} | {state} | {} |", names.join("<br>"));
    }
    let awaiting = ITEMS.len() - shown - open;
    format!(
        "# What is shown, and by which test\n\n\
         This page is made from the tests: `ADIT_BLESS=1 cargo test --test it acceptance`. Each row is a \
         promise about hostile input or about failures. A test that names an item shows it or a part of it; \
         its own comment says which part where that is not plain. Long forms run with `./test --soak`, \
         scripts with `./test --conformance`.\n\n\
         {shown} items are shown, {open} are open, {awaiting} await a feature that adit does not have yet.\n\n\
         | item | what must hold | state | tests |\n|---|---|---|---|\n{rows}"
    )
}

#[test]
fn the_page_of_proofs_is_up_to_date() {
    let path = house::root().join(PAGE);
    let made = page();
    if env::var_os("ADIT_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, made).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == written,
        "{PAGE} is stale: ADIT_BLESS=1 cargo test --test it acceptance"
    );
}

#[test]
fn items_have_one_row_each() {
    for (at, (id, ..)) in ITEMS.iter().enumerate() {
        let again = ITEMS[at + 1..].iter().any(|(other, ..)| other == id);
        assert!(!again, "{id} has two rows");
    }
}
