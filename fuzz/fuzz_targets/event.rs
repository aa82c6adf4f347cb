//! Bodies of events: what is taken goes on byte for byte.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postrider_api::fuzzing::event(input));
