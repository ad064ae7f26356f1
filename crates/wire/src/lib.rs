//! The wire contract: which operations exist, what their messages look like, and how both travel.
//!
//! Three services share one port: Cognito Sync, Cognito Identity and STS. A server calls [`codec::route`], then
//! [`codec::decode`], and answers with [`codec::encode`] or [`codec::encode_fault`]; a client builds its requests
//! with [`codec::request`]. Signatures are in [`sigv4`]; messages that the server sends by itself in [`effects`]. Nothing here knows a store or an HTTP server, and no
//! constraint on a member is checked: inputs are handed over as they came.

pub mod codec;
pub mod effects;
pub mod fault;
pub mod json_size;
pub mod limits;
mod member;
pub mod names;
pub mod ops;
pub mod service;
pub mod shapes;
pub mod sigv4;
pub mod spec;
pub mod timestamp;
