//! Connections: TLS and HTTP, bytes in and bytes out. The meaning of a request is decided in [`crate::request`].

mod framing;
pub mod http;
pub mod tls;
