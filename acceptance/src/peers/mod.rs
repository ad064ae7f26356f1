//! The services that the server calls, and its listeners: real peers as child processes, and two small
//! servers of the harness. Each peer listens on the loopback only, and ends with its handle or with the
//! tests. A handle prepares its peer and reads back what arrived there; it judges nothing.

pub mod aws;
pub mod browser;
pub mod bucket;
pub mod fault_proxy;
pub mod kinesalite;
pub mod ministack;
pub mod moto;
pub mod polling;
pub mod receiver;
pub mod stream;

mod door;
mod process;

pub use aws::Service;
pub use browser::{Browser, BrowserEvent};
pub use bucket::Bucket;
pub use fault_proxy::{Fault, FaultProxy};
pub use kinesalite::Kinesalite;
pub use ministack::MiniStack;
pub use moto::{Endpoint, Moto};
pub use polling::until;
pub use receiver::{Answer, Received, Receiver};
pub use stream::{Stream, StreamRecord};
