//! The harness of the acceptance tests: it starts the program as a user would, and drives it with real clients
//! and with bytes written by hand. The tests themselves are in `tests/it`; nothing here judges an answer, and
//! nothing here is part of the product.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is a test harness: whatever goes wrong must stop the test at once"
)]

pub mod api;
pub mod clients;
pub mod http;
pub mod peers;
pub mod server;
pub mod signing;
pub mod streaming;

pub use api::{Api, Caller, Guest};
pub use clients::{Device, DeviceSettings, Script};
pub use http::{Connection, Request, Response};
pub use server::{DIRECTORY, Ended, Server, ServerSettings, Store};
pub use signing::Signing;
pub use streaming::{StreamingPool, streaming_to};
