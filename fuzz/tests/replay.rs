//! Every input of the corpora, and mutations of them, through every target.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use adit_fuzz::mutation::Mutator;
use adit_fuzz::{TARGETS, Target};

/// Mutations of a run that is not long.
const SHORT: usize = 30_000;

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs one input and says which one it was if it breaks a promise.
fn run(target: &Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        eprintln!("{}: b\"{}\"", target.name, input.escape_ascii());
        resume_unwind(panic);
    }
}

fn hammer(target: &Target) {
    let corpus = corpus(target);
    for input in &corpus {
        run(target, input);
    }
    if env::var_os("ADIT_TEST_SOAK").is_none() {
        let mut inputs = Mutator::new(1, &corpus, target.words);
        for _ in 0..SHORT {
            run(target, &inputs.next_input());
        }
        return;
    }
    let seconds = env::var("ADIT_FUZZ_SECONDS").map_or(60, |text| text.parse().unwrap());
    let seed = fastrand::u64(..);
    println!("{}: seed {seed}", target.name);
    let mut inputs = Mutator::new(seed, &corpus, target.words);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut count = 0_u64;
    while Instant::now() < end {
        run(target, &inputs.next_input());
        count += 1;
    }
    println!("{}: {count} inputs", target.name);
}

/// The target of this name.
fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap()
}

/// Acceptance: 3, 5, 53
#[test]
fn heads_of_requests_have_one_reading() {
    hammer(target("request"));
}

/// Acceptance: 53
#[test]
fn heads_of_responses_have_one_reading() {
    hammer(target("response"));
}

/// Acceptance: 3, 53
#[test]
fn chunked_bodies_have_one_reading() {
    hammer(target("chunked"));
}

/// Acceptance: 30, 31, 53
#[test]
fn proxy_headers_say_what_they_plainly_say() {
    hammer(target("proxy_header"));
}

/// Acceptance: 21, 53
#[test]
fn a_hello_names_the_host_that_the_library_sees() {
    hammer(target("client_hello"));
}

/// Acceptance: 53
#[test]
fn hosts_have_one_canonical_form() {
    hammer(target("host"));
}

/// Acceptance: 16, 53
#[test]
fn paths_have_known_readings() {
    hammer(target("path"));
}

/// Acceptance: 53
#[test]
fn every_target_is_run_and_every_corpus_has_a_target() {
    let here = include_str!("replay.rs");
    for target in TARGETS {
        let call = format!("hammer(target(\"{}\"))", target.name);
        assert!(here.contains(&call), "{} is not run", target.name);
    }
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(corpora).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // The executable runs its own: src/config/tests/fuzz.rs.
        let known = name == "config" || TARGETS.iter().any(|target| target.name == name);
        assert!(known, "corpus/{name} is nobody's");
    }
}
