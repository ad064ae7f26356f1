//! A trigger over HTTP: the event is the body of one POST, and the body of its answer is the function's
//! answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::client::{Answer, BodyTrouble, HttpClient, NoAnswer, Post};
use super::stream::reachable;
use crate::answer_memory::AnswerMemory;
use crate::port::{Checked, Outcome, TriggerEvent, TriggerPort, TriggerUndelivered};
use crate::settings::HttpDestination;
use crate::{TRIGGER_ANSWER_BYTES_MAX, milliseconds};

/// A self-hosted function.
pub(crate) struct HttpTrigger {
    client: Arc<HttpClient>,
    destination: HttpDestination,
}

impl HttpTrigger {
    pub(crate) fn new(client: Arc<HttpClient>, destination: HttpDestination) -> Self {
        Self { client, destination }
    }
}

impl TriggerPort for HttpTrigger {
    fn invoke(
        &self,
        event: TriggerEvent,
        time_max: Duration,
        memory: AnswerMemory,
    ) -> Outcome<'_, Bytes, TriggerUndelivered> {
        Box::pin(async move {
            let post = Post {
                event_id: &event.event_id,
                json: event.json,
                answer_bytes_max: TRIGGER_ANSWER_BYTES_MAX,
                answer_memory: Some(memory),
                time_max,
            };
            match self.client.post(&self.destination, post).await {
                Ok(answer) => read(&self.destination.origin(), answer),
                Err(NoAnswer::TimedOut { .. }) => {
                    Err(TriggerUndelivered::TimedOut { milliseconds_max: milliseconds(time_max) })
                }
                Err(NoAnswer::Unreached { cause }) => Err(TriggerUndelivered::Unreachable { cause }),
                Err(NoAnswer::Unmakeable { cause }) => Err(TriggerUndelivered::FunctionError { cause }),
            }
        })
    }

    fn check(&self) -> Checked<'_> {
        Box::pin(reachable(&self.client, &self.destination))
    }
}

fn read(origin: &str, answer: Answer) -> Result<Bytes, TriggerUndelivered> {
    let status = answer.status;
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(TriggerUndelivered::Throttled { cause: format!("{origin} answered {status}") });
    }
    if !status.is_success() {
        return Err(TriggerUndelivered::FunctionError { cause: format!("{origin} answered {status}") });
    }
    answer.body.map_err(|trouble| match trouble {
        BodyTrouble::TooLarge => TriggerUndelivered::FunctionError {
            cause: format!("{origin} answered more than {TRIGGER_ANSWER_BYTES_MAX} bytes"),
        },
        BodyTrouble::CutOff { cause } => {
            TriggerUndelivered::Unreachable { cause: format!("{origin}: {cause}") }
        }
    })
}
