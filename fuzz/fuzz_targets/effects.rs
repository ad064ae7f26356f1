//! Reading what a sync trigger's function answers, and the paths of live channels.

#![no_main]

#[path = "../../crates/wire/tests/it/effects/fuzz_body.rs"]
mod fuzz_body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    match which % 3 {
        0 => fuzz_body::read_answer(rest),
        1 => fuzz_body::read_records(rest),
        _ => fuzz_body::read_path(rest),
    }
});
