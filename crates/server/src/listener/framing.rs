//! Detects requests with two lengths, `Content-Length` and `Transfer-Encoding`: proxies and servers that
//! trust different ones can be made to see different requests (`docs/protocol.md` section 2.5).
//!
//! The HTTP library silently drops the former if both are present, so the head is examined again as received.
//! A bounded copy of the bytes since the last request is kept for that, and read only if a request has a
//! `Transfer-Encoding`. This module does not decide where a message begins or ends; if it cannot tell, it
//! reports that.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use http::header::TRANSFER_ENCODING;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lock::Lock;

const TWO_LENGTHS: &str = "A request may not have both Content-Length and Transfer-Encoding, and one with a \
                           Transfer-Encoding may not be sent before the answer to the one ahead of it.";

/// The largest part of the copy that an idle connection keeps, in bytes.
const IDLE_BYTES_MAX: usize = 4096;

/// The reason why the end of `request` is ambiguous, if it is. `received` has its head as received.
pub fn refusal<B>(request: &Request<B>, received: &Received) -> Option<&'static str> {
    let is_clear = !request.headers().contains_key(TRANSFER_ENCODING)
        || received.has_one_length(request.method().as_str(), &request.uri().to_string());
    (!is_clear).then_some(TWO_LENGTHS)
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

    /// True if the last received head, known to have a `Transfer-Encoding`, certainly has no
    /// `Content-Length`. `method` and `target` are those of the request, so that the rest of another head is
    /// not mistaken for it.
    pub fn has_one_length(&self, method: &str, target: &str) -> bool {
        let bytes = self.bytes.lock();
        let begins = bytes
            .trim_ascii_start()
            .strip_prefix(method.as_bytes())
            .and_then(|rest| rest.strip_prefix(b" "))
            .and_then(|rest| rest.strip_prefix(target.as_bytes()))
            .is_some_and(|rest| rest.starts_with(b" "));
        begins && has_one_length(&bytes)
    }
}

/// Examines the lines of the head at the start of `bytes`. A head that is incomplete, or that lacks the
/// header known to be present, is another one that was sent before.
fn has_one_length(bytes: &[u8]) -> bool {
    let mut transfer_encoding = false;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n").map(<[u8]>::trim_ascii_end) else { return false };
        if line.is_empty() && transfer_encoding {
            return true;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        transfer_encoding |= name.eq_ignore_ascii_case(b"transfer-encoding");
        if name.eq_ignore_ascii_case(b"content-length") {
            return false;
        }
    }
    false
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

    #[test]
    fn a_head_with_one_length_is_told_from_one_with_two() {
        let one =
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nContent-Length: 3\r\n";
        assert!(has_one_length(one));
        for two in [
            &b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 3\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\nContent-Length: 3\nTransfer-Encoding: chunked\n\n",
        ] {
            assert!(!has_one_length(two));
        }
    }

    #[test]
    fn a_head_that_is_not_there_is_not_vouched_for() {
        for unclear in [
            &b""[..],
            b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert!(!has_one_length(unclear));
        }
    }

    #[test]
    fn the_second_half_of_a_head_is_not_vouched_for() {
        let received = Received::new(1000);
        received.add(b"POST /x HTTP/1.1\r\nContent-Length: 5\r\n");
        received.clear();
        received.add(b"Transfer-Encoding: chunked\r\n\r\n");
        assert!(!received.has_one_length("POST", "/x"));
        received.clear();
        received.add(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(received.has_one_length("POST", "/x"));
        assert!(!received.has_one_length("POST", "/"));
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
