//! kinesalite as Kinesis: streams take half a second to come and go, sequence numbers have the real format,
//! and the size limit of records applies. It verifies no signatures and never throttles.

use std::net::SocketAddr;
use std::sync::OnceLock;

use super::aws::Service;
use super::process::Process;
use super::stream::Stream;
use crate::caller::Caller;

/// A running kinesalite.
#[derive(Debug)]
pub struct Kinesalite {
    process: Process,
    caller: Caller,
}

impl Kinesalite {
    /// The account of kinesalite's streams.
    pub const ACCOUNT: &str = "000000000000";

    /// Starts a kinesalite for one test.
    pub fn start() -> Self {
        let process = Process::node("kinesalite.cjs").unwrap_or_else(|trouble| panic!("{trouble}"));
        Self { process, caller: Caller::developer("AKIAANYBODY000000000", "anything") }
    }

    /// The kinesalite that the tests of one run share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kinesalite> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The address of kinesalite.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// The base URL of kinesalite.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A stream, which need not exist yet.
    pub fn stream<'a>(&'a self, name: &'a str) -> Stream<'a> {
        Stream { kinesis: Service { peer: self.address(), caller: &self.caller, name: "kinesis" }, name }
    }
}
