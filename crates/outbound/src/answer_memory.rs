//! The memory of a function's answer, which the caller of the function grants while the answer arrives. Bytes that wait
//! for a grant are not read on.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

/// The asking side, which reads an answer.
#[derive(Clone, Debug)]
pub struct AnswerMemory {
    ask: mpsc::Sender<Asked>,
}

/// An answer that has grown to `bytes`.
#[derive(Debug)]
pub struct Asked {
    /// The size of the answer so far, in bytes.
    pub bytes: usize,
    granted: oneshot::Sender<()>,
}

impl AnswerMemory {
    /// Creates both sides. An answer is read only while the other side grants what is asked for.
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        // One answer asks once at a time.
        let (ask, asked) = mpsc::channel(1);
        (Self { ask }, asked)
    }

    /// Waits until an answer of `bytes` is granted its memory. Returns false if it never is.
    pub async fn ask_for(&self, bytes: usize) -> bool {
        let (granted, grant) = oneshot::channel();
        self.ask.send(Asked { bytes, granted }).await.is_ok() && grant.await.is_ok()
    }
}

impl Asked {
    /// Lets the answer be read on.
    pub fn grant(self) {
        // An answer that is no longer read needs no memory.
        let _ = self.granted.send(());
    }
}

/// A body that asks for memory as it grows.
pub(crate) struct Granted<B> {
    body: B,
    memory: AnswerMemory,
    bytes: usize,
    waiting: Option<(Frame<Bytes>, oneshot::Receiver<()>)>,
}

impl<B> Granted<B> {
    pub(crate) fn new(body: B, memory: AnswerMemory) -> Self {
        Self { body, memory, bytes: 0, waiting: None }
    }
}

impl<B> Body for Granted<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some((_, granted)) = &mut this.waiting {
                let granted = ready!(Pin::new(granted).poll(cx));
                let frame = this.waiting.take().map(|(frame, _)| frame);
                return Poll::Ready(frame.map(|frame| granted.map(|()| frame).map_err(Into::into)));
            }
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            let frame = frame.map_err(Into::into)?;
            this.bytes += frame.data_ref().map_or(0, Bytes::len);
            let (grant, granted) = oneshot::channel();
            this.memory.ask.try_send(Asked { bytes: this.bytes, granted: grant })?;
            this.waiting = Some((frame, granted));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // The frame that waits is not counted, and nothing needs the size ahead.
        SizeHint::default()
    }
}
