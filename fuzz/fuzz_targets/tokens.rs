//! Opening session and page tokens, and reading what was sealed in them.

#![no_main]
#![expect(dead_code, reason = "the program uses the rest")]

#[path = "../../crates/server/src/clock.rs"]
mod clock;
#[path = "../../crates/server/src/trust/fuzz_body.rs"]
mod fuzz_body;
#[path = "../../crates/server/src/trust/seal.rs"]
mod seal;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_body::open_token_with(bytes));
