//! Tests of finding and parsing the authentication.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::{SIGNED_HEADERS_COUNT_MAX, SignedParts, Trouble};
use super::*;

const GOOD: &str = "AWS4-HMAC-SHA256 Credential=AKID/20260131/us-east-1/cognito-sync/aws4_request, \
                    SignedHeaders=host;x-amz-date, Signature=00ff";
const GOOD_QUERY: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
                          &X-Amz-Credential=AKID%2F20260131%2Fus-east-1%2Fcognito-sync%2Faws4_request\
                          &X-Amz-Date=20260131T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00ff";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

fn with_authorization(authorization: &str) -> HeaderMap {
    headers(&[("host", "h"), ("x-amz-date", "20260131T120000Z"), ("authorization", authorization)])
}

/// The outcome of `parse`, with the authentication abbreviated to one line.
fn outcome(headers: &HeaderMap, raw_query: Option<&str>) -> Result<Option<String>, Trouble> {
    let parts = SignedParts { method: "GET", raw_path: "/", raw_query, headers };
    Ok(parse(&parts)?.map(|presented| {
        format!(
            "{} {} {} {:?} {:?}",
            presented.access_key_id(),
            presented.scope(),
            presented.signed_headers(),
            presented.requested_at(),
            presented.form()
        )
    }))
}

fn malformed(headers: &HeaderMap, raw_query: Option<&str>) -> String {
    match outcome(headers, raw_query) {
        Err(Trouble::Malformed { message }) => message,
        other => panic!("expected malformed, got {other:?}"),
    }
}

fn mismatch(headers: &HeaderMap, raw_query: Option<&str>) -> String {
    match outcome(headers, raw_query) {
        Err(Trouble::Mismatch { message }) => message,
        other => panic!("expected mismatch, got {other:?}"),
    }
}

#[test]
fn a_request_without_authentication_has_none() {
    assert_eq!(outcome(&headers(&[("host", "h")]), Some("maxResults=5")), Ok(None));
    assert_eq!(outcome(&HeaderMap::new(), None), Ok(None));
}

#[test]
fn the_header_form_is_read_with_and_without_spaces_and_in_any_order() {
    let expected =
        "AKID 20260131/us-east-1/cognito-sync/aws4_request host;x-amz-date 20260131T120000Z Header";
    for authorization in [
        GOOD.to_owned(),
        GOOD.replace(", ", ","),
        "AWS4-HMAC-SHA256  Signature=00ff , SignedHeaders=host;x-amz-date,\
         Credential=AKID/20260131/us-east-1/cognito-sync/aws4_request"
            .to_owned(),
    ] {
        assert_eq!(outcome(&with_authorization(&authorization), None), Ok(Some(expected.to_owned())));
    }
}

#[test]
fn the_query_form_is_read() {
    assert_eq!(
        outcome(&headers(&[("host", "h")]), Some(GOOD_QUERY)),
        Ok(Some(
            "AKID 20260131/us-east-1/cognito-sync/aws4_request host 20260131T120000Z Query { expires_seconds: 60 }"
                .to_owned()
        ))
    );
}

#[test]
fn another_scheme_or_a_missing_part_is_malformed() {
    for (from, to) in [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("AWS4-HMAC-SHA256", "Bearer"),
        ("Credential=", "credential="),
        ("Credential=", "Signature=1, Credential="),
        ("Signature=00ff", ""),
        ("Signature=00ff", "Signature="),
        ("SignedHeaders=host;x-amz-date, ", ""),
        ("/aws4_request", ""),
        ("/aws4_request", "/aws4_request/"),
        ("/aws4_request", "/aws5_request"),
        ("AKID/", "/"),
        ("us-east-1", ""),
        ("20260131", "2026013"),
        ("20260131", "2026o131"),
    ] {
        let authorization = GOOD.replace(from, to);
        assert_ne!(authorization, GOOD);
        malformed(&with_authorization(&authorization), None);
    }
    malformed(&with_authorization(""), None);
}

#[test]
fn the_list_of_signed_headers_must_be_lower_case_ascending_and_without_repeats() {
    for list in
        ["x-amz-date;host", "host;host;x-amz-date", "Host;x-amz-date", "host;;x-amz-date", "host;x-amz-date;"]
    {
        malformed(&with_authorization(&GOOD.replace("host;x-amz-date", list)), None);
    }
}

#[test]
fn host_and_every_amz_header_must_be_signed() {
    let message = mismatch(&with_authorization(&GOOD.replace("host;x-amz-date", "x-amz-date")), None);
    assert!(message.contains("'Host' must be"), "{message}");
    let message = mismatch(&with_authorization(&GOOD.replace("host;x-amz-date", "host")), None);
    assert!(message.contains("'x-amz-date' must be"), "{message}");
    let mut with_token = with_authorization(GOOD);
    with_token.insert("x-amz-security-token", HeaderValue::from_static("t"));
    assert!(mismatch(&with_token, None).contains("'x-amz-security-token' must be"));
    let presigned = headers(&[("host", "h"), ("x-amz-target", "t")]);
    assert!(mismatch(&presigned, Some(GOOD_QUERY)).contains("'x-amz-target' must be"));
}

#[test]
fn the_header_that_content_networks_add_need_not_be_signed() {
    let mut headers = with_authorization(GOOD);
    headers.insert("x-amz-cf-id", HeaderValue::from_static("abc"));
    assert!(outcome(&headers, None).unwrap().is_some());
}

#[test]
fn a_signed_header_that_is_not_there_is_a_mismatch() {
    let authorization = GOOD.replace("host;x-amz-date", "content-type;host;x-amz-date");
    assert!(mismatch(&with_authorization(&authorization), None).contains("'content-type' is signed"));
}

#[test]
fn headers_that_must_be_single_are_refused_twice() {
    for name in ["authorization", "host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"] {
        let mut headers = with_authorization(GOOD);
        let value = headers.get(name).cloned().unwrap_or(HeaderValue::from_static("a"));
        headers.remove(name);
        headers.append(name, value.clone());
        headers.append(name, value);
        assert!(malformed(&headers, None).contains(&format!("'{name}' header is given more than once")));
    }
}

#[test]
fn header_and_query_at_once_are_refused() {
    for query in [GOOD_QUERY, "X-Amz-Signature=0", "a=1&X%2DAmz-Credential=", "X-Amz-Algorithm=x"] {
        assert!(malformed(&with_authorization(GOOD), Some(query)).contains("both"), "{query}");
    }
}

#[test]
fn an_incomplete_or_repeating_query_is_malformed() {
    for (from, to) in [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&", ""),
        ("=AWS4-HMAC-SHA256", "=AWS4-HMAC-SHA1"),
        ("X-Amz-Credential", "X-Amz-Other"),
        ("X-Amz-Date=20260131T120000Z", "X-Amz-Date=2026-01-31"),
        ("X-Amz-Date=20260131T120000Z&", ""),
        ("&X-Amz-Expires=60", ""),
        ("X-Amz-SignedHeaders=host&", ""),
        ("&X-Amz-Signature=00ff", ""),
        ("X-Amz-Signature=00ff", "X-Amz-Signature=00ff&X-Amz-Signature=00ff"),
        ("Signature=00ff", "Signature=%ff"),
        ("Expires=60", "Expires=60&X-Amz-Security-Token="),
    ] {
        let query = GOOD_QUERY.replace(from, to);
        assert_ne!(query, GOOD_QUERY);
        malformed(&headers(&[("host", "h")]), Some(&query));
    }
}

#[test]
fn expiry_is_a_whole_number_from_a_second_to_a_week() {
    let plain = headers(&[("host", "h")]);
    for good in ["1", "604800", "060"] {
        let query = GOOD_QUERY.replace("Expires=60", &format!("Expires={good}"));
        assert!(outcome(&plain, Some(&query)).unwrap().is_some(), "{good}");
    }
    for bad in ["0", "604801", "-1", "%2B60", "6e1", "60.0", "99999999999999999999"] {
        let query = GOOD_QUERY.replace("Expires=60", &format!("Expires={bad}"));
        assert!(malformed(&plain, Some(&query)).contains("604800"), "{bad}");
    }
}

#[test]
fn a_token_or_a_hash_given_twice_over_is_refused() {
    let query = format!("{GOOD_QUERY}&X-Amz-Security-Token=a");
    assert!(
        malformed(&headers(&[("host", "h"), ("x-amz-security-token", "a")]), Some(&query)).contains("both")
    );
    let hash = "0".repeat(64);
    let query = format!("{GOOD_QUERY}&X-Amz-Content-Sha256={hash}");
    assert!(
        malformed(&headers(&[("host", "h"), ("x-amz-content-sha256", &hash)]), Some(&query)).contains("both")
    );
}

#[test]
fn only_a_whole_hash_is_taken_for_the_content() {
    for bad in
        ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", &"A".repeat(64), &"0".repeat(63)]
    {
        let mut headers = with_authorization(&GOOD.replace("host;", "host;x-amz-content-sha256;"));
        headers.insert("x-amz-content-sha256", HeaderValue::from_str(bad).unwrap());
        assert!(malformed(&headers, None).contains("64 lower-case"), "{bad}");
    }
}

#[test]
fn the_date_header_stands_in_for_a_missing_amz_date() {
    let authorization = GOOD.replace("host;x-amz-date", "date;host");
    let found = outcome(
        &headers(&[
            ("host", "h"),
            ("date", "Sat, 31 Jan 2026 12:00:00 GMT"),
            ("authorization", &authorization),
        ]),
        None,
    );
    assert!(found.unwrap().unwrap().contains("20260131T120000Z"));
    let authorization = GOOD.replace("host;x-amz-date", "host");
    malformed(&headers(&[("host", "h"), ("authorization", &authorization)]), None);
    malformed(&headers(&[("host", "h"), ("date", "now"), ("authorization", &authorization)]), None);
    malformed(&headers(&[("host", "h"), ("x-amz-date", "20260231T120000Z"), ("authorization", GOOD)]), None);
}

#[test]
fn every_limit_is_named_with_its_value() {
    let long = |from: &str, to: String| malformed(&with_authorization(&GOOD.replace(from, &to)), None);
    assert!(long("00ff", "0".repeat(AUTHORIZATION_BYTES_MAX)).contains("the limit is 4096"));
    assert!(long("AKID", "A".repeat(ACCESS_KEY_ID_BYTES_MAX + 1)).contains("129 bytes; the limit is 128"));
    assert!(
        long("us-east-1", "r".repeat(SCOPE_PART_BYTES_MAX + 1)).contains("region in Credential has 65 bytes")
    );
    let mut headers = with_authorization(GOOD);
    let mut names = vec!["host".to_owned(), "x-amz-date".to_owned()];
    for index in 0..SIGNED_HEADERS_COUNT_MAX {
        let name = format!("a{index:02}");
        headers.insert(HeaderName::try_from(&name).unwrap(), HeaderValue::from_static("v"));
        names.push(name);
    }
    names.sort();
    let authorization = GOOD.replace("host;x-amz-date", &names.join(";"));
    headers.insert("authorization", HeaderValue::try_from(authorization).unwrap());
    assert!(malformed(&headers, None).contains("more than 64 names"));
    let mut headers = with_authorization(&GOOD.replace("x-amz-date", "x-amz-date;x-amz-security-token"));
    headers.insert(
        "x-amz-security-token",
        HeaderValue::try_from("t".repeat(SESSION_TOKEN_BYTES_MAX + 1)).unwrap(),
    );
    assert!(malformed(&headers, None).contains("8193 bytes; the limit is 8192"));
    let query = "a=1&".repeat(QUERY_MEMBERS_COUNT_MAX + 1);
    assert!(malformed(&with_authorization(GOOD), Some(&query)).contains("more than 256 members"));
}

#[test]
fn debug_shows_neither_token_nor_signature() {
    let mut headers = with_authorization(&GOOD.replace("x-amz-date", "x-amz-date;x-amz-security-token"));
    headers.insert("x-amz-security-token", HeaderValue::from_static("hidden-token"));
    let parts = SignedParts { method: "GET", raw_path: "/", raw_query: None, headers: &headers };
    let presented = parse(&parts).unwrap().unwrap();
    assert_eq!(presented.session_token(), Some("hidden-token"));
    let shown = format!("{presented:?}");
    assert!(shown.contains("AKID") && !shown.contains("hidden") && !shown.contains("00ff"), "{shown}");
}
