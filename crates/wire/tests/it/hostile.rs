//! Arbitrary requests against routing and decoding, for a bounded time.

// With this attribute clippy treats the helper functions here as test code.
#![cfg(test)]

mod fuzz_body;

use std::time::Duration;

const RUN: Duration = Duration::from_secs(2);

#[test]
fn arbitrary_bodies_are_read_or_refused_by_every_operation() {
    bolero::check!().with_max_len(512).with_test_time(RUN).for_each(fuzz_body::receive_body);
}

#[test]
fn arbitrary_paths_and_queries_are_read_or_refused() {
    bolero::check!().with_max_len(256).with_test_time(RUN).for_each(fuzz_body::receive_path);
}

#[test]
fn arbitrary_targets_methods_and_forms_are_read_or_refused() {
    bolero::check!().with_max_len(256).with_test_time(RUN).for_each(fuzz_body::receive_target);
}

#[test]
fn damaged_examples_are_read_or_refused() {
    bolero::check!().with_max_len(25).with_test_time(RUN).for_each(fuzz_body::receive_damaged_example);
}
