//! Carryall: a self-hosted server that speaks the Amazon Cognito Sync API.
//!
//! Outside the request pipeline: [`cli`] (settings to a running server, and the operators' verbs), [`config`],
//! [`data_dir`], [`http`] and what belongs to it, [`control`], [`background`], [`relay`]. A request goes from [`http`]
//! to [`pipeline`], and from there to one file of [`ops`]; a live channel to [`live`].

mod access;
mod admin;
mod app;
mod attempt;
mod authenticate;
mod background;
mod banner;
mod body;
mod call;
mod cli;
mod clock;
mod config;
mod control;
mod cors;
mod credentials;
mod data_dir;
mod effects;
mod error;
mod framing;
mod http;
mod identity_token;
mod live;
mod live_channels;
mod logging;
mod metrics;
mod ops;
mod pipeline;
mod places;
mod pool_check;
mod pools;
mod probes;
mod relay;
mod seal;
mod sessions;
mod stop;
mod throttle;
mod tls;
mod trigger;
mod turns;
mod wakes;

use std::process::ExitCode;

/// Requests make many small, short-lived allocations on many threads, which the system's allocator serves slower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Whatever is written from here on is for this user alone: keys, the control socket and the data.
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    cli::run(std::env::args_os())
}
