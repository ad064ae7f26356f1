//! Every network call that leaves Carryall, behind small ports: streams, pushes to devices, triggers, and objects too
//! large for a stream.
//!
//! [`Outbound`] hands out the ports. What a route of the settings matches goes to a destination of one's own, over HTTP
//! or into a file; everything else goes to AWS, or to whatever peer the SDK's own environment variables
//! (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_KINESIS`, …) point at. It decides nothing: when to try again, whom to tell
//! and what to switch off is the server's. No type of the SDK is visible from outside.

#![expect(dead_code, reason = "the API comes first, so that the server can be written")]

mod outbound;
mod port;
mod settings;

pub use self::outbound::Outbound;
pub use self::port::{
    Checked, Device, Finding, LargeObjectPort, Outcome, Platform, PushMessage, PushPort, PushUndelivered,
    StreamMessage, StreamPort, TriggerEvent, TriggerPort, TriggerUndelivered, Undelivered,
};
pub use self::settings::{
    FileDestination, HttpDestination, LargeObjectSettings, OutboundSettings, Route, StreamDestination,
};
