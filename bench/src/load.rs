//! The closed loop: every lane is a connection that sends its next request as soon as its last one is
//! answered. All lanes of a run share one thread, and requests are ready, signed bytes, so that the generator
//! takes little of the processors that it shares with the server.

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use futures_util::future::try_join_all;

use crate::connection::Connection;
use crate::measure::Latencies;
use crate::outcome::Outcome;

/// A connection and its queue of requests.
pub(crate) struct Lane {
    pub(crate) connection: Connection,
    pub(crate) queue: VecDeque<Vec<u8>>,
}

impl Lane {
    /// Opens `count` connections with nothing to send yet.
    pub(crate) async fn open(address: SocketAddr, count: usize) -> Outcome<Vec<Self>> {
        let open = |_| async move {
            Outcome::Ok(Self { connection: Connection::open(address).await?, queue: VecDeque::new() })
        };
        try_join_all((0..count).map(open)).await
    }

    async fn exchange(&mut self, request: &[u8], latencies: &Latencies) -> Outcome<&[u8]> {
        let sent = Instant::now();
        let body = self.connection.succeed(request).await?;
        latencies.record(sent.elapsed());
        Ok(body)
    }
}

/// Every lane repeats its requests until the deadline.
pub(crate) async fn cycle(lanes: &mut [Lane], until: Instant, latencies: &Latencies) -> Outcome<()> {
    try_join_all(lanes.iter_mut().map(async |lane| {
        let requests = std::mem::take(&mut lane.queue);
        for request in requests.iter().cycle() {
            if Instant::now() >= until {
                break;
            }
            lane.exchange(request, latencies).await?;
        }
        Outcome::Ok(())
    }))
    .await?;
    Ok(())
}

/// Every lane sends its requests once, until the deadline or until one lane has none left. Then all stop, so
/// that the number of clients is constant. Unsent requests stay queued.
pub(crate) async fn spend(lanes: &mut [Lane], until: Instant, latencies: &Latencies) -> Outcome<()> {
    let stopped = Cell::new(false);
    let stopped = &stopped;
    try_join_all(lanes.iter_mut().map(|lane| async move {
        while !stopped.get() && Instant::now() < until {
            match lane.queue.pop_front() {
                Some(request) => {
                    lane.exchange(&request, latencies).await?;
                }
                None => stopped.set(true),
            }
        }
        Outcome::Ok(())
    }))
    .await?;
    Ok(())
}

/// Every lane sends all its queued requests.
pub(crate) async fn drain(lanes: &mut [Lane]) -> Outcome<()> {
    try_join_all(lanes.iter_mut().map(async |lane| {
        while let Some(request) = lane.queue.pop_front() {
            lane.connection.succeed(&request).await?;
        }
        Outcome::Ok(())
    }))
    .await?;
    Ok(())
}

/// Every lane repeats its requests `times` times. Returns what `extract` finds in the answers, in order.
pub(crate) async fn collect(
    lanes: &mut [Lane],
    times: usize,
    latencies: &Latencies,
    extract: fn(&[u8]) -> Outcome<String>,
) -> Outcome<Vec<Vec<String>>> {
    try_join_all(lanes.iter_mut().map(async |lane| {
        let requests = std::mem::take(&mut lane.queue);
        let mut found = Vec::with_capacity(times * requests.len());
        for _ in 0..times {
            for request in &requests {
                found.push(extract(lane.exchange(request, latencies).await?)?);
            }
        }
        Outcome::Ok(found)
    }))
    .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::floors::echo;

    /// Runs a test against an echo server in this process.
    fn with_lanes<F: AsyncFnOnce(Vec<Lane>)>(test: F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tokio::spawn(echo::serve(listener));
            let mut lanes = Lane::open(address, 4).await.unwrap();
            for lane in &mut lanes {
                lane.queue.extend([echo::REQUEST.to_vec(), echo::REQUEST.to_vec()]);
            }
            test(lanes).await;
            server.abort();
        });
    }

    fn in_a_minute() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[test]
    fn spending_stops_everyone_when_one_lane_has_nothing_left() {
        with_lanes(async |mut lanes| {
            lanes[0].queue.truncate(1);
            let latencies = Latencies::new().unwrap();
            spend(&mut lanes, in_a_minute(), &latencies).await.unwrap();
            let left: usize = lanes.iter().map(|lane| lane.queue.len()).sum();
            assert_eq!(usize::try_from(latencies.count()).unwrap() + left, 7);
            drain(&mut lanes).await.unwrap();
            assert!(lanes.iter().all(|lane| lane.queue.is_empty()));
        });
    }

    #[test]
    fn collecting_gives_one_find_per_answer() {
        with_lanes(async |mut lanes| {
            let latencies = Latencies::new().unwrap();
            let found = collect(&mut lanes, 3, &latencies, |body| Ok(body.len().to_string())).await.unwrap();
            assert_eq!(found, vec![vec![echo::ANSWER.len().to_string(); 6]; 4]);
            assert_eq!(latencies.count(), 24);
        });
    }

    #[test]
    fn a_deadline_in_the_past_sends_nothing() {
        with_lanes(async |mut lanes| {
            let latencies = Latencies::new().unwrap();
            cycle(&mut lanes, Instant::now(), &latencies).await.unwrap();
            assert_eq!(latencies.count(), 0);
        });
    }
}
