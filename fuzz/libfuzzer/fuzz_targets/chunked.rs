//! libFuzzer drives the target `chunked`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| adit_fuzz::target("chunked")(input));
