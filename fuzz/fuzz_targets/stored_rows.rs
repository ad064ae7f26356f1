//! Reading the rows of the embedded store.

#![no_main]

#[path = "../embedded.rs"]
mod embedded;
#[expect(dead_code, reason = "the store uses the rest")]
#[path = "../../crates/store/src/commit_semantics.rs"]
mod commit_semantics;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| embedded::fuzz_body::read_rows(bytes));
