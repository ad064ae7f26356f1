//! The wire contract: the operations, their messages, and the encoding of both.
//!
//! Three services share one port: Cognito Sync, Cognito Identity and STS. A server calls [`codec::route`],
//! then [`codec::decode`], and answers with [`codec::encode`] or [`codec::encode_fault`]. A client builds its
//! requests with [`codec::request`]. Signatures are in [`sigv4`]; messages that the server sends unasked are
//! in [`effects`]. This crate knows no store and no HTTP server, and checks no constraint on a member: inputs
//! are handed over as received.

pub mod codec;
pub mod effects;
pub mod fault;
pub mod json_text;
pub mod limits;
mod member;
pub mod names;
pub mod ops;
pub mod service;
pub mod shapes;
pub mod sigv4;
pub mod spec;
pub mod timestamp;
