//! Fuzzing, for a bounded time, of the decoders of effects: arbitrary answers of triggers and requests for
//! live channels.

// With this attribute clippy treats the helper functions here as test code.
#![cfg(test)]

mod fuzz_body;

use std::time::Duration;

const RUN: Duration = Duration::from_secs(1);

#[test]
fn arbitrary_answers_of_a_function_are_read_or_refused() {
    bolero::check!().with_max_len(512).with_test_time(RUN).for_each(fuzz_body::read_answer);
}

#[test]
fn arbitrary_records_of_a_functions_answer_are_read_or_refused() {
    bolero::check!().with_max_len(512).with_test_time(RUN).for_each(fuzz_body::read_records);
}

#[test]
fn arbitrary_paths_of_live_channels_are_read_or_refused() {
    bolero::check!().with_max_len(256).with_test_time(RUN).for_each(fuzz_body::read_path);
}
