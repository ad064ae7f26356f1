//! Reading and verifying the authentication in the head of a request.

#![no_main]

#[path = "../../crates/wire/tests/it/sigv4/fuzz_body.rs"]
mod fuzz_body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzz_body::verify_head_with(bytes);
});
