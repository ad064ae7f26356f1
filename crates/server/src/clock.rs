//! The only reader of the time and source of randomness. Both enter once per request and travel as values.

use std::time::SystemTime;

use carryall_core::ids::{LeaseId, PoolIncarnation, SessionId};
use carryall_core::time::UnixMillis;
use rustix::rand::{GetRandomFlags, getrandom};
use uuid::Uuid;

/// Time and fresh ids.
#[derive(Clone, Debug)]
pub struct Clock {
    _private: (),
}

impl Clock {
    /// The clock and the random numbers of this machine. It is created once, where the program starts, and
    /// passed down: a function without a clock knows no time.
    pub fn system() -> Self {
        Self { _private: () }
    }

    /// The present second since 1970, for outgoing messages with a timestamp.
    pub fn unix_seconds(&self) -> u64 {
        u64::try_from(self.now().seconds()).unwrap_or_default()
    }

    /// The present time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    #[expect(clippy::unused_self, reason = "only who holds the clock may know the time")]
    pub fn now(&self) -> UnixMillis {
        let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// Fills `bytes` with random ones from the operating system. A generator in the program would spend tens
    /// of milliseconds of the first start on gathering entropy.
    #[expect(clippy::unused_self, reason = "only who holds the clock may make randomness")]
    pub fn fill(&self, bytes: &mut [u8]) {
        let mut filled_bytes = 0;
        while filled_bytes < bytes.len() {
            #[expect(
                clippy::expect_used,
                reason = "without randomness nothing may be issued; the kernel's never fails once seeded"
            )]
            let more = getrandom(&mut bytes[filled_bytes..], GetRandomFlags::empty())
                .expect("the operating system gives random bytes");
            filled_bytes += more;
        }
    }

    /// A new sync session id.
    pub fn session_id(&self) -> SessionId {
        SessionId(self.u64())
    }

    /// A new lease of a lane of the outbox.
    pub fn lease_id(&self) -> LeaseId {
        LeaseId(self.u64())
    }

    /// A random number, to spread events that would otherwise happen at the same moment.
    pub fn jitter(&self) -> u16 {
        let mut bytes = [0; 2];
        self.fill(&mut bytes);
        u16::from_be_bytes(bytes)
    }

    /// A new pool incarnation.
    pub fn pool_incarnation(&self) -> PoolIncarnation {
        PoolIncarnation(self.u64())
    }

    /// A new random (version 4) UUID, for pool and identity ids and request ids.
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}
