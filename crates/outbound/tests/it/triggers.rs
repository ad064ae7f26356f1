//! Triggers over HTTP.

use std::time::Duration;

use bytes::Bytes;
use carryall_outbound::{AnswerMemory, OutboundSettings, TriggerEvent, TriggerUndelivered};

use crate::receiver::{Receiver, Reply};
use crate::{every, http, outbound, settings};

const LONG: Duration = Duration::from_mins(1);

async fn ask(url: &str, time_max: Duration) -> Result<Bytes, TriggerUndelivered> {
    let outbound = outbound(OutboundSettings { triggers: every(http(url)), ..settings() });
    let event = TriggerEvent { event_id: "event-1".to_owned(), json: Bytes::from_static(b"{\"version\":2}") };
    let (memory, mut asked) = AnswerMemory::new();
    let port = outbound.trigger("pool", "arn:aws:lambda:eu-west-1:1:function:f");
    let mut answer = port.invoke(event, time_max, memory);
    let mut bytes_asked = 0;
    loop {
        tokio::select! {
            answer = &mut answer => {
                assert!(answer.as_ref().is_ok_and(|answer| answer.len() == bytes_asked) || answer.is_err());
                return answer;
            }
            Some(asked) = asked.recv() => {
                bytes_asked = asked.bytes;
                asked.grant();
            }
        }
    }
}

async fn outcome_of(reply: Reply) -> Result<Bytes, TriggerUndelivered> {
    ask(&Receiver::start(reply).await.origin, LONG).await
}

#[tokio::test]
async fn the_answers_body_is_the_functions_answer() {
    let receiver = Receiver::start(Reply::Status(200, Bytes::from_static(b"{\"a\":2}"))).await;
    assert_eq!(ask(&receiver.origin, LONG).await.unwrap(), "{\"a\":2}");
    let received = receiver.only();
    assert_eq!(received.body, "{\"version\":2}");
    assert!(received.is_signed());
}

#[tokio::test]
async fn failures_are_told_apart() {
    assert!(matches!(outcome_of(Reply::status(429)).await, Err(TriggerUndelivered::Throttled { .. })));
    for status in [302, 400, 404, 500, 503] {
        let outcome = outcome_of(Reply::status(status)).await;
        assert!(matches!(outcome, Err(TriggerUndelivered::FunctionError { .. })), "{status}");
    }
    assert!(matches!(outcome_of(Reply::HangUp).await, Err(TriggerUndelivered::Unreachable { .. })));
}

#[tokio::test]
async fn silence_ends_with_the_time_given() {
    let receiver = Receiver::start(Reply::Silence).await;
    let outcome = ask(&receiver.origin, Duration::from_millis(50)).await;
    assert_eq!(outcome, Err(TriggerUndelivered::TimedOut { milliseconds_max: 50 }));
}

#[tokio::test]
async fn an_answer_whose_memory_is_not_granted_is_not_read_on_and_runs_out_of_time() {
    let reply = Reply::Status(200, Bytes::from(vec![b'x'; 1024 * 1024]));
    let receiver = Receiver::start(reply).await;
    let outbound = outbound(OutboundSettings { triggers: every(http(&receiver.origin)), ..settings() });
    let event = TriggerEvent { event_id: "event-1".to_owned(), json: Bytes::from_static(b"{}") };
    let (memory, mut asked) = AnswerMemory::new();
    let port = outbound.trigger("pool", "arn:aws:lambda:eu-west-1:1:function:f");
    let outcome = port.invoke(event, Duration::from_millis(500), memory).await;
    assert_eq!(outcome, Err(TriggerUndelivered::TimedOut { milliseconds_max: 500 }));
    assert!(asked.recv().await.is_some_and(|asked| asked.bytes < 1024 * 1024));
    assert!(asked.recv().await.is_none());
}

#[tokio::test]
async fn an_answer_has_a_largest_size() {
    const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;
    let whole = outcome_of(Reply::Status(200, Bytes::from(vec![b'x'; ANSWER_BYTES_MAX]))).await;
    assert_eq!(whole.unwrap().len(), ANSWER_BYTES_MAX);
    let beyond = outcome_of(Reply::Status(200, Bytes::from(vec![b'x'; ANSWER_BYTES_MAX + 1]))).await;
    assert!(matches!(beyond, Err(TriggerUndelivered::FunctionError { .. })));
}
