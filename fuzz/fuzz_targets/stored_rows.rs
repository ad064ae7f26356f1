//! Reading the rows of the embedded store.

#![no_main]

#[path = "../embedded.rs"]
mod embedded;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| embedded::fuzz_body::read_rows(bytes));
