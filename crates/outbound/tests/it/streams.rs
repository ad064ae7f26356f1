//! Streams over HTTP.

use bytes::Bytes;
use carryall_outbound::{StreamDestination, StreamMessage, Undelivered};
use http::Method;
use tokio::net::TcpListener;

use crate::receiver::{Receiver, Reply};
use crate::{NOW_UNIX_S, http, streaming_to};

fn message(json: &'static str) -> StreamMessage {
    StreamMessage {
        event_id: "event-1".to_owned(),
        partition_key: "key".to_owned(),
        json: Bytes::from_static(json.as_bytes()),
    }
}

async fn put_to(url: &str) -> Result<(), Undelivered> {
    let outbound = streaming_to(StreamDestination::Http(http(url)));
    outbound.stream("pool", "stream", None).put(message(r#"{"a":1}"#)).await
}

async fn outcome_of(reply: Reply) -> Result<(), Undelivered> {
    put_to(&Receiver::start(reply).await.origin).await
}

fn is_retry(outcome: &Result<(), Undelivered>) -> bool {
    matches!(outcome, Err(Undelivered::Retry { .. }))
}

#[tokio::test]
async fn a_message_is_one_signed_post() {
    let receiver = Receiver::start(Reply::status(204)).await;
    put_to(&format!("{}/in?to=me", receiver.origin)).await.unwrap();
    let received = receiver.only();
    assert_eq!(received.method, Method::POST);
    assert_eq!(received.target, "/in?to=me");
    assert_eq!(received.header("Content-Type"), "application/json");
    assert_eq!(received.header("Carryall-Event-Id"), "event-1");
    assert_eq!(received.header("Carryall-Timestamp"), NOW_UNIX_S.to_string());
    assert_eq!(received.body, r#"{"a":1}"#);
    assert!(received.is_signed());
}

#[tokio::test]
async fn a_status_says_what_to_do() {
    for status in [200, 201, 299] {
        assert_eq!(outcome_of(Reply::status(status)).await, Ok(()), "{status}");
    }
    assert!(matches!(outcome_of(Reply::status(410)).await, Err(Undelivered::Gone { .. })));
    for status in [304, 400, 413, 418, 422] {
        assert!(
            matches!(outcome_of(Reply::status(status)).await, Err(Undelivered::Refused { .. })),
            "{status}"
        );
    }
    for status in [401, 403, 404, 408, 425, 500, 502, 503] {
        assert!(is_retry(&outcome_of(Reply::status(status)).await), "{status}");
    }
    assert!(is_retry(&outcome_of(Reply::status(429)).await));
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let elsewhere = Receiver::start(Reply::status(200)).await;
    let outcome = outcome_of(Reply::Redirect(elsewhere.origin.clone())).await;
    assert!(matches!(outcome, Err(Undelivered::Refused { .. })));
    assert!(elsewhere.take().is_empty());
}

#[tokio::test]
async fn a_lost_answer_is_worth_another_attempt() {
    assert!(is_retry(&outcome_of(Reply::HangUp).await));
}

#[tokio::test]
async fn an_answer_of_any_size_does_not_undo_success() {
    let large = Reply::Status(200, Bytes::from(vec![b'x'; 1024 * 1024]));
    assert_eq!(outcome_of(large).await, Ok(()));
}

#[tokio::test]
async fn nobody_there_is_worth_another_attempt_and_names_the_host_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let Err(Undelivered::Retry { cause }) = put_to(&format!("{origin}/secret-path")).await else {
        panic!("expected a retry");
    };
    assert!(cause.contains(&origin) && !cause.contains("secret-path"), "{cause}");
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_not_spoken_to_in_plain_text() {
    let receiver = Receiver::start(Reply::status(200)).await;
    assert!(is_retry(&put_to(&receiver.origin.replace("http:", "https:")).await));
    assert!(receiver.take().is_empty());
}

#[tokio::test]
async fn an_event_id_that_no_header_can_hold_is_refused() {
    let receiver = Receiver::start(Reply::status(200)).await;
    let outbound = streaming_to(StreamDestination::Http(http(&receiver.origin)));
    let message = StreamMessage { event_id: "two\r\nlines".to_owned(), ..message("{}") };
    let outcome = outbound.stream("pool", "stream", None).put(message).await;
    assert!(matches!(outcome, Err(Undelivered::Refused { .. })));
}

#[tokio::test]
async fn a_check_delivers_nothing_and_takes_any_answer() {
    let receiver = Receiver::start(Reply::status(405)).await;
    let outbound = streaming_to(StreamDestination::Http(http(&receiver.origin)));
    let findings = outbound.stream("pool", "stream", None).check().await;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].trouble, None);
    let received = receiver.only();
    assert_eq!(received.method, Method::HEAD);
    assert!(received.headers.get("Carryall-Signature").is_none());

    let silent = Receiver::start(Reply::HangUp).await;
    let outbound = streaming_to(StreamDestination::Http(http(&silent.origin)));
    assert!(outbound.stream("pool", "stream", None).check().await[0].trouble.is_some());
}
