//! Carryall from outside: the program as a user runs it, driven by real clients over real sockets. Rules and
//! layouts are tested beside their code; these tests assert only what a client can see.
#![expect(clippy::unwrap_used, reason = "clippy exempts test functions only, not what they share")]

mod admission;
mod auth_matrix;
mod bulk_publish;
mod clients_that_cannot_run;
mod crash;
mod early_refusals;
mod front_doors;
mod hostile;
mod live;
mod outbox_verbs;
mod own_destinations;
mod pages_by_size;
mod peers;
mod proxies;
mod push;
mod relay;
mod relay_crash;
mod relay_faults;
mod replays;
mod roles;
mod rust_sdk;
mod scripts;
mod setup_as_code;
mod signatures;
mod slow_readers;
mod streams;
mod sync_manager;
mod trigger;

/// Runs each named `fn(&mut Server)` of the surrounding module as a test on every store.
macro_rules! on_every_store {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[test] fn $name() {
                super::$name(&mut carryall_acceptance::Server::start(carryall_acceptance::Store::Embedded));
            })+
        }
        mod memory {
            $(#[test] fn $name() {
                super::$name(&mut carryall_acceptance::Server::start(carryall_acceptance::Store::Memory));
            })+
        }
    };
}
use on_every_store;
