//! Query strings of lists, and the cursors in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postrider_api::fuzzing::cursor(input));
