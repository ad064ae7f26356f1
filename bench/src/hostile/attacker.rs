//! The parts of every attack: source addresses, connections that are reopened until the attack is over, and a
//! tally of the server's answers. An attack prepares first, and begins when the measurement does.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::connection;
use crate::outcome::Outcome;

/// The pause before a connection that the server ended, or that is used up, is opened again.
const PAUSE: Duration = Duration::from_secs(1);
/// The largest part of an answer's head that is read to find its status.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The two channels that synchronize the beginning of an attack with the measurement.
pub(super) struct Gate {
    /// Reports that everything is prepared.
    pub(super) ready: oneshot::Sender<()>,
    /// Gives the time at which the attack is over.
    pub(super) begin: oneshot::Receiver<Instant>,
}

/// One attack's access to the server.
pub(super) struct Attacker {
    pub(super) address: SocketAddr,
    sources: u8,
    pub(super) tally: Tally,
    gate: RefCell<Option<Gate>>,
    until: Cell<Option<Instant>>,
}

/// The answers to an attack, by class of status.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    accepted: Cell<u64>,
    refused: Cell<u64>,
    unavailable: Cell<u64>,
    ended: Cell<u64>,
}

impl Tally {
    fn count(cell: &Cell<u64>) {
        cell.set(cell.get() + 1);
    }

    /// Adds the answer's status.
    pub(super) fn status(&self, status: u16) {
        Self::count(match status {
            ..400 => &self.accepted,
            400..500 => &self.refused,
            500.. => &self.unavailable,
        });
    }

    /// Adds a connection that ended without an answer.
    pub(super) fn end(&self) {
        Self::count(&self.ended);
    }

    /// Successes, 4xx, 5xx, and connections that ended without an answer.
    pub(super) fn counts(&self) -> [u64; 4] {
        [&self.accepted, &self.refused, &self.unavailable, &self.ended].map(Cell::get)
    }
}

/// The source address of an attack's connection, or of its probes.
pub(super) fn source(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, number))
}

impl Attacker {
    /// An attack on `address` from the source addresses 127.0.0.1 to 127.0.0.`sources`.
    pub(super) fn new(address: SocketAddr, sources: u8, gate: Gate) -> Self {
        let gate = RefCell::new(Some(gate));
        Self { address, sources, tally: Tally::default(), gate, until: Cell::new(None) }
    }

    /// Reports that everything is prepared and waits until the attack is to begin.
    pub(super) async fn begin(&self) -> Outcome<()> {
        let gate = self.gate.take().ok_or("an attack begins once")?;
        gate.ready.send(()).map_err(|()| "nobody waits for the attack")?;
        self.until.set(Some(gate.begin.await?));
        Ok(())
    }

    /// The end of the attack, once it has begun.
    pub(super) fn until(&self) -> Instant {
        self.until.get().unwrap_or_else(Instant::now)
    }

    /// Keeps `connections` connections busy with `act` until the attack is over. Each is opened again when
    /// `act` is done with it. `act` gets the connection's number.
    pub(super) async fn repeat(
        &self,
        connections: usize,
        act: impl AsyncFn(usize, TcpStream) -> io::Result<()>,
    ) {
        let act = &act;
        let lanes = (0..connections).map(|lane| async move {
            loop {
                let done = match self.connect(lane).await {
                    Ok(stream) => act(lane, stream).await,
                    Err(error) => Err(error),
                };
                if done.is_err() {
                    self.tally.end();
                    self.pause().await;
                }
            }
        });
        // An attack ends by running out of time; its connections close with it.
        let _: Result<Vec<()>, _> = timeout_at(self.until(), join_all(lanes)).await;
    }

    /// Waits a little, in attacks that are not about the rate of their connections.
    pub(super) async fn pause(&self) {
        sleep(PAUSE).await;
    }

    /// Opens a connection; connection numbers take the source addresses in turn.
    pub(super) async fn connect(&self, lane: usize) -> io::Result<TcpStream> {
        let turn = u8::try_from(lane % usize::from(self.sources)).map_err(io::Error::other)?;
        connection::connect_from(source(turn + 1), self.address).await
    }

    /// Waits for the server's answer, counts it, and reads no more of it.
    pub(super) async fn count_answer(&self, stream: &mut TcpStream) -> io::Result<()> {
        self.tally.status(status(stream).await?);
        Ok(())
    }

    /// Sends all of a request while it waits for the answer, which may arrive first.
    pub(super) async fn ask(&self, stream: TcpStream, request: &[u8]) -> io::Result<()> {
        let (mut reader, mut writer) = stream.into_split();
        let send = async {
            // A refusal may end this side early; the answer counts.
            let _ = writer.write_all(request).await;
            std::future::pending::<io::Result<u16>>().await
        };
        let status = tokio::select! {
            answered = status(&mut reader) => answered?,
            never = send => never?,
        };
        self.tally.status(status);
        Ok(())
    }
}

/// Reads the part of an answer that contains its status.
async fn status(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<u16> {
    let mut head = Vec::with_capacity(1024);
    while head.len() < HEAD_BYTES_MAX {
        if let Some(line) = head.strip_prefix(b"HTTP/1.1 ")
            && let Some(code) = line.get(..3)
        {
            let code = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok());
            return code.ok_or_else(|| io::Error::other("not the start of an answer"));
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Err(io::Error::other("an answer without a status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_status_is_read_from_pieces_and_an_end_before_it_is_an_error() {
        for (pieces, expected) in
            [(&["HTT", "P/1.1 50", "3 Service Unavailable\r\n"][..], Some(503)), (&["HTTP/1.1 2"][..], None)]
        {
            let (mut near, far) = tokio::io::duplex(64);
            let send = async {
                let mut far = far;
                for piece in pieces {
                    far.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let (found, ()) = tokio::join!(status(&mut near), send);
            assert_eq!(found.ok(), expected, "{pieces:?}");
        }
    }

    #[test]
    fn answers_are_counted_by_class() {
        let tally = Tally::default();
        for status in [200, 204, 403, 429, 500, 503, 503] {
            tally.status(status);
        }
        assert_eq!(tally.counts(), [2, 2, 3, 0]);
    }
}
