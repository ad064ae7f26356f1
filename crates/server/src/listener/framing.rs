//! Detects requests with two lengths, `Content-Length` and `Transfer-Encoding` or the former twice: proxies and
//! servers that trust different ones can be made to see different requests (`docs/protocol.md` section 2.5).
//!
//! The HTTP library silently drops a `Content-Length` beside a `Transfer-Encoding` or an equal one, so the head is
//! examined again as received. A bounded copy of the bytes since the last request is kept for that. This module does
//! not decide where a message begins or ends; if it cannot tell, it reports that.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lock::Lock;

const TWO_LENGTHS: &str = "A request may not have both Content-Length and Transfer-Encoding, and one with a \
                           Transfer-Encoding may not be sent before the answer to the one ahead of it.";
const LENGTH_TWICE: &str = "A request may not have more than one Content-Length.";

/// The largest part of the copy that an idle connection keeps, in bytes.
const IDLE_BYTES_MAX: usize = 4096;

/// The reason why the end of `request` is ambiguous, if it is. `received` has its head as received.
pub fn refusal<B>(request: &Request<B>, received: &Received) -> Option<&'static str> {
    let headers = request.headers();
    let head = || received.lengths(request.method().as_str(), &request.uri().to_string());
    if headers.contains_key(TRANSFER_ENCODING) {
        let only_coding = Lengths { content_lengths: 0, transfer_encoding: true };
        return (head() != Some(only_coding)).then_some(TWO_LENGTHS);
    }
    // If the head is not there, the lengths are equal: the HTTP library refuses different ones.
    let twice =
        headers.contains_key(CONTENT_LENGTH) && head().is_some_and(|lengths| lengths.content_lengths > 1);
    twice.then_some(LENGTH_TWICE)
}

/// The headers of a whole head that announce where its body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lengths {
    content_lengths: usize,
    transfer_encoding: bool,
}

/// The bytes that one connection received since its last request.
#[derive(Clone)]
pub struct Received {
    bytes: Arc<Lock<Vec<u8>>>,
    bytes_max: usize,
}

impl Received {
    /// Keeps at most `bytes_max` bytes, which must hold the largest head.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes: Arc::default(), bytes_max }
    }

    fn add(&self, read: &[u8]) {
        let mut bytes = self.bytes.lock();
        let room = self.bytes_max.saturating_sub(bytes.len());
        bytes.extend_from_slice(&read[..read.len().min(room)]);
    }

    /// Clears the copy. Called after a request's head was examined, and when its answer is ready.
    pub fn clear(&self) {
        let mut bytes = self.bytes.lock();
        bytes.clear();
        bytes.shrink_to(IDLE_BYTES_MAX);
    }

    /// The lengths of the last received head, if it is there as a whole. `method` and `target` are those of the
    /// request, so that the rest of another head is not mistaken for it.
    fn lengths(&self, method: &str, target: &str) -> Option<Lengths> {
        let bytes = self.bytes.lock();
        let begins = bytes
            .trim_ascii_start()
            .strip_prefix(method.as_bytes())
            .and_then(|rest| rest.strip_prefix(b" "))
            .and_then(|rest| rest.strip_prefix(target.as_bytes()))
            .is_some_and(|rest| rest.starts_with(b" "));
        begins.then(|| lengths(&bytes)).flatten()
    }
}

/// Examines the lines of the head at the start of `bytes`. `None` if the head is incomplete.
fn lengths(bytes: &[u8]) -> Option<Lengths> {
    let mut lengths = Lengths::default();
    for line in bytes.trim_ascii_start().split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n")?.trim_ascii_end();
        if line.is_empty() {
            return Some(lengths);
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        lengths.transfer_encoding |= name.eq_ignore_ascii_case(b"transfer-encoding");
        lengths.content_lengths += usize::from(name.eq_ignore_ascii_case(b"content-length"));
    }
    None
}

/// A connection that keeps a copy of what it reads.
pub struct Tapped<S> {
    stream: S,
    received: Received,
}

impl<S> Tapped<S> {
    /// Copies what is read from `stream` to `received`.
    pub fn new(stream: S, received: Received) -> Self {
        Self { stream, received }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.received.add(&buf.filled()[before..]);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::post("/x");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    fn refusal_of(request: &Request<()>, head: &[u8]) -> Option<&'static str> {
        let received = Received::new(1000);
        received.add(head);
        refusal(request, &received)
    }

    #[test]
    fn a_coding_beside_a_length_is_refused() {
        let chunked = request(&[("Transfer-Encoding", "chunked")]);
        let one =
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nContent-Length: 3\r\n";
        assert_eq!(refusal_of(&chunked, one), None);
        for two in [
            &b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 3\r\n\r\n"[..],
            b"POST /x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST /x HTTP/1.1\nContent-Length: 3\nTransfer-Encoding: chunked\n\n",
        ] {
            assert_eq!(refusal_of(&chunked, two), Some(TWO_LENGTHS));
        }
    }

    #[test]
    fn a_coding_is_refused_if_its_head_is_not_there() {
        let chunked = request(&[("Transfer-Encoding", "chunked")]);
        for unclear in [
            &b""[..],
            b"\r\n\r\n",
            b"POST /x HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(refusal_of(&chunked, unclear), Some(TWO_LENGTHS));
        }
    }

    #[test]
    fn a_repeated_length_is_refused() {
        let sized = request(&[("Content-Length", "3")]);
        let twice = b"POST /x HTTP/1.1\r\nContent-Length: 3\r\nHost: a\r\nCONTENT-length: 3\r\n\r\nabc";
        assert_eq!(refusal_of(&sized, twice), Some(LENGTH_TWICE));
        for once in [
            &b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nContent-Length: 3\r\n\r\n"[..],
            // A pipelined request, whose head is gone.
            b"",
        ] {
            assert_eq!(refusal_of(&sized, once), None);
        }
    }

    #[test]
    fn the_second_half_of_a_head_is_not_vouched_for() {
        let chunked = request(&[("Transfer-Encoding", "chunked")]);
        let received = Received::new(1000);
        received.add(b"POST /x HTTP/1.1\r\nContent-Length: 5\r\n");
        received.clear();
        received.add(b"Transfer-Encoding: chunked\r\n\r\n");
        assert_eq!(refusal(&chunked, &received), Some(TWO_LENGTHS));
        received.clear();
        received.add(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(refusal(&chunked, &received), None);
    }

    #[test]
    fn the_copy_is_bounded_and_begins_anew() {
        let received = Received::new(10);
        received.add(b"0123456");
        received.add(b"789abc");
        assert_eq!(received.bytes.lock().as_slice(), b"0123456789");
        received.clear();
        assert!(received.bytes.lock().is_empty());
    }
}
