//! Files made from other files: whatever comes, it is refused or accepted, quickly and without a
//! panic, and what is said about it can be shown.

use std::time::{Duration, Instant};

use adit_fuzz::mutation::Mutator;

use super::*;

/// Mutations of a run that is not long.
const SHORT: usize = 1_500;

const WORDS: &[&[u8]] = &[
    b"\n",
    b"  ",
    b"- ",
    b": ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"&a ",
    b"*a",
    b"|\n",
    b"!!str ",
    b"\"",
    b"'",
    b"# ",
    b"---\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\t",
    b"listeners:",
    b"routes:",
    b"host: ",
    b"bind: \"[::]:443\"",
    b"backends: [\"http://127.0.0.1:80\"]",
    b"18446744073709551616",
    b"-1",
    b"null",
    b"off",
    b"1e999",
];

fn corpus() -> Vec<Vec<u8>> {
    let dir = repository().join("fuzz/corpus/config");
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut corpus: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    corpus.push(include_bytes!("everything.yaml").to_vec());
    corpus
}

fn run(place: &Workplace, input: &[u8]) {
    // A file that is not UTF-8 is refused before it is read as YAML.
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let start = Instant::now();
    if let Err(report) = place.load(text) {
        assert!(!report.diagnostics.is_empty(), "refused without a reason");
        let shown = report.render(false);
        let control = |letter: char| letter.is_control() && letter != '\n';
        assert!(!shown.contains(control), "{shown:?}");
        report.json();
    }
    assert!(start.elapsed() < Duration::from_secs(20), "hangs");
}

/// Acceptance: 53
#[test]
fn any_text_is_a_configuration_or_is_refused_with_reasons() {
    let place = Workplace::new();
    let corpus = corpus();
    for input in &corpus {
        run(&place, input);
    }
    let soak = std::env::var_os("ADIT_TEST_SOAK").is_some();
    let seed = if soak { fastrand::u64(..) } else { 1 };
    let seconds = std::env::var("ADIT_FUZZ_SECONDS").map_or(60, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut inputs = Mutator::new(seed, &corpus, WORDS);
    let mut count = 0;
    while (soak && Instant::now() < end) || (!soak && count < SHORT) {
        let input = inputs.next_input();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&place, &input)));
        if let Err(panic) = caught {
            eprintln!("seed {seed}: b\"{}\"", input.escape_ascii());
            std::panic::resume_unwind(panic);
        }
        count += 1;
    }
}
