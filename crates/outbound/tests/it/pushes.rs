//! Pushes over HTTP.

use std::sync::Arc;

use carryall_outbound::{
    Device, OutboundSettings, Platform, PushMessage, PushPort, PushUndelivered, Undelivered,
};
use serde_json::json;

use crate::receiver::{Receiver, Reply};
use crate::{every, http, outbound, settings};

const APPLICATION: &str = "arn:aws:sns:eu-west-1:123456789012:app/APNS/notes";

fn port(receiver: &Receiver) -> Arc<dyn PushPort> {
    outbound(OutboundSettings { pushes: every(http(&receiver.origin)), ..settings() }).push(
        "pool",
        APPLICATION,
        None,
    )
}

async fn publish(port: &dyn PushPort) -> Result<(), PushUndelivered> {
    let device = Device {
        device_id: "device".to_owned(),
        platform: Platform::Apns,
        token: "the-token".into(),
        endpoint: "endpoint".to_owned(),
    };
    let message = PushMessage {
        event_id: "event-1".to_owned(),
        identity_pool_id: "pool".to_owned(),
        identity_id: "identity".to_owned(),
        dataset_name: "notes".to_owned(),
        sync_count: "7".to_owned(),
    };
    port.publish(&device, &message).await
}

#[tokio::test]
async fn a_push_names_the_device_and_carries_five_strings() {
    let receiver = Receiver::start(Reply::status(200)).await;
    publish(&*port(&receiver)).await.unwrap();
    let received = receiver.only();
    assert!(received.is_signed());
    assert_eq!(received.header("Carryall-Event-Id"), "event-1");
    let expected = json!({
        "deviceId": "device", "platform": "APNS", "applicationArn": APPLICATION, "token": "the-token",
        "message": {
            "source": "cognito-sync", "identityPoolId": "pool", "identityId": "identity",
            "datasetName": "notes", "syncCount": "7",
        },
    });
    assert_eq!(received.json(), expected);
}

#[tokio::test]
async fn a_gateway_that_does_not_know_the_device_ends_its_pushes() {
    let receiver = Receiver::start(Reply::status(410)).await;
    let outcome = publish(&*port(&receiver)).await;
    assert!(matches!(outcome, Err(PushUndelivered::EndpointDead { .. })));
    // A gateway that is being redeployed answers so for every device.
    let receiver = Receiver::start(Reply::status(404)).await;
    let outcome = publish(&*port(&receiver)).await;
    assert!(matches!(outcome, Err(PushUndelivered::Other(Undelivered::Retry { .. }))));
}

#[tokio::test]
async fn registering_calls_nobody_and_names_a_token_without_showing_it() {
    let receiver = Receiver::start(Reply::status(200)).await;
    let port = port(&receiver);
    let first = port.register(&"the-token".into()).await.unwrap();
    assert_eq!(first, port.register(&"the-token".into()).await.unwrap());
    assert_ne!(first, port.register(&"another".into()).await.unwrap());
    assert!(first.starts_with(APPLICATION) && !first.contains("the-token"));
    assert!(receiver.take().is_empty());
}
