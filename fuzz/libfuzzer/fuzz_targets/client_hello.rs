//! libFuzzer drives the target `client_hello`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| adit_fuzz::target("client_hello")(input));
