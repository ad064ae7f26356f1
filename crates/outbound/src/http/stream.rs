//! A stream over HTTP: each message is the body of one POST.

use std::sync::Arc;
use std::time::Duration;

use super::client::{HttpClient, Post};
use super::status::outcome;
use crate::port::{Checked, Finding, Outcome, StreamMessage, StreamPort};
use crate::settings::HttpDestination;

/// The time limit of one attempt.
pub(super) const ATTEMPT_MILLISECONDS_MAX: u64 = 10_000;
/// The part of an unused answer that is read so that its connection can be reused.
pub(super) const IGNORED_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A self-hosted stream.
pub(crate) struct HttpStream {
    client: Arc<HttpClient>,
    destination: HttpDestination,
}

impl HttpStream {
    pub(crate) fn new(client: Arc<HttpClient>, destination: HttpDestination) -> Self {
        Self { client, destination }
    }
}

impl StreamPort for HttpStream {
    fn message_bytes_max(&self) -> Option<usize> {
        None
    }

    fn put(&self, message: StreamMessage) -> Outcome<'_, ()> {
        Box::pin(async move {
            let post = Post {
                event_id: &message.event_id,
                json: message.json,
                answer_bytes_max: IGNORED_ANSWER_BYTES_MAX,
                answer_memory: None,
                time_max: Duration::from_millis(ATTEMPT_MILLISECONDS_MAX),
            };
            outcome(&self.destination.origin(), self.client.post(&self.destination, post).await)
        })
    }

    fn check(&self) -> Checked<'_> {
        Box::pin(reachable(&self.client, &self.destination))
    }
}

/// The check of every HTTP destination: it answers. Only the first message shows if the secret is right.
pub(super) async fn reachable(client: &HttpClient, destination: &HttpDestination) -> Vec<Finding> {
    let reached = client.reach(destination, Duration::from_millis(ATTEMPT_MILLISECONDS_MAX)).await;
    vec![Finding { what: format!("reach {}", destination.origin()), trouble: reached.err() }]
}
