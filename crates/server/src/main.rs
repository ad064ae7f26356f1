//! Carryall: a self-hosted server that speaks the Amazon Cognito Sync API.
//!
//! The rooms are listed in the order in which a request meets them, and none imports a room above itself:
//! [`cli`] starts the program; [`listener`] takes connections; [`live`] and [`request`] answer them, requests
//! through one file of [`ops`]; [`admin`] answers operators; [`relay`] and [`background`] work without a
//! request; the rest serves these.

mod admin;
mod app;
mod background;
mod cache;
mod capacity;
mod cli;
mod clock;
mod config;
mod effects;
mod failure;
#[cfg(test)]
mod faulty_store;
mod listener;
mod live;
mod lock;
mod logging;
mod metrics;
#[cfg(test)]
mod model_tests;
mod ops;
mod relay;
mod request;
mod source;
mod state;
mod stop;
mod supervision;
mod trust;

use std::process::ExitCode;

/// Requests make many small, short-lived allocations on many threads, for which the system's allocator is
/// slower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Every file that is created from here on is private to this user: keys, the control socket and the data.
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    cli::run(std::env::args_os())
}
