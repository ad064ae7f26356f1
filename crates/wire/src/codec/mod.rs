//! From bytes to members and back, for every dialect.
//!
//! Reading takes two steps, because who may call must be known before a body is worth reading: [`route()`] looks at
//! the head alone, [`decode()`] lays path, query and headers over the body. One generic body of code serves all
//! operations; what differs between them is in the table ([`crate::spec`]).

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
