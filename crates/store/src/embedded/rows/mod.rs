//! The values of rows, a file for each noun, all made of the elements in [`bytes`]. Their keys are in `keys.rs` and
//! `outbox_keys.rs`.

pub(super) mod bulk_publish;
mod bytes;
pub(super) mod developer_key;
pub(super) mod devices;
pub(super) mod event;
pub(super) mod head;
pub(super) mod holdings;
pub(super) mod identity;
pub(super) mod lane;
pub(super) mod mark;
pub(super) mod number;
pub(super) mod pool;
pub(super) mod pool_ref;
pub(super) mod record;
#[cfg(test)]
mod sample;
pub(super) mod setting;
pub(super) mod stub;
pub(super) mod sweep;
pub(super) mod usage;
pub(super) mod work;
