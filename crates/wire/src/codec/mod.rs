//! Decoding of requests and encoding of answers, for every dialect.
//!
//! Decoding takes two steps, because the caller must be admitted before a body is read: [`route()`] reads the
//! head alone, and [`decode()`] combines path, query and headers with the body. The same generic code serves
//! all operations; their differences are in the table ([`crate::spec`]).

mod bound;
mod changes;
mod decode;
mod dialect;
mod encode;
mod envelope;
mod form;
mod json;
mod percent;
mod rejection;
mod request;
mod route;
mod xml;

pub use changes::{Changes, changes, last_sync_count};
pub use decode::{Decoded, decode};
pub use dialect::{Dialect, Wrapping};
pub use encode::{Answer, EncodeError, encode, encode_fault};
pub use form::FORM_BODY_BYTES_MAX;
pub use rejection::{JSON_DEPTH_MAX, Rejection};
pub use request::{Request, RequestError, request};
pub use route::{Form, Refused, Route, Routed, route};
