//! Connections: TLS and HTTP, bytes in and bytes out. The meaning of a request is decided in [`crate::request`].

mod drain;
mod framing;
pub mod http;
mod outgoing;
mod socket;
pub mod tls;
