//! A request that differs from the signed one, even by a single byte, does not verify.

use carryall_wire::sigv4::{Credentials, Expected, Signer, Trouble, presign, sign};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::Index;

use super::{Outcome, Request, Verifier};

const AT_MILLIS: i64 = 1_767_225_600_000;
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLE==";

fn verifier() -> Verifier<'static> {
    Verifier {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: "a secret of no account",
        expected: Expected { region: "us-east-1", service: "cognito-sync" },
        now_millis: AT_MILLIS,
    }
}

fn is_mismatch(request: &Request) -> bool {
    matches!(verifier().verify(request), Outcome::Refused(Trouble::Mismatch { .. }))
}

fn unsigned() -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost:7962"));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Request {
        method: "POST".to_owned(),
        raw_path: "/identitypools/us-east-1%3Aab/identities/us-east-1:cd/datasets/notes".to_owned(),
        raw_query: Some("maxResults=5&nextToken=a%2Bb+c".to_owned()),
        headers,
        body: br#"{"RecordPatches":[]}"#.to_vec(),
    }
}

fn signed(presigned: bool) -> Request {
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "a secret of no account".into(),
        session_token: Some(TOKEN.into()),
    };
    let signer = Signer {
        credentials: &credentials,
        region: "us-east-1",
        service: "cognito-sync",
        at_millis: AT_MILLIS,
    };
    let mut request = unsigned();
    let hash = request.body_hash();
    if presigned {
        request.raw_query = Some(presign(&request.parts(), &hash, &signer, 60).unwrap());
    } else {
        request.headers.insert("x-amz-content-sha256", HeaderValue::from_str(hash.as_str()).unwrap());
        let added = sign(&request.parts(), &hash, &signer).unwrap();
        request.headers.extend(added);
    }
    request
}

/// The text with one byte replaced by another visible one.
fn changed(text: &str, position: Index, other: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = position.index(bytes.len());
    let other = if bytes[at] == other { other ^ 1 } else { other };
    bytes[at] = other;
    String::from_utf8(bytes).unwrap()
}

/// The members of a query, decoded as a form is, without their order.
fn meaning(raw_query: &str) -> Vec<(String, String)> {
    let mut members: Vec<(String, String)> =
        form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect();
    members.sort();
    members
}

#[test]
fn the_untouched_requests_verify() {
    for presigned in [false, true] {
        let expected = Outcome::Verified { session_token: Some(TOKEN.to_owned()) };
        assert_eq!(verifier().verify(&signed(presigned)), expected);
    }
}

#[test]
fn another_secret_is_a_mismatch_that_shows_what_was_to_be_signed() {
    for presigned in [false, true] {
        let outcome = Verifier { secret_access_key: "another", ..verifier() }.verify(&signed(presigned));
        let Outcome::Refused(Trouble::Mismatch { message }) = outcome else { panic!("{outcome:?}") };
        assert!(
            message.starts_with(
                "The request signature we calculated does not match the signature you provided."
            )
        );
        let path = "/identitypools/us-east-1%253Aab/identities/us-east-1%3Acd/datasets/notes";
        assert!(message.contains(&format!("'POST\n{path}\n")), "{message}");
        assert!(message.contains("'AWS4-HMAC-SHA256\n20260101T000000Z\n20260101/us-east-1/"), "{message}");
        assert!(!message.contains("AQoDYXdz"), "{message}");
    }
}

#[test]
fn another_region_or_service_is_a_mismatch_that_names_ours() {
    for (expected, named) in [
        (Expected { region: "eu-west-1", service: "cognito-sync" }, "'eu-west-1'"),
        (Expected { region: "us-east-1", service: "sts" }, "'sts'"),
    ] {
        let outcome = Verifier { expected, ..verifier() }.verify(&signed(false));
        let Outcome::Refused(Trouble::Mismatch { message }) = outcome else { panic!("{outcome:?}") };
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn a_request_out_of_time_is_clock_trouble() {
    for (presigned, late_millis, start) in [
        (false, 301_000, "Signature expired: 20260101T000000Z"),
        (false, -301_000, "Signature not yet current: 20260101T000000Z"),
        (true, 61_000, "Signature expired: 20260101T000000Z"),
        (true, -301_000, "Signature not yet current: 20260101T000000Z"),
    ] {
        let outcome =
            Verifier { now_millis: AT_MILLIS + late_millis, ..verifier() }.verify(&signed(presigned));
        let Outcome::Refused(Trouble::Clock { message }) = outcome else { panic!("{outcome:?}") };
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn members_cannot_be_added_to_a_signed_query() {
    for presigned in [false, true] {
        let mut request = signed(presigned);
        request.raw_query = request.raw_query.map(|query| format!("lastSyncCount=1&{query}"));
        assert!(is_mismatch(&request));
    }
}

#[test]
fn a_second_value_of_a_signed_header_is_refused() {
    let mut request = signed(false);
    request.headers.append("content-type", HeaderValue::from_static("text/plain"));
    assert!(is_mismatch(&request));
}

#[test]
fn an_amz_header_cannot_be_slipped_in() {
    for presigned in [false, true] {
        let mut request = signed(presigned);
        request.headers.insert("x-amz-target", HeaderValue::from_static("elsewhere"));
        assert!(is_mismatch(&request));
    }
}

#[test]
fn headers_that_were_not_signed_may_change() {
    let mut request = signed(false);
    request.headers.insert("user-agent", HeaderValue::from_static("a proxy's own"));
    request.headers.insert("x-amz-cf-id", HeaderValue::from_static("abc"));
    assert!(matches!(verifier().verify(&request), Outcome::Verified { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_method_or_path_is_refused(presigned: bool, position: Index, other in b'!'..=b'~') {
        let mut request = signed(presigned);
        request.raw_path = changed(&request.raw_path, position, other);
        prop_assert!(is_mismatch(&request));
        let mut request = signed(presigned);
        request.method = changed(&request.method, position, other);
        prop_assert!(is_mismatch(&request));
    }

    #[test]
    fn a_changed_query_is_refused_unless_it_means_the_same(presigned: bool, position: Index, other in b'!'..=b'~') {
        let mut request = signed(presigned);
        let before = request.raw_query.clone().unwrap();
        let after = changed(&before, position, other);
        request.raw_query = Some(after.clone());
        if let Outcome::Verified { .. } = verifier().verify(&request) {
            prop_assert_eq!(meaning(&before), meaning(&after));
        }
    }

    #[test]
    fn a_changed_signed_header_is_refused(
        presigned: bool,
        which: Index,
        position: Index,
        other in b'!'..=b'~',
    ) {
        let mut request = signed(presigned);
        let names: Vec<HeaderName> = request.headers.keys().cloned().collect();
        let name = &names[which.index(names.len())];
        let value = changed(request.headers[name].to_str().unwrap(), position, other);
        request.headers.insert(name, HeaderValue::from_str(&value).unwrap());
        let outcome = verifier().verify(&request);
        prop_assert!(matches!(outcome, Outcome::Refused(_) | Outcome::UnknownKey), "{name}: {value}: {outcome:?}");
    }

    #[test]
    fn a_changed_body_is_refused(presigned: bool, position: Index, other: u8, cut: bool) {
        let mut request = signed(presigned);
        let at = position.index(request.body.len());
        if cut {
            request.body.truncate(at);
        } else if request.body[at] == other {
            request.body.push(other);
        } else {
            request.body[at] = other;
        }
        prop_assert!(is_mismatch(&request));
    }

    #[test]
    fn a_changed_signature_is_refused(presigned: bool, position: Index, other in b'-'..=b'z') {
        let mut request = signed(presigned);
        let replace = |text: &str| {
            let (before, signature) = text.rsplit_once("Signature=").unwrap();
            format!("{before}Signature={}", changed(signature, position, other))
        };
        if presigned {
            request.raw_query = request.raw_query.as_deref().map(replace);
        } else {
            let value = replace(request.headers["authorization"].to_str().unwrap());
            request.headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
        }
        prop_assert!(is_mismatch(&request));
    }
}
