//! Reading and discarding of the rest of a request's body after an early answer.
//!
//! A connection that is closed while bytes of the body are still arriving ends in a TCP reset, and the reset can
//! overtake the answer: the client then sees a network error instead of the fault. So the server keeps reading for a
//! bounded number of bytes and a bounded time.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

/// The bodies that are drained, in multiples of the largest body that is accepted.
const BODIES: usize = 2;

/// A request body that may be left unread.
pub trait Unread: Body<Data = Bytes> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Unread for B {}

/// True if `body` is larger than what is drained, so that the connection ends in the middle of it.
pub fn ends_connection(body: &impl Unread, body_bytes_max: usize) -> bool {
    body.size_hint().lower() > body_bytes_max.saturating_mul(BODIES) as u64
}

/// The bounds on what is read.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// The time without a byte after which no more are expected.
    idle: Duration,
    /// The time for the whole rest of a body to arrive.
    whole: Duration,
    /// The size beyond which no more is read.
    bytes_max: usize,
}

/// Discards the rest of `body` in its own task, which keeps `held` until then. `body_bytes_max` is the largest body
/// that the server accepts.
pub fn begin(body: impl Unread, body_bytes_max: usize, held: impl Send + 'static) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let bounds = Bounds {
        idle: Duration::from_secs(1),
        whole: Duration::from_secs(5),
        bytes_max: body_bytes_max.saturating_mul(BODIES),
    };
    runtime.spawn(async move {
        discard(body, bounds).await;
        drop(held);
    });
}

/// Discards `body` within `bounds`. The connection ends in front of what has not arrived by then.
async fn discard(mut body: impl Unread, bounds: Bounds) {
    let all = async {
        let mut bytes = 0;
        while let Ok(Some(Ok(frame))) = timeout(bounds.idle, body.frame()).await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > bounds.bytes_max {
                return;
            }
        }
    };
    // The body is dropped either way.
    let _ = timeout(bounds.whole, all).await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{Stream, StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    const NO_BOUNDS: Bounds =
        Bounds { idle: Duration::from_hours(1), whole: Duration::from_hours(1), bytes_max: usize::MAX };
    const SOON: Duration = Duration::from_millis(20);

    /// A body in pieces of 100 bytes.
    fn body(pieces: impl Stream<Item = ()> + Send + 'static) -> impl Unread {
        let frame = |()| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 100])));
        StreamBody::new(Box::pin(pieces.map(frame)))
    }

    async fn ends(body: impl Unread, bounds: Bounds) -> bool {
        timeout(Duration::from_secs(10), discard(body, bounds)).await.is_ok()
    }

    #[tokio::test]
    async fn a_body_that_stops_arriving_is_given_up() {
        assert!(ends(body(stream::pending()), Bounds { idle: SOON, ..NO_BOUNDS }).await);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let trickle = stream::unfold((), |()| async {
            // A slow peer.
            tokio::time::sleep(SOON / 10).await;
            Some(((), ()))
        });
        assert!(ends(body(trickle), Bounds { whole: SOON, ..NO_BOUNDS }).await);
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_given_up() {
        let (taken, pieces) = tokio::sync::mpsc::channel(1000);
        for _ in 0..1000 {
            taken.try_send(()).unwrap();
        }
        let pieces =
            stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|()| ((), pieces)) });
        assert!(ends(body(pieces), Bounds { bytes_max: 250, ..NO_BOUNDS }).await);
        drop(taken);
    }
}
