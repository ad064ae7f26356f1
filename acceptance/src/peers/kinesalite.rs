//! kinesalite as Kinesis: streams take half a second to come and go, sequence numbers are of the real kind, and
//! the limit of a record's size is kept. It verifies no signatures and never throttles.

use std::net::SocketAddr;
use std::sync::OnceLock;

use super::aws::Service;
use super::process::Process;
use super::stream::Stream;
use crate::api::Caller;

/// A running kinesalite.
#[derive(Debug)]
pub struct Kinesalite {
    process: Process,
    caller: Caller,
}

impl Kinesalite {
    /// The account that kinesalite's streams are in.
    pub const ACCOUNT: &str = "000000000000";

    /// Starts a kinesalite of the test's own.
    pub fn start() -> Self {
        let process = Process::node("kinesalite.cjs").unwrap_or_else(|trouble| panic!("{trouble}"));
        Self { process, caller: Caller::developer("AKIAANYBODY000000000", "anything") }
    }

    /// The kinesalite that the tests of one run share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kinesalite> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Its base URL.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A stream of it, which may not be there yet.
    pub fn stream<'a>(&'a self, name: &'a str) -> Stream<'a> {
        Stream { kinesis: Service { peer: self.address(), caller: &self.caller, name: "kinesis" }, name }
    }
}
