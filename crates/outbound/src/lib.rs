//! Every outgoing network call of Carryall, behind small ports: streams, pushes to devices, triggers, and
//! objects that are too large for a stream.
//!
//! [`Outbound`] returns the ports. A configured route sends matching effects to an HTTP endpoint or a file.
//! Everything else goes to AWS, or to the peer that the SDK's own environment variables (`AWS_ENDPOINT_URL`,
//! `AWS_ENDPOINT_URL_KINESIS`, …) name. This crate decides nothing: the server decides on retries, on
//! notifications, and on switching destinations off. No type of the SDK is visible from outside.

mod answer_memory;
mod aws;
mod cause;
mod file;
mod http;
mod outbound;
mod port;
mod push_json;
mod settings;

pub use self::answer_memory::{AnswerMemory, Asked};
pub use self::outbound::Outbound;
pub use self::port::{
    Checked, Device, Finding, LargeObjectPort, Outcome, Platform, PushMessage, PushPort, PushUndelivered,
    StreamMessage, StreamPort, TriggerEvent, TriggerPort, TriggerUndelivered, Undelivered,
};
pub use self::settings::{
    FileDestination, HttpDestination, LargeObjectSettings, OutboundSettings, Route, StreamDestination,
};

use std::time::Duration;

/// The largest accepted answer of a function, which is Lambda's own limit.
const TRIGGER_ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
