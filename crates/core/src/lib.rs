//! The vocabulary and the rules of Carryall.
//!
//! Everything here is a function of values: ids that cannot be malformed ([`ids`]), stored values ([`model`],
//! [`devices`]), events that have to leave the server ([`outbox`]), the decisions of operations ([`rules`]),
//! the writes that result from them ([`changes`]), and the port of a store ([`store`]). This crate performs
//! no I/O, reads no clock, creates no randomness and knows no async runtime: time, fresh ids and loaded views
//! are arguments. It knows neither HTTP nor the stored form of rows.

pub mod caller;
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
