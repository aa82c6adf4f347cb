//! Headers: those of requests that we read, and those of receivers' responses.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    postrider_api::fuzzing::header(input);
    postrider_sender::fuzzing::response_head(input);
});
