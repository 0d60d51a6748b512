//! libFuzzer drives the target `proxy_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| adit_fuzz::target("proxy_header")(input));
