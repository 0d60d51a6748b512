//! libFuzzer drives the target `response`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| adit_fuzz::target("response")(input));
