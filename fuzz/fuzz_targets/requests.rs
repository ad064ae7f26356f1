//! Routing and decoding of requests. The first byte says where the others stand in for a part of one.

#![no_main]

#[path = "../../crates/wire/tests/it/hostile/fuzz_body.rs"]
mod fuzz_body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    match which % 4 {
        0 => fuzz_body::receive_body(rest),
        1 => fuzz_body::receive_path(rest),
        2 => fuzz_body::receive_target(rest),
        _ => fuzz_body::receive_damaged_example(rest),
    }
});
