//! The program as its users start it: settings, files, signals, verbs, and the limits of its listener. What requests
//! mean is tested elsewhere.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail with the test")]

mod damage;
mod limits;
mod server;
mod start;
mod tls;
mod verbs;
