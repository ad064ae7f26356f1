//! Rules about the source text that no compiler checks: which room of the server may import which, no circles of
//! imports between the files of any crate, the length of files and of comment lines, and how doc comments begin.
//! Everything here reads files and starts nothing.
//!
//! Every list of exceptions may only shrink: a test fails as well if an exception is no longer needed.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail with the test")]

mod circles;
mod clock;
mod imports;
mod length;
mod prose;
mod rooms;
mod source;
