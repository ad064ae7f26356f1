//! The write side of a connection: the resources that answers hold until their last byte is written, and the
//! lowest rate at which a peer must take them.
//!
//! The HTTP library queues the end of an answer and drops its body before the bytes have left. It flushes this stream
//! only when its own queue is empty, so the flush is the moment at which an answer has been written.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::drain::{self, Unread};
use crate::capacity::{Busy, Holding};
use crate::lock::Lock;

/// The answers of one connection that were passed to the HTTP library and are not written yet.
#[derive(Clone, Default)]
pub struct Outgoing(Arc<Lock<Vec<Held>>>);

/// The resources that an answer holds until its last byte is written: the permits and memory of its request,
/// if it was admitted, and the slot of its connection.
pub struct Held {
    _holding: Option<Holding>,
    busy: Busy,
}

impl Held {
    /// Holds both.
    pub fn new(holding: Option<Holding>, busy: Busy) -> Self {
        Self { _holding: holding, busy }
    }
}

/// An answer's body, with the resources that the answer holds and the unread rest of the request.
pub struct HeldBody<A, B: Unread> {
    answer: A,
    held: Option<Held>,
    unread: Option<B>,
    body_bytes_max: usize,
    outgoing: Outgoing,
}

impl<A, B: Unread> HeldBody<A, B> {
    /// Keeps `held` until `answer` has left over the connection of `outgoing`, and then discards the `unread` rest of
    /// the request's body. `body_bytes_max` is the largest body that the server accepts.
    pub fn new(answer: A, held: Held, unread: Option<B>, body_bytes_max: usize, outgoing: &Outgoing) -> Self {
        Self { answer, held: Some(held), unread, body_bytes_max, outgoing: outgoing.clone() }
    }
}

impl<A: Body<Data = Bytes> + Unpin, B: Unread> Body for HeldBody<A, B> {
    type Data = Bytes;
    type Error = A::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().answer).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}

impl<A, B: Unread> Drop for HeldBody<A, B> {
    fn drop(&mut self) {
        // Only now: before the answer has begun, reading the body would ask a client that waits for `100
        // Continue` to send it. The connection stays busy, so that no newcomer takes its slot and cuts the answer off.
        if let Some(unread) = self.unread.take() {
            drain::begin(
                unread,
                self.body_bytes_max,
                self.held.as_ref().map(|held| held.busy.while_drained()),
            );
        }
        self.outgoing.0.lock().extend(self.held.take());
    }
}

/// The lowest rate at which a peer must take data.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time in which a peer with pending data must take some of it.
    pub stall_max: Duration,
    /// The bytes that it must have taken by then.
    pub bytes_min: usize,
}

/// A connection whose peer must take data at the lowest rate or faster.
pub struct Paced<S> {
    stream: S,
    outgoing: Outgoing,
    pace: Pace,
    /// The end of the present period, while the peer is behind.
    period: Option<Pin<Box<Sleep>>>,
    behind: bool,
    taken_bytes: usize,
}

impl<S> Paced<S> {
    /// Monitors the data written to `stream`.
    pub fn new(stream: S, outgoing: Outgoing, pace: Pace) -> Self {
        Self { stream, outgoing, pace, period: None, behind: false, taken_bytes: 0 }
    }

    /// Called when the peer takes no more data for now. Ends the connection if the peer took too little in a
    /// whole period.
    fn stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if !self.behind {
            self.behind = true;
            self.begin_period();
        }
        loop {
            let Some(period) = &mut self.period else { return Poll::Pending };
            ready!(period.as_mut().poll(cx));
            if self.taken_bytes < self.pace.bytes_min {
                let cause = "the peer does not take its answer";
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, cause));
            }
            self.begin_period();
        }
    }

    fn begin_period(&mut self) {
        self.taken_bytes = 0;
        let end = Instant::now() + self.pace.stall_max;
        match &mut self.period {
            Some(period) => period.as_mut().reset(end),
            None => self.period = Some(Box::pin(sleep_until(end))),
        }
    }

    fn written(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(bytes)) => {
                self.taken_bytes = self.taken_bytes.saturating_add(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.stalled(cx).map(Err),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                this.behind = false;
                // The resources are dropped after the lock is free.
                let left = std::mem::take(&mut *this.outgoing.0.lock());
                drop(left);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.stalled(cx).map(Err),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_shutdown(cx) {
            Poll::Pending => this.stalled(cx).map(Err),
            done @ Poll::Ready(_) => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{Empty, StreamBody};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::capacity::{Connections, Use};

    const PACE: Pace = Pace { stall_max: Duration::from_millis(300), bytes_min: 100 };
    /// The bytes in flight between both ends.
    const PIPE_BYTES: usize = 50;

    #[tokio::test]
    async fn a_connection_whose_refused_body_is_drained_is_not_given_away() {
        let connections = Connections::new(1, 1, 1);
        let place = connections.admit(None).unwrap().place;
        let held = Held::new(None, place.begin_request().unwrap());
        let (rest_of_body, frames) = tokio::sync::mpsc::channel::<()>(1);
        let unread = StreamBody::new(Box::pin(stream::unfold(frames, |mut frames| async {
            frames.recv().await.map(|()| (Ok::<_, Infallible>(Frame::data(Bytes::new())), frames))
        })));
        let outgoing = Outgoing::default();
        drop(HeldBody::new(Empty::<Bytes>::new(), held, Some(unread), 1, &outgoing));
        // The answer is written.
        outgoing.0.lock().clear();
        let newcomer = || connections.admit(None).map(|admitted| admitted.used_for);
        assert!(matches!(newcomer(), Some(Use::Probes(_))));
        drop(rest_of_body);
        while newcomer() != Some(Use::Any) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_ends_the_connection() {
        let (ours, _theirs) = duplex(PIPE_BYTES);
        let mut paced = Paced::new(ours, Outgoing::default(), PACE);
        let begun = Instant::now();
        let error = paced.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= PACE.stall_max);
    }

    #[tokio::test]
    async fn a_peer_that_takes_too_little_ends_the_connection() {
        let (ours, mut theirs) = duplex(PIPE_BYTES);
        let mut paced = Paced::new(ours, Outgoing::default(), PACE);
        let trickle = tokio::spawn(async move {
            let mut byte = [0; 1];
            while theirs.read_exact(&mut byte).await.is_ok() {
                // A slow peer.
                tokio::time::sleep(PACE.stall_max / 15).await;
            }
        });
        assert!(paced.write_all(&[0; 1000]).await.is_err());
        drop(paced);
        trickle.await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_keeps_the_pace_gets_everything_however_long_it_takes() {
        let (ours, mut theirs) = duplex(PIPE_BYTES);
        let pace = Pace { stall_max: Duration::from_secs(2), bytes_min: 1 };
        let mut paced = Paced::new(ours, Outgoing::default(), pace);
        let reader = tokio::spawn(async move {
            let (mut chunk, mut bytes) = ([0; PIPE_BYTES], 0);
            while bytes < 1000 {
                // A slow peer.
                tokio::time::sleep(pace.stall_max / 16).await;
                bytes += theirs.read(&mut chunk).await.unwrap();
            }
        });
        let begun = Instant::now();
        paced.write_all(&[0; 1000]).await.unwrap();
        reader.await.unwrap();
        assert!(begun.elapsed() > pace.stall_max);
    }

    #[tokio::test]
    async fn an_idle_connection_is_not_ended() {
        let (ours, mut theirs) = duplex(PIPE_BYTES);
        let mut paced = Paced::new(ours, Outgoing::default(), PACE);
        paced.write_all(&[0; 10]).await.unwrap();
        paced.flush().await.unwrap();
        tokio::time::sleep(PACE.stall_max * 3).await;
        paced.write_all(&[0; 10]).await.unwrap();
        let mut taken = [0; 20];
        assert!(theirs.read_exact(&mut taken).await.is_ok());
    }
}
