//! The peak memory of decoding. The test has a process to itself, because the peak is that of the process.

// With this attribute clippy treats the helper functions here as test code.
#![cfg(test)]
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;

use carryall_wire::codec::{self, Routed};
use carryall_wire::effects::sync_trigger::{AnswerTrouble, SyncTriggerEvent};
use carryall_wire::ops::identity::GetId;
use carryall_wire::ops::sync::{SetCognitoEvents, UpdateRecords};
use carryall_wire::spec::Operation;
use http::{HeaderMap, HeaderName, HeaderValue};

/// More than the largest input within the limits needs beside its texts, and far less than the attacks
/// needed.
const GROWTH_KIB_MAX: usize = 6 * 1024;

fn peak_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

const PATH: &str = "/identitypools/p/identities/i/datasets/d";

/// True if the body is refused at `path`, and by the operation's target as well.
fn is_refused<O: Operation>(path: &str, body: &[u8]) -> bool {
    let prefix = O::SPEC.service.target_prefix().expect("a service with targets");
    let target = HeaderValue::try_from(format!("{prefix}{}", O::SPEC.name.as_str())).expect("a header value");
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-amz-target"), target)]);
    let Ok(Routed::Operation(route)) = codec::route("POST", path, None, &headers) else {
        panic!("{path} leads to the operation")
    };
    codec::decode::<O>(&route, body).is_err()
}

const MIB: usize = 1024 * 1024;

/// A body of two mebibytes: a beginning, an end, and an entry repeated in between.
fn filled(begin: &str, entry: impl Fn(usize) -> String, end: &str) -> Vec<u8> {
    filled_to(2 * MIB, begin, entry, end)
}

fn filled_to(bytes: usize, begin: &str, entry: impl Fn(usize) -> String, end: &str) -> Vec<u8> {
    let mut body = begin.to_owned();
    for number in 0.. {
        let entry = entry(number);
        if body.len() + entry.len() + end.len() > bytes {
            break;
        }
        if number > 0 {
            body.push(',');
        }
        body.push_str(&entry);
    }
    body.push_str(end);
    body.into_bytes()
}

#[test]
fn a_body_of_tiny_entries_takes_no_more_memory_than_its_limits_admit() {
    let patches = filled(r#"{"RecordPatches":["#, |_| "{}".to_owned(), "]}");
    let enveloped = filled(
        r#"{"Operation":"com.amazonaws.cognito.sync.model#UpdateRecords",
            "Service":"com.amazonaws.cognito.sync.model#AWSCognitoSyncService","Input":{"RecordPatches":["#,
        |_| "{}".to_owned(),
        "]}}",
    );
    let events = filled(r#"{"Events":{"#, |number| format!(r#""{number}":"""#), "}}");
    let logins = filled(r#"{"Logins":{"#, |number| format!(r#""{number}":"""#), "}}");
    let ignored = filled(r#"{"Ignored":["#, |_| r#"{"a":[1]}"#.to_owned(), "]}");
    let members = filled("{", |number| format!(r#""{number}":[]"#), "}");
    // The largest answer of a function.
    let version = filled_to(6 * MIB, r#"{"version":["#, |_| "2".to_owned(), "]}");
    let event = SyncTriggerEvent::new("us-east-1", "p", "i", "d", BTreeMap::new());
    let before = peak_kib();
    assert!(is_refused::<UpdateRecords>(PATH, &patches), "too many patches");
    assert!(is_refused::<UpdateRecords>("/", &patches), "too many patches, bare on POST /");
    assert!(is_refused::<UpdateRecords>("/", &enveloped), "too many patches in an envelope");
    assert!(is_refused::<SetCognitoEvents>("/identitypools/p/events", &events), "too many entries of a map");
    assert!(is_refused::<GetId>("/", &logins), "too many logins");
    assert!(!is_refused::<UpdateRecords>(PATH, &ignored), "an unknown member is ignored");
    assert!(!is_refused::<UpdateRecords>("/", &members), "unknown members are ignored");
    let changed = Err(AnswerTrouble::Changed("version"));
    assert_eq!(event.read_answer(&version), changed, "a version that is a large array");
    let growth = peak_kib() - before;
    assert!(growth < GROWTH_KIB_MAX, "decoding took {growth} KiB");
}
