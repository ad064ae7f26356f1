//! A persistent HTTP/1.1 connection with the smallest reader that a load generator needs: answers must have a
//! content length. Requests are ready bytes. It is no general HTTP client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::outcome::Outcome;

/// The largest accepted answer: a whole dataset of a mebibyte, escaped, and its record members.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection to the server under test.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to an address.
    pub(crate) async fn open(address: SocketAddr) -> Outcome<Self> {
        Ok(Self::over(TcpStream::connect(address).await?)?)
    }

    /// Connects from a given address of this machine.
    pub(crate) async fn open_from(source: IpAddr, address: SocketAddr) -> Outcome<Self> {
        Ok(Self::over(connect_from(source, address).await?)?)
    }

    /// Wraps an open connection.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads its answer. Any status counts as an answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Outcome<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection before its answer was whole".into());
            }
            match parse(&self.buffer)? {
                Progress::Partial => {}
                Progress::Whole { status, body } => return Ok(Answer { status, body: &self.buffer[body] }),
            }
        }
    }

    /// Sends a request and reads its answer, which must be a success.
    pub(crate) async fn succeed(&mut self, request: &[u8]) -> Outcome<&[u8]> {
        let answer = self.exchange(request).await?;
        if answer.status != 200 {
            let text = String::from_utf8_lossy(answer.body);
            let head = String::from_utf8_lossy(request);
            let line = head.lines().next().unwrap_or_default();
            return Err(format!("{line}: status {}: {text}", answer.status).into());
        }
        Ok(answer.body)
    }
}

/// A plain connection from a given address of this machine.
pub(crate) async fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// Its status code.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) body: &'a [u8],
}

/// The progress of reading an answer.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// Part of the answer is missing.
    Partial,
    /// The answer is complete, and nothing follows it.
    Whole { status: u16, body: Range<usize> },
}

fn parse(bytes: &[u8]) -> Outcome<Progress> {
    let Some(head_end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > ANSWER_BYTES_MAX {
            Err("an answer without end of head".into())
        } else {
            Ok(Progress::Partial)
        };
    };
    let head = std::str::from_utf8(&bytes[..head_end])?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("not the start of an answer: {status_line:?}"))?;
    let length: usize = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .filter(|length| *length <= ANSWER_BYTES_MAX)
        .ok_or_else(|| format!("an answer without a sensible content length: {head:?}"))?;
    let body = head_end + 4..head_end + 4 + length;
    match bytes.len() {
        received if received < body.end => Ok(Progress::Partial),
        received if received == body.end => Ok(Progress::Whole { status, body }),
        _ => Err("more came than the answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 409 Conflict\r\nDate: x\r\nContent-Length: 2\r\n\r\n{}";

    #[test]
    fn an_answer_is_whole_only_at_its_last_byte() {
        for cut in 0..ANSWER.len() {
            assert_eq!(parse(&ANSWER[..cut]).unwrap(), Progress::Partial, "{cut} bytes");
        }
        let whole = Progress::Whole { status: 409, body: ANSWER.len() - 2..ANSWER.len() };
        assert_eq!(parse(ANSWER).unwrap(), whole);
    }

    #[test]
    fn an_empty_body_ends_with_the_head() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n";
        let whole = Progress::Whole { status: 200, body: answer.len()..answer.len() };
        assert_eq!(parse(answer).unwrap(), whole);
    }

    #[test]
    fn what_the_reader_cannot_delimit_is_an_error() {
        for bad in [
            &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
        ] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
