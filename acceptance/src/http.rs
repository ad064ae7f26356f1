//! HTTP/1.1 by hand over a plain socket, so that a test controls every byte: the spelling of headers, the
//! encoding of paths, missing parts. It is too primitive for other uses: no pooling, no redirects, no
//! leniency.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// The time limit of one read or write.
const SILENCE_SECONDS_MAX: u64 = 60;
/// The receive buffer and the largest segment of a narrow connection.
const NARROW_BUFFER_BYTES: usize = 4096;
const NARROW_SEGMENT_BYTES: u32 = 536;

/// A request to write. `Host` and the framing are added on writing, unless given.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method of the request line.
    pub method: String,
    /// The path and query of the request line, as sent.
    pub target: String,
    /// Headers in order, spelled as given.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header. A header that is added after signing is not covered by the signature.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body and its content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    /// The value of the first header of this name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Replaces the value of an existing header.
    #[must_use]
    pub fn with_changed(mut self, name: &str, change: impl FnOnce(&str) -> String) -> Self {
        let header = self.headers.iter_mut().find(|(spelled, _)| spelled.eq_ignore_ascii_case(name));
        let (_, value) = header.unwrap_or_else(|| panic!("no header {name}"));
        *value = change(value);
        self
    }

    /// Removes a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(spelled, _)| !spelled.eq_ignore_ascii_case(name));
        self
    }

    /// The bytes of the request line and the headers, including the empty line.
    pub fn head(&self, host: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if self.get("host").is_none() {
            write!(head, "Host: {host}\r\n").expect("write to a string");
        }
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("write to a string");
        }
        let framed = self.get("content-length").is_some() || self.get("transfer-encoding").is_some();
        if !framed && (!self.body.is_empty() || self.method == "POST") {
            write!(head, "Content-Length: {}\r\n", self.body.len()).expect("write to a string");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The whole request as bytes.
    pub fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let mut bytes = self.head(host);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// An answer as received.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers in order, spelled as received.
    pub headers: Vec<(String, String)>,
    /// The body, decoded from its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first header of this name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The value of the first header of exactly this spelling.
    pub fn get_as_spelled(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(spelled, _)| spelled == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|trouble| panic!("{trouble} in the body of {self:?}: {}", self.text()))
    }

    /// The name of the error: from the JSON body's `__type`, or the `Code` of an XML one; empty on success.
    pub fn error(&self) -> String {
        if self.status < 400 {
            return String::new();
        }
        let text = self.text();
        if let Some((_, rest)) = text.split_once("<Code>") {
            return rest.split('<').next().unwrap_or_default().to_owned();
        }
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        body["__type"].as_str().unwrap_or_default().to_owned()
    }

    /// The message of the error.
    pub fn message(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The status and the error's name, for comparisons.
    pub fn outcome(&self) -> (u16, String) {
        (self.status, self.error())
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(spelled, _)| spelled.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// One connection, kept open between requests.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    peer: SocketAddr,
}

impl Connection {
    /// Connects. Every later read and write has a time limit.
    pub fn open(peer: SocketAddr) -> io::Result<Self> {
        Self::open_with(peer, |_| Ok(()))
    }

    /// Connects from one of this machine's addresses.
    pub fn open_from(source: IpAddr, peer: SocketAddr) -> io::Result<Self> {
        Self::open_with(peer, |socket| socket.bind(&SocketAddr::new(source, 0).into()))
    }

    /// Connects with small buffers, so that both ends hold little data that is sent and not read.
    pub fn open_narrow(peer: SocketAddr) -> io::Result<Self> {
        Self::open_with(peer, |socket| {
            socket.set_recv_buffer_size(NARROW_BUFFER_BYTES)?;
            socket.set_tcp_mss(NARROW_SEGMENT_BYTES)
        })
    }

    fn open_with(peer: SocketAddr, prepare: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<Self> {
        let limit = Duration::from_secs(SILENCE_SECONDS_MAX);
        let socket = Socket::new(Domain::for_address(peer), Type::STREAM, None)?;
        prepare(&socket)?;
        socket.connect_timeout(&peer.into(), limit)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), peer })
    }

    /// Writes bytes unchanged.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends one request and reads its final answer.
    pub fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        // A server that refuses a body may close before the body is written; its answer counts.
        let sent = self.send(&request.bytes(self.peer));
        match self.answer() {
            Ok(response) => Ok(response),
            Err(trouble) => Err(sent.err().unwrap_or(trouble)),
        }
    }

    /// Reads the final answer, after any interim ones.
    pub fn answer(&mut self) -> io::Result<Response> {
        loop {
            let response = self.interim_or_final()?;
            if response.status >= 200 {
                return Ok(response);
            }
        }
    }

    /// Reads one answer, which may be an interim `100 Continue`.
    pub fn interim_or_final(&mut self) -> io::Result<Response> {
        let head = self.head()?;
        let bare = head.status < 200 || head.status == 204;
        let body = if bare { Vec::new() } else { self.read_body(&head.headers)? };
        Ok(Response { body, ..head })
    }

    /// Reads the status and headers of an answer whose body is then read chunk by chunk.
    pub fn head(&mut self) -> io::Result<Response> {
        let status_line = line(&mut self.stream)?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| io::Error::other(format!("no status in {status_line:?}")))?;
        let headers = headers(&mut self.stream)?;
        Ok(Response { status, headers, body: Vec::new() })
    }

    /// Sends a request whose successful answer is a stream. Of a success only the head is read, and
    /// [`Self::chunk`] reads the rest; a refusal is read whole.
    pub fn begin(&mut self, request: &Request) -> io::Result<Response> {
        self.send(&request.bytes(self.peer))?;
        let head = self.head()?;
        if head.status == 200 {
            return Ok(head);
        }
        let body = self.read_body(&head.headers)?;
        Ok(Response { body, ..head })
    }

    /// Waits for the next chunk of a chunked body; `None` at its proper end.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        chunk(&mut self.stream)
    }

    /// Waits until there is something to read.
    pub fn wait_readable(&mut self) -> io::Result<()> {
        self.stream.fill_buf().map(|_| ())
    }

    /// Reads until the server closes. A reset is an error.
    pub fn read_to_close(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// True if the server has closed the connection, with nothing left to read.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]) | Err(_))
    }

    fn read_body(&mut self, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
        if let Some(body) = framed_body(&mut self.stream, headers)? {
            return Ok(body);
        }
        let mut body = Vec::new();
        self.stream.read_to_end(&mut body)?;
        Ok(body)
    }
}

/// Reads one request as a server does; `None` if the client closed the connection instead. A chunked body is
/// joined, and its transfer coding is removed from the headers.
pub(crate) fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    if stream.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let request_line = line(stream)?;
    let mut words = request_line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::Error::other(format!("not a request line: {request_line:?}")));
    };
    let mut request = Request::new(method, target);
    request.headers = headers(stream)?;
    if request.get("expect").is_some() {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = framed_body(stream, &request.headers)?.unwrap_or_default();
    Ok(Some(request.without("transfer-encoding")))
}

fn headers(stream: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    while let Some((name, value)) = line(stream)?.split_once(':') {
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(headers)
}

/// The body that the headers announce; `None` if they announce none.
fn framed_body(stream: &mut impl BufRead, headers: &[(String, String)]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    if find(headers, "transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        while let Some(chunk) = chunk(stream)? {
            body.extend_from_slice(&chunk);
        }
        return Ok(Some(body));
    }
    let Some(length) = find(headers, "content-length") else { return Ok(None) };
    body.resize(length.parse().map_err(io::Error::other)?, 0);
    stream.read_exact(&mut body)?;
    Ok(Some(body))
}

/// One chunk of a chunked body; `None` for the empty chunk that ends it.
fn chunk(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let size = usize::from_str_radix(&line(stream)?, 16).map_err(io::Error::other)?;
    let mut chunk = vec![0; size];
    stream.read_exact(&mut chunk)?;
    line(stream)?;
    Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}
