//! The other caller: a well-behaved identity with its own source address that occasionally lists without news
//! and updates one record. Its waits and its refusals are the effect of an attack on others. A prober runs
//! beside it.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::attacker::source;
use super::owner::{Owner, owners, replace};
use crate::connection::Connection;
use crate::measure::Latencies;
use crate::outcome::Outcome;

/// Its address, which no attack uses.
const SOURCE: u8 = 100;
const DATASET: &str = "prefs";
/// Its time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between its listings.
const PAUSE: Duration = Duration::from_millis(4);
/// The number of listings after which it reconnects, as apps do; the first exchange of a connection bears
/// that cost.
const LISTINGS_PER_CONNECTION: u64 = 16;
/// The pause between two probes.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// The other caller's measurements.
pub(super) struct Seen {
    pub(super) listings: Latencies,
    pub(super) updates: Latencies,
    /// Answers with a status of 500 or above.
    pub(super) unavailable: u64,
    /// Other refusals, answers that did not arrive in time, and connections that ended or could not be
    /// opened.
    pub(super) errors: u64,
}

impl Seen {
    fn new() -> Outcome<Self> {
        Ok(Self { listings: Latencies::new()?, updates: Latencies::new()?, unavailable: 0, errors: 0 })
    }
}

/// The other caller.
pub(super) struct Neighbour {
    address: SocketAddr,
    owner: Owner,
    count: u64,
}

impl Neighbour {
    /// A new identity in its own pool, with a dataset.
    pub(super) async fn new(address: SocketAddr) -> Outcome<Self> {
        let owner = owners(address, 1).await?.pop().ok_or("one identity was asked for")?;
        Ok(Self { address, owner, count: 0 })
    }

    /// Lists and updates until `until`.
    pub(super) async fn live(&mut self, until: Instant) -> Outcome<Seen> {
        let mut seen = Seen::new()?;
        while Instant::now() < until {
            let began = Instant::now();
            let opened = timeout(PATIENCE, Connection::open_from(source(SOURCE), self.address)).await;
            let Ok(Ok(mut connection)) = opened else {
                seen.errors += 1;
                seen.listings.record(began.elapsed());
                continue;
            };
            let mut first = Some(began);
            for _ in 0..LISTINGS_PER_CONNECTION {
                if Instant::now() >= until || !self.cycle(&mut connection, first.take(), &mut seen).await? {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
        Ok(seen)
    }

    /// One listing and, with its token, one update. False if the connection is no longer usable.
    async fn cycle(
        &mut self,
        connection: &mut Connection,
        began: Option<Instant>,
        seen: &mut Seen,
    ) -> Outcome<bool> {
        let request = self.owner.list(DATASET, self.count, None)?;
        let began = began.unwrap_or_else(Instant::now);
        let listed = exchange(connection, &request).await;
        seen.listings.record(began.elapsed());
        let listing = match listed {
            Answered::Success(listing) => listing,
            refused => return Ok(refused.counts(seen)),
        };
        // Only this caller writes the one record, so that the dataset's count is the record's.
        self.count = listing["DatasetSyncCount"].as_u64().ok_or("a listing without a count")?;
        let token = listing["SyncSessionToken"].as_str().ok_or("a listing without a token")?.to_owned();
        let patch = replace("theme", format!("value {}", self.count), i64::try_from(self.count)?);
        let request = self.owner.update(DATASET, token, vec![patch])?;
        let began = Instant::now();
        let updated = exchange(connection, &request).await;
        seen.updates.record(began.elapsed());
        match updated {
            Answered::Success(_) => {
                self.count += 1;
                Ok(true)
            }
            refused => Ok(refused.counts(seen)),
        }
    }
}

/// The outcome of a request.
enum Answered {
    Success(Value),
    Status(u16),
    Nothing,
}

impl Answered {
    /// Counts failures. False if the connection is no longer usable.
    fn counts(&self, seen: &mut Seen) -> bool {
        match self {
            Self::Success(_) => true,
            Self::Status(500..) => {
                seen.unavailable += 1;
                false
            }
            Self::Status(_) | Self::Nothing => {
                seen.errors += 1;
                false
            }
        }
    }
}

async fn exchange(connection: &mut Connection, request: &[u8]) -> Answered {
    match timeout(PATIENCE, connection.exchange(request)).await {
        Ok(Ok(answer)) if answer.status == 200 => match serde_json::from_slice(answer.body) {
            Ok(body) => Answered::Success(body),
            Err(_) => Answered::Nothing,
        },
        Ok(Ok(answer)) => Answered::Status(answer.status),
        Ok(Err(_)) | Err(_) => Answered::Nothing,
    }
}

/// The duration of the longest probe; none if one of them was not answered.
pub(super) struct Probed(pub(super) Option<Duration>);

/// Probes the server from an attack's first address until `until`, each time over a new connection.
pub(super) async fn probe(address: SocketAddr, until: Instant) -> Probed {
    let longest = Cell::new(Some(Duration::ZERO));
    while Instant::now() < until {
        let began = Instant::now();
        let answered = timeout(PATIENCE, probe_once(source(1), address)).await;
        let took = matches!(answered, Ok(Ok(200))).then(|| began.elapsed());
        longest.set(longest.get().zip(took).map(|(longest, took)| longest.max(took)));
        sleep(PROBE_PAUSE).await;
    }
    Probed(longest.get())
}

async fn probe_once(source: IpAddr, address: SocketAddr) -> Outcome<u16> {
    let mut connection = Connection::open_from(source, address).await?;
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {address}\r\n\r\n");
    Ok(connection.exchange(request.as_bytes()).await?.status)
}
