//! Decoding of a routed request and its body to an operation's input.

use super::bound::Bound;
use super::rejection::Rejection;
use super::{Dialect, Route, envelope, form, json};
use crate::spec::Operation;

/// An input, and the dialect of its answer.
#[derive(Debug)]
pub struct Decoded<I> {
    /// The members as received; constraints are not checked.
    pub input: I,
    /// The dialect of the answer. For RPC it includes the wrapping, which only the body shows.
    pub dialect: Dialect,
}

/// Decodes the input of the operation that the route leads to; `O` must be that operation.
pub fn decode<O: Operation>(route: &Route<'_>, body: &[u8]) -> Result<Decoded<O::Input>, Rejection> {
    debug_assert_eq!(route.operation, O::SPEC.name, "the route decides which operation is decoded");
    let dialect = route.dialect;
    match dialect {
        Dialect::Rest => {
            let bound = Bound::collect(O::SPEC.binds, &route.labels, route.query, route.headers)?;
            Ok(Decoded { input: json::members(json::text(body)?, &bound)?, dialect })
        }
        Dialect::Rpc(_) => {
            let (wrapping, text) = envelope::open(route.operation, json::text(body)?)?;
            Ok(Decoded { input: json::members(text, &Bound::none())?, dialect: Dialect::Rpc(wrapping) })
        }
        Dialect::Json => Ok(Decoded { input: json::members(json::text(body)?, &Bound::none())?, dialect }),
        Dialect::Query => Ok(Decoded { input: form::members(body)?, dialect }),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::codec::{Routed, Wrapping, route};
    use crate::fault::FaultKind;
    use crate::ops::sync::{
        DeleteDataset, ListRecords, SetCognitoEvents, SetIdentityPoolConfiguration, UpdateRecords,
        list_records, update_records,
    };
    use crate::spec::{Service, Source};
    use crate::timestamp::STRING_DATE_MESSAGE;

    const DATASET: &str = "/identitypools/us-east-1%3A01/identities/us-east-1%3A02/datasets/prefs";
    const RECORDS: &str = "/identitypools/us-east-1%3A01/identities/us-east-1%3A02/datasets/prefs/records";

    fn rest<O: Operation>(path: &str, query: &str, body: impl AsRef<[u8]>) -> Result<O::Input, Rejection> {
        let headers = HeaderMap::new();
        match route(O::SPEC.method.as_str(), path, Some(query), &headers).expect("a path of the table") {
            Routed::Operation(route) => decode::<O>(&route, body.as_ref()).map(|decoded| decoded.input),
            Routed::Form(_) => panic!("no form"),
        }
    }

    fn update(body: impl AsRef<[u8]>) -> Result<update_records::Input, Rejection> {
        rest::<UpdateRecords>(DATASET, "", body)
    }

    fn list(query: &str) -> Result<list_records::Input, Rejection> {
        rest::<ListRecords>(RECORDS, query, "")
    }

    fn json_message(rejection: &Rejection) -> &str {
        match rejection {
            Rejection::BodyMalformed { message } => message,
            other => panic!("not a rejection of what the body says: {other:?}"),
        }
    }

    fn rpc<O: Operation>(body: &str) -> Result<Decoded<O::Input>, Rejection> {
        let target =
            format!("com.amazonaws.cognito.sync.model.AWSCognitoSyncService.{}", O::SPEC.name.as_str());
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_str(&target).expect("a header value"));
        match route("POST", "/", None, &headers).expect("a target of the table") {
            Routed::Operation(route) => decode::<O>(&route, body.as_bytes()),
            Routed::Form(_) => panic!("no form"),
        }
    }

    #[test]
    fn path_query_and_body_become_one_input() {
        let input = update(
            r#"{"SyncSessionToken":"t","RecordPatches":[{"Op":"replace","Key":"k","Value":"v","SyncCount":0,
                "DeviceLastModifiedDate":1412974055.5}],"DeviceId":"d"}"#,
        )
        .expect("an update");
        assert_eq!(input.identity_pool_id.as_deref(), Some("us-east-1:01"));
        assert_eq!(input.identity_id.as_deref(), Some("us-east-1:02"));
        assert_eq!(input.dataset_name.as_deref(), Some("prefs"));
        assert_eq!(input.sync_session_token.as_deref(), Some("t"));
        assert_eq!(input.device_id.as_deref(), Some("d"));
        let patches = input.record_patches.expect("patches");
        assert_eq!(patches.len(), 1);
        assert_eq!(patches[0].sync_count, Some(0));
        let date = patches[0].device_last_modified_date.expect("a date");
        assert_eq!(date.unix_milliseconds(), 1_412_974_055_500);

        let input = list("lastSyncCount=7&maxResults=1024&nextToken=a%2Bb+c%3D&syncSessionToken=A-_b")
            .expect("a list");
        assert_eq!((input.last_sync_count, input.max_results), (Some(7), Some(1024)));
        assert_eq!(input.next_token.as_deref(), Some("a+b c="));
        assert_eq!(input.sync_session_token.as_deref(), Some("A-_b"));
    }

    #[test]
    fn a_header_member_is_read_and_an_unreadable_one_is_as_good_as_absent() {
        let spec = UpdateRecords::SPEC;
        let bind = spec.binds.iter().find(|bind| bind.member == "ClientContext").expect("a header member");
        assert_eq!(bind.from, Source::Header("x-amz-Client-Context"));
        for (value, expected) in [(&b"{}"[..], Some("{}")), (b"\xff", None)] {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-client-context", HeaderValue::from_bytes(value).expect("a header value"));
            let Ok(Routed::Operation(route)) = route("POST", DATASET, None, &headers) else {
                panic!("a dataset")
            };
            let decoded = decode::<UpdateRecords>(&route, b"").expect("an update");
            assert_eq!(decoded.input.client_context.as_deref(), expected);
        }
    }

    #[test]
    fn absent_members_pass_decoding_and_are_left_to_the_check_of_constraints() {
        let input = update("").expect("nothing is missing here");
        assert_eq!((input.sync_session_token, input.record_patches), (None, None));
        assert_eq!(update("{}"), update(""));
        assert_eq!(update(r#"{"SyncSessionToken":null,"RecordPatches":null,"DeviceId":null}"#), update(""));
        let input = update(r#"{"RecordPatches":[{}]}"#).expect("an empty patch");
        assert_eq!(input.record_patches, Some(vec![update_records::RecordPatch::default()]));
    }

    #[test]
    fn a_body_has_no_say_in_what_travels_elsewhere() {
        let input =
            update(r#"{"DatasetName":"other","DatasetName":7,"IdentityId":{"a":[1]},"ClientContext":1}"#);
        let input = input.expect("bound names in the body are nobody's");
        assert_eq!(input.dataset_name.as_deref(), Some("prefs"));
        assert_eq!(input.identity_id.as_deref(), Some("us-east-1:02"));
        assert_eq!(input.client_context, None);
        let input = rest::<ListRecords>(RECORDS, "", r#"{"NextToken":"smuggled"}"#).expect("a list");
        assert_eq!(input.next_token, None);
    }

    #[test]
    fn a_body_on_get_and_delete_is_accepted_and_ignored() {
        assert_eq!(rest::<ListRecords>(RECORDS, "maxResults=3", "{}"), list("maxResults=3"));
        assert_eq!(rest::<DeleteDataset>(DATASET, "", "{}"), rest::<DeleteDataset>(DATASET, "", ""));
    }

    #[test]
    fn a_number_in_the_query_that_is_none_is_refused_by_its_name() {
        for value in ["abc", "", "3.5", "3.0", "1E2", "%2B1", "1e400", "%203", "NaN", "99999999999999999999"]
        {
            let rejection = list(&format!("maxResults={value}")).expect_err(value);
            assert!(
                matches!(rejection, Rejection::QueryNumber { name: "maxResults", .. }),
                "{value}: {rejection:?}"
            );
            assert_eq!(rejection.fault(Service::Sync).kind, FaultKind::InvalidParameter);
            assert!(rejection.fault(Service::Sync).message.contains("'maxResults'"));
        }
        assert_eq!(list("maxResults=-3").expect("an integer").max_results, Some(-3));
    }

    #[test]
    fn a_query_member_that_comes_twice_or_is_broken_is_refused_by_its_name() {
        assert_eq!(list("nextToken=a&nextToken=a"), Err(Rejection::QueryDuplicate { name: "nextToken" }));
        assert_eq!(list("nextToken=a&next%54oken=b"), Err(Rejection::QueryDuplicate { name: "nextToken" }));
        assert_eq!(list("nextToken=%ff"), Err(Rejection::QueryEncoding { name: "nextToken" }));
        assert_eq!(list("nextToken=%"), Err(Rejection::QueryEncoding { name: "nextToken" }));
    }

    #[test]
    fn query_members_of_others_are_passed_over() {
        assert_eq!(list("X-Amz-Date=1&X-Amz-Date=2&%ff=1&NextToken=x&&=&IdentityId=other"), list(""));
    }

    #[test]
    fn a_member_that_comes_twice_in_a_body_is_refused() {
        for body in [
            r#"{"DeviceId":"a","DeviceId":"a"}"#,
            r#"{"RecordPatches":[{"Key":"a","Key":"b"}]}"#,
            r#"{"DeviceId":"a","\u0044eviceId":"b"}"#,
        ] {
            assert!(json_message(&update(body).expect_err(body)).contains("duplicate field"), "{body}");
        }
        let events = r#"{"Events":{"SyncTrigger":"a","SyncTrigger":"b"}}"#;
        assert!(rest::<SetCognitoEvents>("/identitypools/p/events", "", events).is_err());
    }

    #[test]
    fn unknown_members_are_ignored_at_every_level() {
        let input = update(r#"{"New":{"a":[1,2,{"b":null}]},"RecordPatches":[{"Key":"k","New":1}]}"#)
            .expect("an update");
        assert_eq!(input.record_patches.expect("patches")[0].key.as_deref(), Some("k"));
    }

    #[test]
    fn wrong_types_are_refused_at_every_level() {
        for body in [
            r#"{"SyncSessionToken":1}"#,
            r#"{"RecordPatches":{}}"#,
            r#"{"RecordPatches":["a"]}"#,
            r#"{"RecordPatches":[null]}"#,
            r#"{"RecordPatches":[["replace","k","v",0,null]]}"#,
            r#"{"RecordPatches":[{"Value":5}]}"#,
            r#"{"RecordPatches":[{"Value":["v"]}]}"#,
            r#"{"RecordPatches":[{"Value":true}]}"#,
            r#"{"RecordPatches":[{"Key":{}}]}"#,
            r#"{"RecordPatches":[{"SyncCount":"x"}]}"#,
            r#"{"RecordPatches":[{"SyncCount":1.5}]}"#,
            r#"{"RecordPatches":[{"DeviceLastModifiedDate":true}]}"#,
            r#"{"RecordPatches":[{"DeviceLastModifiedDate":1e20}]}"#,
        ] {
            let rejection = update(body).expect_err(body);
            assert_eq!(rejection.fault(Service::Sync).kind, FaultKind::Serialization, "{body}");
        }
        let path = "/identitypools/p/configuration";
        for body in
            [r#"{"PushSync":[["a"],"b"]}"#, r#"{"PushSync":"a"}"#, r#"{"PushSync":{"ApplicationArns":[1]}}"#]
        {
            assert!(rest::<SetIdentityPoolConfiguration>(path, "", body).is_err(), "{body}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for body in [
            "[]",
            "null",
            "1",
            "\"a\"",
            "true",
            " ",
            "{",
            "}",
            "{}}",
            "{}x",
            "{} {}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{\"DeviceId\":\"a\nb\"}",
            "{\"DeviceId\":\"\\ud800\"}",
            "{\"DeviceId\":\"\\x\"}",
            "{\"DeviceId\":\"",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":NaN}",
            "{\"a\":1e}",
            "\u{feff}{}",
            "{} // comment",
            "{\"a\":tru}",
            "[\"a\",\"b\"]",
        ] {
            let rejection = update(body).expect_err(body);
            assert_eq!(rejection.fault(Service::Sync).kind, FaultKind::Serialization, "{body}");
        }
        assert_eq!(update(" \r\n\t{ } "), update(""));
    }

    #[test]
    fn every_unicode_scalar_value_passes_through_a_value() {
        let input = update(r#"{"RecordPatches":[{"Key":"\u0000","Value":"\u0000\ud83d\ude00é\u007f\/"}]}"#);
        let patches = input.expect("an update").record_patches.expect("patches");
        assert_eq!(patches[0].key.as_deref(), Some("\0"));
        assert_eq!(patches[0].value.as_deref(), Some("\0😀é\u{7f}/"));
    }

    #[test]
    fn a_body_that_is_no_utf8_is_refused_even_where_nobody_reads() {
        assert_eq!(update(b"{\"DeviceId\":\"\xff\"}"), Err(Rejection::BodyNotUtf8));
        assert_eq!(update(b"{\"unknown\":\"\xc3\x28\"}"), Err(Rejection::BodyNotUtf8));
        assert_eq!(update(b"{\"\xed\xa0\x80\":1}"), Err(Rejection::BodyNotUtf8));
    }

    #[test]
    fn an_escape_of_half_a_surrogate_pair_is_refused_even_in_a_member_that_is_ignored() {
        for text in [
            r"\ud800",
            r"a\uDBFFb",
            r"\udc00",
            r"\ude00\ud83d",
            r"\ud83d\n",
            r"\ud83d\ud83d\ude00",
            r"\\\ud800",
            r"\ud83dé",
        ] {
            for body in [
                format!(r#"{{"ignored":["{text}"]}}"#),
                format!(r#"{{"{text}":1}}"#),
                format!(r#"{{"DeviceId":"{text}"}}"#),
            ] {
                assert_eq!(update(&body), Err(Rejection::BodyUnpairedSurrogate), "{body}");
            }
            let body = format!(r#"{{"Input":{{"ignored":"{text}"}}}}"#);
            assert_eq!(rpc::<ListRecords>(&body).map(|_| ()), Err(Rejection::BodyUnpairedSurrogate));
        }
        for text in [r"\ud83d\ude00", r"\\ud800", r"\\\\ud800\uD83D\uDE00", "ud800", r"\n\\\u0000"] {
            assert!(update(format!(r#"{{"ignored":"{text}"}}"#)).is_ok(), "{text}");
        }
        assert!(update(r#"{"ignored":"\é"}"#).is_err());
    }

    #[test]
    fn a_list_with_more_entries_than_its_limit_is_refused_as_a_broken_constraint() {
        let patches = |count: usize| format!(r#"{{"RecordPatches":[{}]}}"#, vec!["{}"; count].join(","));
        let full = update(patches(16_384)).expect("as many as there may be");
        assert_eq!(full.record_patches.map(|patches| patches.len()), Some(16_384));
        let fault = update(patches(16_385)).expect_err("one more").fault(Service::Sync);
        assert_eq!(fault.kind, FaultKind::InvalidParameter);
        assert_eq!(
            fault.message,
            "1 validation error detected: Value 'more than 16384 entries' at 'recordPatches' failed to satisfy \
             constraint: Member must have length less than or equal to 16384"
        );
    }

    #[test]
    fn a_body_may_nest_to_the_limit_and_no_deeper() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(update(nested(crate::codec::JSON_DEPTH_MAX - 1)).is_ok());
        assert_eq!(update(nested(crate::codec::JSON_DEPTH_MAX)), Err(Rejection::BodyTooDeep));
        assert_eq!(update("[".repeat(1_000_000)), Err(Rejection::BodyTooDeep));
        assert_eq!(update("{\"a\":".repeat(1_000_000)), Err(Rejection::BodyTooDeep));
    }

    #[test]
    fn brackets_in_strings_and_side_by_side_do_not_count_as_depth() {
        let brackets = "[{".repeat(100);
        let body = format!(r#"{{"DeviceId":"\\\"{brackets}\"","x":[{}1]}}"#, "[],".repeat(100));
        assert_eq!(update(body).expect("flat").device_id, Some(format!("\\\"{brackets}\"")));
    }

    #[test]
    fn a_string_date_is_refused_with_the_text_that_the_service_is_known_for() {
        let body = r#"{"RecordPatches":[{"DeviceLastModifiedDate":"2014-10-10T20:47:37Z"}]}"#;
        assert_eq!(json_message(&update(body).expect_err("a string")), STRING_DATE_MESSAGE);
    }

    #[test]
    fn a_message_repeats_only_the_beginning_of_what_the_caller_sent() {
        let body = format!(r#"{{"RecordPatches":"{}"}}"#, "é".repeat(100_000));
        assert!(update(body).expect_err("a string").fault(Service::Sync).message.len() < 1_024);
        let rejection = list(&format!("maxResults={}", "9".repeat(100_000))).expect_err("too large");
        assert!(rejection.fault(Service::Sync).message.len() < 1_024);
    }

    #[test]
    fn a_wrong_type_is_told_with_its_member_and_without_its_value() {
        let rejection =
            update(r#"{"DeviceId":"d","RecordPatches":"hush\", expected it","x":1}"#).expect_err("a string");
        let expected = "'RecordPatches': invalid type: string, expected a sequence at line 1 column ";
        assert!(json_message(&rejection).starts_with(expected), "{rejection}");
        let rejection = update(r#"{"SyncSessionToken":7}"#).expect_err("a number");
        assert!(
            json_message(&rejection).starts_with("'SyncSessionToken': invalid type: integer `7`"),
            "{rejection}"
        );
    }

    #[test]
    fn the_rpc_form_takes_all_members_from_the_envelope() {
        let body = r#"{"Operation":"com.amazonaws.cognito.sync.model#ListRecords",
            "Service":"com.amazonaws.cognito.sync.model#AWSCognitoSyncService",
            "Input":{"IdentityPoolId":"us-east-1:01","DatasetName":"prefs","MaxResults":"3","LastSyncCount":7}}"#;
        let decoded = rpc::<ListRecords>(body).expect("an envelope");
        assert_eq!(decoded.dialect, Dialect::Rpc(Wrapping::Enveloped));
        assert_eq!(decoded.input.identity_pool_id.as_deref(), Some("us-east-1:01"));
        assert_eq!(decoded.input.dataset_name.as_deref(), Some("prefs"));
        assert_eq!(decoded.input.identity_id, None);
        assert_eq!((decoded.input.max_results, decoded.input.last_sync_count), (Some(3), Some(7)));
    }

    #[test]
    fn the_rpc_form_takes_the_bare_members_too_and_remembers_it() {
        let decoded = rpc::<SetIdentityPoolConfiguration>(
            r#"{"IdentityPoolId":"ID_POOL_ID","PushSync":{"ApplicationArns":["A","B"],"RoleArn":"R"}}"#,
        )
        .expect("bare members");
        assert_eq!(decoded.dialect, Dialect::Rpc(Wrapping::Bare));
        let push = decoded.input.push_sync.expect("push settings");
        assert_eq!(push.application_arns, Some(vec!["A".to_owned(), "B".to_owned()]));
        assert_eq!(rpc::<ListRecords>("").expect("nothing").dialect, Dialect::Rpc(Wrapping::Bare));
    }

    #[test]
    fn an_envelope_must_say_the_same_as_the_target() {
        let operation = "com.amazonaws.cognito.sync.model#ListRecords";
        let service = "com.amazonaws.cognito.sync.model#AWSCognitoSyncService";
        for (named, of, member) in [
            ("com.amazonaws.cognito.sync.model#DeleteDataset", service, "Operation"),
            ("ListRecords", service, "Operation"),
            (operation, "com.amazonaws.cognito.sync.model#Other", "Service"),
        ] {
            let body = format!(r#"{{"Operation":"{named}","Service":"{of}","Input":{{}}}}"#);
            let rejection = rpc::<ListRecords>(&body).expect_err("a contradiction");
            assert_eq!(rejection, Rejection::Envelope { member });
            assert_eq!(rejection.fault(Service::Sync).kind, FaultKind::Serialization);
        }
        assert_eq!(
            rpc::<ListRecords>(r#"{"Input":{}}"#).expect_err("half an envelope"),
            Rejection::Envelope { member: "Operation" }
        );
        let body = format!(r#"{{"Operation":"{operation}","Service":"{service}"}}"#);
        assert_eq!(rpc::<ListRecords>(&body).expect("no input").input, list_records::Input::default());
    }

    #[test]
    fn a_broken_envelope_is_refused() {
        let head = r#""Operation":"com.amazonaws.cognito.sync.model#ListRecords","Service":"com.amazonaws.cognito.sync.model#AWSCognitoSyncService""#;
        for body in [
            format!(r#"{{{head},"Input":[]}}"#),
            format!(r#"{{{head},"Input":"x"}}"#),
            format!(r#"{{{head},"Input":{{"NextToken":"a","NextToken":"b"}}}}"#),
            format!(r#"{{{head},"Input":{{}},"Input":{{}}}}"#),
            format!(r#"{{{head},"Input":{{}}}}}}"#),
            format!(r#"{{{head},"Input":{{}}"#),
            r#"{"Operation":1}"#.to_owned(),
            "[\"a\",\"b\",{}]".to_owned(),
        ] {
            assert!(rpc::<ListRecords>(&body).is_err(), "{body}");
        }
    }
}
