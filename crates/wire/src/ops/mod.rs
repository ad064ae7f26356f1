//! One file per operation, by service: its declaration and its two messages, without any decision.

pub mod identity;
pub mod sts;
pub mod sync;
