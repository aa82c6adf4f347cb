//! Configuration: files and variables of the environment.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postrider::fuzzing::config(input));
