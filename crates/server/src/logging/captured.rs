//! The log of a test, kept in memory.

use std::io;
use std::sync::Arc;

use tracing::subscriber::DefaultGuard;

use crate::lock::Lock;

/// The bytes that were logged.
#[derive(Clone, Default)]
pub struct Captured(Arc<Lock<Vec<u8>>>);

impl Captured {
    /// Keeps what this thread logs, as text, until the guard is dropped.
    pub fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The text so far.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
