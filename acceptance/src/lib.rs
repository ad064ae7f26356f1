//! The harness of the acceptance tests: it starts the program as a user would, and drives it with real
//! clients and with hand-written bytes. The tests are in `tests/it`. The harness judges no answer, and is no
//! part of the product.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is a test harness: whatever goes wrong must stop the test at once"
)]

pub mod api;
pub mod caller;
mod child;
pub mod clients;
pub mod http;
pub mod peers;
mod percent;
pub mod server;
pub mod signing;
pub mod streaming;

pub use api::{Api, Guest};
pub use caller::Caller;
pub use clients::{Device, DeviceSettings, Effects, Script};
pub use http::{Connection, Request, Response};
pub use server::{DIRECTORY, Ended, Server, ServerSettings, Store};
pub use signing::Signing;
pub use streaming::{StreamingPool, streaming_to};
