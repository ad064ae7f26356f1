//! The part of the embedded store that says what rows look like, without the store.

#![expect(dead_code, reason = "the store uses the rest")]

#[path = "../crates/store/src/embedded/fuzz_body.rs"]
pub(crate) mod fuzz_body;
#[path = "../crates/store/src/embedded/keys.rs"]
mod keys;
#[path = "../crates/store/src/embedded/outbox_keys.rs"]
mod outbox_keys;
#[path = "../crates/store/src/embedded/rows/mod.rs"]
mod rows;
#[path = "../crates/store/src/embedded/space.rs"]
mod space;
