//! The part of the embedded store that says what rows look like, without the store.

#![expect(dead_code, reason = "the store uses the rest")]

#[path = "../crates/store/src/embedded/bulk_publish_row.rs"]
mod bulk_publish_row;
#[path = "../crates/store/src/embedded/devices_row.rs"]
mod devices_row;
#[path = "../crates/store/src/embedded/fuzz_body.rs"]
pub(crate) mod fuzz_body;
#[path = "../crates/store/src/embedded/keys.rs"]
mod keys;
#[path = "../crates/store/src/embedded/outbox_keys.rs"]
mod outbox_keys;
#[path = "../crates/store/src/embedded/outbox_rows.rs"]
mod outbox_rows;
#[path = "../crates/store/src/embedded/pool_row.rs"]
mod pool_row;
#[path = "../crates/store/src/embedded/row_bytes.rs"]
mod row_bytes;
#[path = "../crates/store/src/embedded/rows.rs"]
mod rows;
