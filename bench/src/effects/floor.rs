//! P, the endpoint alone: ready-made messages posted to it over as many connections as the relay uses for one pool.
//! Client and endpoint share this process, so the processor time is that of both.

use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use crate::load::{self, Lane};
use crate::measure::{Meter, Row};
use crate::outcome::Outcome;

/// Simultaneous deliveries for one pool, by the program's default settings.
const CONNECTIONS: usize = 32;
/// The approximate size of the message of one changed record.
const MESSAGE_BYTES: usize = 600;

/// Posts messages until the end of the cell.
pub(crate) async fn measure(name: &'static str, endpoint: &Endpoint, cell: Duration) -> Outcome<Row> {
    let mut lanes = Lane::open(endpoint.address(), CONNECTIONS).await?;
    for (number, lane) in lanes.iter_mut().enumerate() {
        let message = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncarryall-event-id: p/1/i/d/{number}/stream\r\ncontent-length: \
             {MESSAGE_BYTES}\r\n\r\n{}",
            endpoint.address(),
            "m".repeat(MESSAGE_BYTES)
        );
        lane.queue.push_back(message.into_bytes());
    }
    let meter = Meter::own();
    let mut row = Row::new(name, CONNECTIONS)?;
    let before = meter.read()?;
    load::cycle(&mut lanes, Instant::now() + cell, &row.latencies).await?;
    meter.add_since(&before, &mut row)?;
    endpoint.take();
    Ok(row)
}
