//! Every network call that leaves Carryall, behind small ports: streams, pushes to devices, triggers, and objects too
//! large for a stream.
//!
//! [`Outbound`] hands out the ports. What a route of the settings matches goes to a destination of one's own, over HTTP
//! or into a file; everything else goes to AWS, or to whatever peer the SDK's own environment variables
//! (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_KINESIS`, …) point at. It decides nothing: when to try again, whom to tell
//! and what to switch off is the server's. No type of the SDK is visible from outside.

mod aws;
mod cause;
mod file;
mod http;
mod outbound;
mod port;
mod push_json;
mod settings;

pub use self::outbound::Outbound;
pub use self::port::{
    Checked, Device, Finding, LargeObjectPort, Outcome, Platform, PushMessage, PushPort, PushUndelivered,
    StreamMessage, StreamPort, TriggerEvent, TriggerPort, TriggerUndelivered, Undelivered,
};
pub use self::settings::{
    FileDestination, HttpDestination, LargeObjectSettings, OutboundSettings, Route, StreamDestination,
};

use std::time::Duration;

/// The largest answer of a function that is taken; Lambda's own limit.
const TRIGGER_ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
