//! The contents of a push for SNS and for self-hosted gateways. The functions are pure; nothing is sent here.

use serde_json::{Value, json};

use crate::port::{Platform, PushMessage};

/// The five texts that a client reads. Clients parse the count from text, so it is no number.
pub(crate) fn data(message: &PushMessage) -> Value {
    json!({
        "source": "cognito-sync",
        "identityPoolId": message.identity_pool_id,
        "identityId": message.identity_id,
        "datasetName": message.dataset_name,
        "syncCount": message.sync_count,
    })
}

/// The `Message` of SNS's `Publish` with `MessageStructure` `json`: an object whose values are all strings,
/// with JSON inside. SNS requires `default` and ignores members that are not strings.
pub(crate) fn sns_message(platform: Platform, message: &PushMessage) -> String {
    let data = data(message);
    let default = data.to_string();
    let for_platform = match platform {
        Platform::Adm | Platform::Gcm => json!({ "data": data }),
        // A silent push: the application wakes up and synchronizes, and the user sees nothing.
        Platform::Apns | Platform::ApnsSandbox => json!({ "aps": { "content-available": 1 }, "data": data }),
    };
    json!({ "default": default, platform.name(): for_platform.to_string() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> PushMessage {
        PushMessage {
            event_id: "event-1".to_owned(),
            identity_pool_id: "eu-west-1:pool".to_owned(),
            identity_id: "eu-west-1:identity".to_owned(),
            dataset_name: "with \"quotes\"".to_owned(),
            sync_count: "12".to_owned(),
        }
    }

    fn parse(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn five() -> Value {
        json!({
            "source": "cognito-sync", "identityPoolId": "eu-west-1:pool", "identityId": "eu-west-1:identity",
            "datasetName": "with \"quotes\"", "syncCount": "12",
        })
    }

    #[test]
    fn each_value_of_the_outer_object_is_a_string_and_default_is_there() {
        for platform in [Platform::Adm, Platform::Apns, Platform::ApnsSandbox, Platform::Gcm] {
            let outer = parse(&sns_message(platform, &message()));
            let outer = outer.as_object().unwrap();
            assert_eq!(outer.len(), 2);
            assert!(outer.values().all(Value::is_string));
            assert_eq!(parse(outer["default"].as_str().unwrap()), five());
            assert!(outer.contains_key(platform.name()));
        }
    }

    #[test]
    fn google_and_amazon_get_the_data_alone() {
        for platform in [Platform::Adm, Platform::Gcm] {
            let outer = parse(&sns_message(platform, &message()));
            assert_eq!(parse(outer[platform.name()].as_str().unwrap()), json!({ "data": five() }));
        }
    }

    #[test]
    fn apple_gets_a_silent_notification_without_alert_badge_or_sound() {
        for platform in [Platform::Apns, Platform::ApnsSandbox] {
            let outer = parse(&sns_message(platform, &message()));
            let inner = parse(outer[platform.name()].as_str().unwrap());
            assert_eq!(inner, json!({ "aps": { "content-available": 1 }, "data": five() }));
        }
    }
}
