//! A stream as HTTP requests: each message is the body of one POST.

use std::sync::Arc;
use std::time::Duration;

use super::client::{HttpClient, Post};
use super::status::outcome;
use crate::port::{Checked, Finding, Outcome, StreamMessage, StreamPort};
use crate::settings::HttpDestination;

/// How long one attempt may take.
pub(super) const ATTEMPT_MILLISECONDS_MAX: u64 = 10_000;
/// How much of an answer that nobody reads is taken in, so that its connection can be used again.
pub(super) const IGNORED_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A stream of one's own.
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
                time_max: Duration::from_millis(ATTEMPT_MILLISECONDS_MAX),
            };
            outcome(&self.destination.origin(), self.client.post(&self.destination, post).await)
        })
    }

    fn check(&self) -> Checked<'_> {
        Box::pin(reachable(&self.client, &self.destination))
    }
}

/// The check of every HTTP destination: somebody answers. Whether the secret is right shows with the first message.
pub(super) async fn reachable(client: &HttpClient, destination: &HttpDestination) -> Vec<Finding> {
    let reached = client.reach(destination, Duration::from_millis(ATTEMPT_MILLISECONDS_MAX)).await;
    vec![Finding { what: format!("reach {}", destination.origin()), trouble: reached.err() }]
}
