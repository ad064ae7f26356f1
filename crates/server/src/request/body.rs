//! Reading of a request's body. It is refused unread if its announced length is too large, cut off if it
//! becomes too large or too slow, and charged to the memory budget of all bodies.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use carryall_wire::codec::Routed;
use carryall_wire::spec::RECORDS_BODY_BYTES_MAX;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::capacity::{Capacity, Charge, Patience, SMALL_BYTES_MAX, off_the_worker};
use crate::config::Config;
use crate::failure::Failure;
use crate::source::Source;

/// The time before the rate of a body counts.
const GRACE: Duration = Duration::from_secs(5);

/// A body with the memory charged for it.
pub struct Read {
    bytes: Bytes,
    charge: Charge,
}

/// The memory charged for a body. It stays charged while the operation works on the decoded input.
pub struct Paid {
    _charge: Charge,
}

impl Read {
    /// Runs `work` on the bytes. Work on a large body leaves the worker thread to other tasks.
    pub fn work<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.bytes.len() > SMALL_BYTES_MAX { off_the_worker(work) } else { work() }
    }

    /// Frees the bytes and keeps the charge for them.
    pub fn into_paid(self) -> Paid {
        Paid { _charge: self.charge }
    }
}

impl std::ops::Deref for Read {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The source that a body is charged to, and the time that its request may still wait for memory.
pub struct Payer<'p> {
    /// The source of the request.
    pub source: Source,
    /// The time that the request may still wait.
    pub patience: &'p mut Patience,
}

/// The limits of one body.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The largest size, in bytes.
    pub bytes_max: usize,
    /// The time limit of the whole body, in seconds.
    pub seconds_max: u32,
    /// The lowest rate, in bytes per second.
    pub bytes_per_second_min: u32,
}

impl Bounds {
    /// The limits from the settings. The largest size is the setting's for operations that carry whole
    /// datasets, and the operation's own for others.
    pub fn of(config: &Config, routed: &Routed<'_>) -> Self {
        let modelled = routed.body_bytes_max();
        let bytes_max = if modelled == RECORDS_BODY_BYTES_MAX {
            config.limits.body_bytes_max
        } else {
            config.limits.body_bytes_max.min(modelled as usize)
        };
        Self {
            bytes_max,
            seconds_max: config.limits.request_seconds_max.get(),
            bytes_per_second_min: config.limits.body_bytes_per_second_min.get(),
        }
    }

    /// The time by which more than `bytes` must have arrived.
    fn next_by(&self, begun: Instant, bytes: usize) -> Instant {
        let milliseconds = bytes as u64 * 1000 / u64::from(self.bytes_per_second_min);
        let paced = Duration::from_millis(milliseconds);
        let whole = Duration::from_secs(self.seconds_max.into());
        begun + (GRACE + paced).min(whole)
    }
}

/// Reads a body within `bounds`, charged to `payer`. Leaves `None` in its place once it is read whole.
pub async fn read<B>(
    capacity: &Capacity,
    headers: &HeaderMap,
    whole: &mut Option<B>,
    payer: Payer<'_>,
    bounds: Bounds,
) -> Result<Read, Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let Bounds { bytes_max, .. } = bounds;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(Failure::BodyTooLarge { bytes_max });
    }
    let begun = Instant::now();
    let Some(body) = whole else { return Ok(Read { bytes: Bytes::new(), charge: Charge::default() }) };
    let mut charge = Charge::default();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let bytes = first.len() + rest.len();
        let frame = timeout_at(bounds.next_by(begun, bytes), body.frame()).await;
        let Bounds { seconds_max, bytes_per_second_min, .. } = bounds;
        let too_slow = |_| Failure::BodyTooSlow { seconds_max, bytes_per_second_min };
        let Some(frame) = frame.map_err(too_slow)? else { break };
        let frame = frame.map_err(|error| Failure::BodyBroken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let bytes = bytes + data.len();
        if bytes > bytes_max {
            return Err(Failure::BodyTooLarge { bytes_max });
        }
        // Memory is charged as it arrives, so that a sender who announces much and sends nothing holds
        // nothing.
        if bytes > charge.bytes() {
            capacity.pay_body(payer.source, &mut charge, bytes, payer.patience).await?;
        }
        // Most bodies are one frame, which need not be copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if bytes > SMALL_BYTES_MAX && rest.len() + data.len() > rest.capacity() {
            // Grown once, not by doubling. Memory that is never written to costs nothing.
            let announced = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(bytes);
            rest.reserve(announced.saturating_sub(rest.len()).max(data.len()));
        }
        rest.extend_from_slice(&std::mem::take(&mut first));
        rest.extend_from_slice(&data);
    }
    *whole = None;
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Read { bytes, charge })
}
