//! One file per operation, by service: its declaration and both of its messages, and nothing that decides anything.

pub mod identity;
pub mod sts;
pub mod sync;
