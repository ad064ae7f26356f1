//! The vocabulary and the rules of Carryall.
//!
//! Everything here is a function of values: ids that cannot be malformed ([`ids`]), what is stored ([`model`],
//! [`devices`]), what has to leave the server ([`outbox`]), what each operation decides ([`rules`]), the data that a decision turns into ([`changes`]) and the port through
//! which a store takes it ([`store`]). This crate performs no I/O, reads no clock, makes no randomness and knows no
//! async runtime; time, fresh ids and loaded views are arguments. It knows neither HTTP nor how rows become bytes.

pub mod changes;
pub mod cursor;
pub mod devices;
pub mod ids;
pub mod limits;
pub mod model;
pub mod outbox;
pub mod refusal;
pub mod rules;
pub mod shown_key;
pub mod store;
pub mod time;
pub mod tombstone;
pub mod violation;
