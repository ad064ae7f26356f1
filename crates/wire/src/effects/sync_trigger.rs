//! The event for the sync trigger's function, and the decoding of its answer (`docs/protocol.md` section
//! 9.2).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::limits;
use crate::member::{self, Object};

/// The format version of the event.
const VERSION: u8 = 2;
/// The value of `eventType`.
const EVENT_TYPE: &str = "SyncTrigger";

/// Creates the event of an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncTriggerEvent {
    version: u8,
    event_type: &'static str,
    region: String,
    identity_pool_id: String,
    identity_id: String,
    dataset_name: String,
    dataset_records: BTreeMap<String, EventRecord>,
}

/// A record of the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRecord {
    /// The stored value.
    pub old_value: Option<String>,
    /// The value that the update would store.
    pub new_value: Option<String>,
    /// `replace`, or `remove` if `new_value` is absent.
    pub op: &'static str,
}

impl EventRecord {
    /// A record with its stored value and its new one.
    pub fn new(old_value: Option<String>, new_value: Option<String>) -> Self {
        let op = if new_value.is_some() { "replace" } else { "remove" };
        Self { old_value, new_value, op }
    }
}

/// The reason why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerTrouble {
    /// The answer is not JSON of the event's form.
    Form(String),
    /// The function changed or left out a member that it may not change.
    Changed(&'static str),
    /// A record's `op` is neither `replace` nor `remove`. The record is not named, because keys are user
    /// data.
    Op,
}

impl fmt::Display for AnswerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(why) => write!(f, "its answer is not in the form of the event: {why}"),
            Self::Changed(member) => {
                write!(f, "its answer changes or lacks '{member}', which may not be changed")
            }
            Self::Op => f.write_str("the op of a record in its answer is neither 'replace' nor 'remove'"),
        }
    }
}

/// The answer as received; unknown members are ignored.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer<'a> {
    /// Any JSON value, kept as text without building a tree.
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    event_type: Option<String>,
    region: Option<String>,
    identity_pool_id: Option<String>,
    identity_id: Option<String>,
    dataset_name: Option<String>,
    #[serde(deserialize_with = "member::map::<limits::AnsweredRecords, _, _>")]
    dataset_records: Option<BTreeMap<String, Option<Object<AnswerRecord>>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnswerRecord {
    #[serde(deserialize_with = "new_value")]
    new_value: Option<String>,
    op: Option<String>,
}

/// Reads a text, or the JSON text of a number or a boolean; refuses an object or an array.
fn new_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let json = <&RawValue>::deserialize(deserializer)?.get();
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map_err(D::Error::custom),
        Some(b'n') => Ok(None),
        Some(b'{' | b'[') | None => Err(D::Error::custom("a value is a text, a number or a boolean")),
        Some(_) => Ok(Some(json.to_owned())),
    }
}

impl SyncTriggerEvent {
    /// Creates the event of an update.
    pub fn new(
        region: &str,
        identity_pool_id: &str,
        identity_id: &str,
        dataset_name: &str,
        dataset_records: BTreeMap<String, EventRecord>,
    ) -> Self {
        Self {
            version: VERSION,
            event_type: EVENT_TYPE,
            region: region.to_owned(),
            identity_pool_id: identity_pool_id.to_owned(),
            identity_id: identity_id.to_owned(),
            dataset_name: dataset_name.to_owned(),
            dataset_records,
        }
    }

    /// Decodes the function's answer to this event. Returns, for each record in it, the value to store, or
    /// none if the record is to be removed.
    pub fn read_answer(&self, json: &[u8]) -> Result<BTreeMap<String, Option<String>>, AnswerTrouble> {
        // Serde's message for a wrong value repeats it, and values must not appear in error texts.
        let place = |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
        let Object(answer): Object<Answer<'_>> =
            serde_json::from_slice(json).map_err(|error| AnswerTrouble::Form(place(&error)))?;
        self.check_envelope(&answer)?;
        let records = answer.dataset_records.unwrap_or_default();
        records.into_iter().map(|(key, record)| wanted(key, record)).collect()
    }

    fn check_envelope(&self, answer: &Answer<'_>) -> Result<(), AnswerTrouble> {
        let version = answer.version.and_then(|json| serde_json::from_str::<f64>(json.get()).ok());
        if version != Some(f64::from(self.version)) {
            return Err(AnswerTrouble::Changed("version"));
        }
        let texts = [
            ("eventType", &answer.event_type, self.event_type),
            ("region", &answer.region, &self.region),
            ("identityPoolId", &answer.identity_pool_id, &self.identity_pool_id),
            ("identityId", &answer.identity_id, &self.identity_id),
            ("datasetName", &answer.dataset_name, &self.dataset_name),
        ];
        match texts.into_iter().find(|(_, answered, sent)| answered.as_deref() != Some(sent)) {
            Some((member, _, _)) => Err(AnswerTrouble::Changed(member)),
            None => Ok(()),
        }
    }
}

/// The value to store. A record without a value, or a null record, is to be removed, whatever its `op`.
fn wanted(
    key: String,
    record: Option<Object<AnswerRecord>>,
) -> Result<(String, Option<String>), AnswerTrouble> {
    let Some(Object(AnswerRecord { new_value, op })) = record else { return Ok((key, None)) };
    match op.as_deref() {
        Some("remove") => Ok((key, None)),
        Some("replace") | None => Ok((key, new_value)),
        Some(_) => Err(AnswerTrouble::Op),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> SyncTriggerEvent {
        let records = BTreeMap::from([
            ("a".to_owned(), EventRecord::new(Some("1".to_owned()), Some("2".to_owned()))),
            ("b".to_owned(), EventRecord::new(Some("1".to_owned()), None)),
        ]);
        SyncTriggerEvent::new("us-east-1", "p", "i", "d", records)
    }

    fn answered(change: impl Fn(&mut Value)) -> Result<BTreeMap<String, Option<String>>, AnswerTrouble> {
        let mut answer = serde_json::to_value(event()).expect("JSON");
        change(&mut answer);
        event().read_answer(answer.to_string().as_bytes())
    }

    #[test]
    fn the_event_has_the_documented_members() {
        let expected = json!({
            "version": 2, "eventType": "SyncTrigger", "region": "us-east-1", "identityPoolId": "p",
            "identityId": "i", "datasetName": "d",
            "datasetRecords": {
                "a": { "oldValue": "1", "newValue": "2", "op": "replace" },
                "b": { "oldValue": "1", "newValue": null, "op": "remove" }
            }
        });
        assert_eq!(serde_json::to_value(event()).expect("JSON"), expected);
    }

    #[test]
    fn the_event_itself_is_an_answer() {
        let records = answered(|_| {}).expect("an answer");
        assert_eq!(records["a"].as_deref(), Some("2"));
        assert_eq!(records["b"], None);
    }

    #[test]
    fn records_are_removed_in_three_ways() {
        let records = answered(|answer| {
            answer["datasetRecords"] = json!({
                "op": { "oldValue": "1", "newValue": "2", "op": "remove" },
                "value": { "newValue": null, "op": "replace" },
                "record": null,
                "added": { "newValue": "" }
            });
        });
        let records = records.expect("an answer");
        assert_eq!((&records["op"], &records["value"], &records["record"]), (&None, &None, &None));
        assert_eq!(records["added"].as_deref(), Some(""));
    }

    #[test]
    fn every_member_but_the_records_must_come_back_as_it_was() {
        for member in ["version", "eventType", "region", "identityPoolId", "identityId", "datasetName"] {
            let changed = answered(|answer| answer[member] = json!("other"));
            assert_eq!(changed, Err(AnswerTrouble::Changed(member)));
            let missing = answered(|answer| drop(answer.as_object_mut().expect("object").remove(member)));
            assert_eq!(missing, Err(AnswerTrouble::Changed(member)));
        }
    }

    #[test]
    fn a_number_or_a_boolean_is_taken_as_its_json_text() {
        for text in ["777", "-1.50", "1e400", "true", "false", "123456789012345678901234567890"] {
            let json = serde_json::to_string(&event()).expect("JSON").replace("\"2\"", text);
            let answer = event().read_answer(json.as_bytes()).expect("an answer");
            assert_eq!(answer["a"].as_deref(), Some(text));
        }
    }

    #[test]
    fn an_answer_of_another_form_is_trouble_that_repeats_no_value() {
        for bad in ["", "null", "3", "[]", "{\"datasetRecords\": 3}"] {
            assert!(event().read_answer(bad.as_bytes()).is_err(), "{bad}");
        }
        let members = serde_json::to_value(event()).expect("JSON");
        let listed = Value::Array(members.as_object().expect("object").values().cloned().collect());
        assert!(matches!(event().read_answer(listed.to_string().as_bytes()), Err(AnswerTrouble::Form(_))));
        let record = answered(|answer| answer["datasetRecords"]["a"] = json!(["2", "replace"]));
        assert!(matches!(record, Err(AnswerTrouble::Form(_))), "a list is no record");
        for (value, is_no_value) in [("an object", json!({"b": 777})), ("an array", json!([777]))] {
            let answered = answered(|answer| answer["datasetRecords"]["a"]["newValue"] = is_no_value.clone());
            let text = answered.expect_err(value).to_string();
            assert!(!text.contains("777"), "{text}");
        }
        let op = answered(|answer| answer["datasetRecords"]["a"]["op"] = json!("delete"));
        assert_eq!(op, Err(AnswerTrouble::Op));
        let twice = br#"{"datasetRecords": {"a": null, "a": null}}"#;
        assert!(matches!(event().read_answer(twice), Err(AnswerTrouble::Form(_))));
    }

    #[test]
    fn a_number_or_a_boolean_is_stored_as_its_json_text() {
        let mut answer = serde_json::to_value(event()).expect("JSON").to_string();
        for (json, value) in
            [("12", "12"), ("-1.50", "-1.50"), ("1e400", "1e400"), ("true", "true"), ("false", "false")]
        {
            let answer = answer.replace(r#""newValue":"2""#, &format!(r#""newValue": {json} "#));
            let records = event().read_answer(answer.as_bytes()).expect(json);
            assert_eq!(records["a"].as_deref(), Some(value));
        }
        answer = answer.replace(r#""newValue":"2""#, r#""newValue":"\u00e9\n""#);
        assert_eq!(event().read_answer(answer.as_bytes()).expect("a text")["a"].as_deref(), Some("é\n"));
    }

    #[test]
    fn a_version_may_have_any_notation_of_its_number() {
        assert!(answered(|answer| answer["version"] = json!(2.0)).is_ok());
        for other in [json!(3), json!("2"), json!([2])] {
            let changed = answered(|answer| answer["version"] = other.clone());
            assert_eq!(changed, Err(AnswerTrouble::Changed("version")), "{other}");
        }
    }

    #[test]
    fn an_answer_with_more_records_than_anything_needs_is_refused() {
        let records = |count: usize| (0..count).map(|number| (number.to_string(), Value::Null)).collect();
        assert!(answered(|answer| answer["datasetRecords"] = Value::Object(records(65_536))).is_ok());
        let refused = answered(|answer| answer["datasetRecords"] = Value::Object(records(65_537)));
        assert!(matches!(refused, Err(AnswerTrouble::Form(_))));
    }
}
