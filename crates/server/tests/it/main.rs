//! The program as its users start it: settings, files, signals, commands, and the limits of its listener. The
//! meaning of requests is tested elsewhere.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail with the test")]

mod damage;
mod limits;
mod server;
mod start;
mod tls;
mod verbs;
