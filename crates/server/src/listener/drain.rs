//! Reading and discarding of the rest of a request's body after an early answer.
//!
//! A connection that is closed while bytes of the body are still arriving ends in a TCP reset, and the reset can
//! overtake the answer: the client then sees a network error instead of the fault. So the server keeps reading for a
//! bounded number of bytes and a bounded time.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;

/// The time without a byte after which no more are expected.
const IDLE_TIME_MAX: Duration = Duration::from_secs(1);
/// The time for the rest of a body to arrive.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// The bodies that are drained, in multiples of the largest body that is accepted.
const BODIES: usize = 2;

/// A request body that may be left unread.
pub trait Unread: Body<Data = Bytes> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Unread for B {}

/// True if `body` is larger than what is drained, so that the connection ends in the middle of it.
pub fn ends_connection(body: &impl Unread, body_bytes_max: usize) -> bool {
    body.size_hint().lower() > body_bytes_max.saturating_mul(BODIES) as u64
}

/// Discards the rest of `body` in its own task, which keeps `held` until then. `body_bytes_max` is the largest body that
/// the server accepts.
pub fn begin(body: impl Unread, body_bytes_max: usize, held: impl Send + 'static) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let bytes_max = body_bytes_max.saturating_mul(BODIES);
    runtime.spawn(async move {
        // Anything that has not arrived by then is cut off.
        let _ = tokio::time::timeout(DRAIN_TIME_MAX, discard(body, bytes_max)).await;
        drop(held);
    });
}

async fn discard(mut body: impl Unread, bytes_max: usize) {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(IDLE_TIME_MAX, body.frame()).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > bytes_max {
            return;
        }
    }
}
