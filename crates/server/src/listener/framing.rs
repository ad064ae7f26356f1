//! Detects requests with two lengths, `Content-Length` and `Transfer-Encoding` or the former twice: proxies and
//! servers that trust different ones can be made to see different requests (`docs/protocol.md` section 2.5).
//!
//! The HTTP library silently drops a `Content-Length` beside a `Transfer-Encoding` or an equal one, so the head is
//! examined again as received. A bounded copy of the bytes since the last request is kept for that. The rest of a body
//! of known length is left out of the copy, because it may arrive after the answer, and the next head follows it.
//! Otherwise this module does not decide where a message begins or ends; if it cannot tell, it reports that.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lock::Lock;

const TWO_LENGTHS: &str = "A request may not have both Content-Length and Transfer-Encoding, and one with a \
                           Transfer-Encoding may not be sent before the answer to the one ahead of it.";
const LENGTH_TWICE: &str = "A request may not have more than one Content-Length.";

/// The largest part of the copy that an idle connection keeps, in bytes.
const IDLE_BYTES_MAX: usize = 4096;

/// The headers of a whole head that announce where its body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lengths {
    content_lengths: usize,
    transfer_encoding: bool,
}

/// The framing of a request, as far as it is known when the head arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// The reason why the end of the request is ambiguous, if it is.
    pub refusal: Option<&'static str>,
    /// The end of the body.
    pub end: BodyEnd,
}

/// The end of a request's body, as far as it is known when the head arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// There is no body, or it has a length, so the next head is found even if the body is left unread.
    Known,
    /// The body is chunked, so the next head is found only if the body is read.
    Coded,
    /// The body has a length, and its head was sent before the answer to the request ahead of it. How much of the body
    /// had arrived by then is not known, so no head behind it can be vouched for: the connection has to end.
    Unclear,
}

/// The bytes that one connection received since its last request.
#[derive(Clone)]
pub struct Received {
    copy: Arc<Lock<Copied>>,
    bytes_max: usize,
}

/// The start of the received bytes, and the counts of those that are not in it.
#[derive(Default)]
struct Copied {
    bytes: Vec<u8>,
    /// The bytes that followed the copied ones.
    further_bytes: u64,
    /// The bytes of a body that are still to arrive.
    body_bytes: u64,
    /// True if the last byte that arrived is in the middle of a line.
    in_line: bool,
    /// True if the copy begins in the middle of a line, where no head begins: the rest of a line of a head could be
    /// made to look like one.
    begins_in_line: bool,
}

impl Received {
    /// Keeps at most `bytes_max` bytes, which must hold the largest head.
    pub fn new(bytes_max: usize) -> Self {
        Self { copy: Arc::default(), bytes_max }
    }

    fn add(&self, read: &[u8]) {
        let mut copy = self.copy.lock();
        let of_body = usize::try_from(copy.body_bytes).unwrap_or(usize::MAX).min(read.len());
        copy.body_bytes -= of_body as u64;
        let read = &read[of_body..];
        let room = self.bytes_max.saturating_sub(copy.bytes.len()).min(read.len());
        copy.bytes.extend_from_slice(&read[..room]);
        copy.further_bytes += (read.len() - room) as u64;
        if let Some(last) = read.last() {
            copy.in_line = *last != b'\n';
        }
    }

    /// Examines the head of `request`, which has just arrived. Clears the copy, and leaves the rest of the request's
    /// body out of the next one.
    pub fn examine<B>(&self, request: &Request<B>) -> Framing {
        let headers = request.headers();
        let (is_coded, length) = (headers.contains_key(TRANSFER_ENCODING), headers.get(CONTENT_LENGTH));
        let mut copy = self.copy.lock();
        let head = (is_coded || length.is_some()).then(|| copy.head(request)).flatten();
        let lengths = head.map(|(lengths, _)| lengths);
        let only_coding = Lengths { content_lengths: 0, transfer_encoding: true };
        let refusal = if is_coded && (lengths != Some(only_coding) || copy.begins_in_line) {
            Some(TWO_LENGTHS)
        } else if !is_coded && lengths.is_some_and(|lengths| lengths.content_lengths > 1) {
            // If the head is not there, the lengths are equal: the HTTP library refuses different ones.
            Some(LENGTH_TWICE)
        } else {
            None
        };
        let body_bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let end = match (head, body_bytes) {
            (Some((_, head_bytes)), Some(body_bytes)) => {
                let here = (copy.bytes.len() - head_bytes) as u64 + copy.further_bytes;
                copy.body_bytes = u64::saturating_sub(body_bytes, here);
                copy.in_line &= here > body_bytes;
                BodyEnd::Known
            }
            (None, Some(_)) => BodyEnd::Unclear,
            (_, None) if is_coded => BodyEnd::Coded,
            (_, None) => BodyEnd::Known,
        };
        copy.clear();
        Framing { refusal, end }
    }

    /// Clears the copy. Called when an answer is ready.
    pub fn clear(&self) {
        self.copy.lock().clear();
    }
}

impl Copied {
    /// The lengths of the last received head and its size in bytes, if it is there as a whole and is that of `request`
    /// and not the rest of another head.
    fn head<B>(&self, request: &Request<B>) -> Option<(Lengths, usize)> {
        let target = match (request.uri().authority(), request.uri().path_and_query()) {
            (None, Some(target)) => Cow::Borrowed(target.as_str()),
            (Some(_), _) | (None, None) => Cow::Owned(request.uri().to_string()),
        };
        let is_of_request = self
            .bytes
            .trim_ascii_start()
            .strip_prefix(request.method().as_str().as_bytes())
            .and_then(|rest| rest.strip_prefix(b" "))
            .and_then(|rest| rest.strip_prefix(target.as_bytes()))
            .is_some_and(|rest| rest.starts_with(b" "));
        is_of_request.then(|| head(&self.bytes)).flatten()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(IDLE_BYTES_MAX);
        self.further_bytes = 0;
        self.begins_in_line = self.in_line;
    }
}

/// Examines the lines of the head at the start of `bytes`. Returns its lengths and where it ends, or `None` if the head
/// is incomplete.
fn head(bytes: &[u8]) -> Option<(Lengths, usize)> {
    let mut lengths = Lengths::default();
    let mut rest = bytes.trim_ascii_start();
    while let Some((line, next)) = memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end + 1)) {
        let line = line.trim_ascii_end();
        rest = next;
        if line.is_empty() {
            return Some((lengths, bytes.len() - rest.len()));
        }
        let name = memchr(b':', line).and_then(|end| line.get(..end)).unwrap_or(line);
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
        received.examine(request).refusal
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
        assert_eq!(received.examine(&chunked).refusal, Some(TWO_LENGTHS));
        received.clear();
        received.add(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(received.examine(&chunked).refusal, None);
    }

    #[test]
    fn the_rest_of_a_line_that_looks_like_a_head_is_not_vouched_for() {
        let chunked = request(&[("Transfer-Encoding", "chunked")]);
        let received = Received::new(1000);
        received.add(b"POST /x HTTP/1.1\r\nContent-Length: 5\r\nX: ");
        received.clear();
        received.add(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n");
        assert_eq!(received.examine(&chunked).refusal, Some(TWO_LENGTHS));
    }

    #[test]
    fn a_chunked_request_may_follow_any_request_whose_answer_it_waited_for() {
        let received = Received::new(60);
        let chunked = request(&[("Transfer-Encoding", "chunked")]);
        let chunked_head = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let sized =
            (&request(&[("Content-Length", "2")]), &b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n"[..]);
        let bare = (&request(&[]), &b"POST /x HTTP/1.1\r\n\r\n"[..]);
        let coded = (&chunked, &chunked_head[..]);
        for (request, head, body) in [
            (sized.0, sized.1, vec![&b"{}"[..]]),
            (sized.0, sized.1, vec![b"", b"{", b"}"]),
            (bare.0, bare.1, vec![b""]),
            (coded.0, coded.1, vec![b"2\r\n{}\r\n0\r\n\r\n"]),
            (coded.0, coded.1, vec![b"2\r\n", b"{", b"}\r\n0\r", b"\n\r\n"]),
        ] {
            received.add(&[head, body[0]].concat());
            assert_eq!(received.examine(request).refusal, None);
            body[1..].iter().for_each(|piece| received.add(piece));
            received.clear();
            received.add(chunked_head);
            assert_eq!(received.examine(&chunked).refusal, None, "{body:?}");
            received.add(b"0\r\n\r\n");
            received.clear();
        }
    }

    #[test]
    fn a_request_without_a_body_has_a_known_end() {
        let received = Received::new(50);
        received.add(b"POST /x HTTP/1.1\r\n\r\n");
        assert_eq!(received.examine(&request(&[])).end, BodyEnd::Known);
    }

    #[test]
    fn the_copy_is_bounded_and_begins_anew() {
        let received = Received::new(10);
        received.add(b"0123456");
        received.add(b"789abc");
        assert_eq!(received.copy.lock().bytes, b"0123456789");
        received.clear();
        assert!(received.copy.lock().bytes.is_empty());
    }

    #[test]
    fn the_rest_of_a_body_of_known_length_is_not_taken_for_the_next_head() {
        let sized = request(&[("Content-Length", "12")]);
        let chunked = request(&[("Transfer-Encoding", "chunked")]);
        let received = Received::new(60);
        received.add(b"\r\nPOST /x HTTP/1.1\r\nContent-Length: 12\r\n\r\n0123");
        assert_eq!(received.examine(&sized).end, BodyEnd::Known);
        received.add(b"456");
        received.clear();
        received.add(b"789ABPOST /x HTTP/1.1\r\nTransfer-Encoding: ");
        received.add(b"chunked\r\n\r\n2");
        assert_eq!(received.examine(&chunked), Framing { refusal: None, end: BodyEnd::Coded });
    }

    #[test]
    fn a_body_beyond_the_copy_is_counted() {
        let sized = request(&[("Content-Length", "100")]);
        let received = Received::new(50);
        received.add(b"POST /x HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
        received.add(&[b'a'; 99]);
        assert_eq!(received.examine(&sized).end, BodyEnd::Known);
        received.add(b"ab");
        assert_eq!(received.copy.lock().bytes, b"b");
    }

    #[test]
    fn the_end_of_a_body_is_unclear_if_its_head_is_not_there() {
        let received = Received::new(50);
        assert_eq!(received.examine(&request(&[("Content-Length", "100")])).end, BodyEnd::Unclear);
        received.add(b"a");
        assert_eq!(received.copy.lock().bytes, b"a");
    }
}
