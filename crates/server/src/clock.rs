//! The only place that reads the time and makes randomness. Both enter once per request and travel as values.

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
    /// The clock and the random numbers of this machine. Made once, where the program starts, and handed down: a
    /// function that is given no clock knows no time.
    pub fn system() -> Self {
        Self { _private: () }
    }

    /// The present second since 1970, for messages to others that carry a date of their own.
    pub fn unix_seconds(&self) -> u64 {
        u64::try_from(self.now().seconds()).unwrap_or_default()
    }

    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    #[expect(clippy::unused_self, reason = "only who holds the clock may know the time")]
    pub fn now(&self) -> UnixMillis {
        let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// Fills `bytes` with unpredictable ones, from the operating system: a generator of the program's own would spend
    /// tens of milliseconds of the first start on gathering noise.
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

    /// A fresh sync session id.
    pub fn session_id(&self) -> SessionId {
        SessionId(self.u64())
    }

    /// A fresh lease of a lane of the outbox.
    pub fn lease_id(&self) -> LeaseId {
        LeaseId(self.u64())
    }

    /// Anything, to spread what would otherwise happen at the same moment.
    pub fn jitter(&self) -> u16 {
        let mut bytes = [0; 2];
        self.fill(&mut bytes);
        u16::from_be_bytes(bytes)
    }

    /// A fresh pool incarnation.
    pub fn pool_incarnation(&self) -> PoolIncarnation {
        PoolIncarnation(self.u64())
    }

    /// A fresh random (version 4) UUID, for pool and identity ids and request ids.
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
