//! Random requests signed by the signer of the AWS SDK for Rust. They must verify, and signatures of this
//! crate must equal the SDK's.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as SdkCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign as sdk_sign,
};
use aws_sigv4::sign::v4::SigningParams;
use carryall_wire::sigv4::{Credentials, Expected, Signer, presign, sign};
use http::HeaderValue;
use proptest::prelude::*;
use secrecy::SecretString;

use super::{Outcome, Request, Verifier};

const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-west-1";
const SERVICE: &str = "cognito-sync";
const EXPIRES_SECONDS: u32 = 900;

#[derive(Clone, Copy, Debug)]
enum Location {
    Header,
    Query,
}

#[derive(Clone, Debug)]
struct Generated {
    request: Request,
    token: Option<String>,
    location: Location,
    with_content_hash: bool,
    at_seconds: u32,
}

fn generated() -> impl Strategy<Value = Generated> {
    let id = prop_oneof![
        "us-east-1:[0-9a-f]{8}-[0-9a-f]{4}",
        "us-east-1%3A[0-9a-f]{8}-[0-9a-f]{4}",
        "us-east-1%3a[0-9a-f]{8}",
        "[a-zA-Z0-9~._@!$&'()*+,;=-]{1,12}",
        "(%[0-9A-F][0-9a-f]){1,4}",
    ];
    let path = prop::collection::vec(id, 0..5).prop_map(|segments| format!("/{}", segments.join("/")));
    let member =
        "[a-zA-Z0-9._~-]{0,6}(%[2-7][0-9a-fA-F])?(=[a-zA-Z0-9+:/._~-]{0,8}(%[2-7][0-9a-fA-F]|%C3%A9)?)?";
    let query = prop::option::of(prop::collection::vec(member, 1..6).prop_map(|members| members.join("&")));
    let headers = prop::collection::vec(
        (
            prop_oneof!["x-my-[a-c]{1,2}", Just("content-type".to_owned()), Just("x-amz-target".to_owned())],
            "[!-~]{1,8}( {1,3}[!-~]{1,8}){0,2}",
        ),
        0..6,
    );
    (
        prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("DELETE")],
        path,
        query,
        headers,
        prop::collection::vec(any::<u8>(), 0..200),
        prop::option::of("[A-Za-z0-9+/=]{1,80}"),
        prop_oneof![Just(Location::Header), Just(Location::Query)],
        any::<bool>(),
        any::<u32>(),
    )
        .prop_map(
            |(method, raw_path, raw_query, pairs, body, token, location, with_content_hash, at_seconds)| {
                let uri: http::Uri = match &raw_query {
                    Some(query) => format!("http://localhost:7962{raw_path}?{query}"),
                    None => format!("http://localhost:7962{raw_path}"),
                }
                .parse()
                .unwrap();
                let mut head =
                    http::Request::builder().method(method).uri(uri).header("host", "localhost:7962");
                for (name, value) in pairs {
                    head = head.header(name, value);
                }
                let (head, ()) = head.body(()).unwrap().into_parts();
                Generated {
                    request: Request {
                        method: method.to_owned(),
                        raw_path,
                        raw_query,
                        headers: head.headers,
                        body,
                    },
                    token,
                    location,
                    with_content_hash,
                    at_seconds,
                }
            },
        )
}

/// The request as the SDK's signer would send it.
fn signed_by_sdk(generated: &Generated) -> Request {
    let request = &generated.request;
    let identity =
        SdkCredentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, generated.token.clone(), None, "referee")
            .into();
    let mut settings = SigningSettings::default();
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    if generated.with_content_hash {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    if let Location::Query = generated.location {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(EXPIRES_SECONDS.into()));
    }
    let params = SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(SERVICE)
        .time(UNIX_EPOCH + Duration::from_secs(generated.at_seconds.into()))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = match &request.raw_query {
        Some(query) => format!("http://localhost:7962{}?{query}", request.raw_path),
        None => format!("http://localhost:7962{}", request.raw_path),
    };
    let signable = SignableRequest::new(
        &request.method,
        uri.clone(),
        request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())),
        SignableBody::Bytes(&request.body),
    )
    .unwrap();
    let (instructions, _) = sdk_sign(signable, &params).unwrap().into_parts();
    let mut head = http::Request::builder().method(request.method.as_str()).uri(uri).body(()).unwrap();
    *head.headers_mut() = request.headers.clone();
    instructions.apply_to_request_http1x(&mut head);
    Request {
        raw_path: head.uri().path().to_owned(),
        raw_query: head.uri().query().map(str::to_owned),
        headers: head.headers().clone(),
        ..request.clone()
    }
}

/// The request as this crate's signer would send it.
fn signed_by_us(generated: &Generated) -> Request {
    let credentials = Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.into(),
        session_token: generated.token.clone().map(SecretString::from),
    };
    let signer = Signer {
        credentials: &credentials,
        region: REGION,
        service: SERVICE,
        at_millis: i64::from(generated.at_seconds) * 1_000,
    };
    let mut request = generated.request.clone();
    let hash = request.body_hash();
    if generated.with_content_hash && matches!(generated.location, Location::Header) {
        request.headers.insert("x-amz-content-sha256", HeaderValue::from_str(hash.as_str()).unwrap());
    }
    match generated.location {
        Location::Header => {
            let added = sign(&request.parts(), &hash, &signer).unwrap();
            request.headers.extend(added);
        }
        Location::Query => {
            request.raw_query = Some(presign(&request.parts(), &hash, &signer, EXPIRES_SECONDS).unwrap());
        }
    }
    request
}

fn verifier(generated: &Generated) -> Verifier<'static> {
    Verifier {
        access_key_id: ACCESS_KEY_ID,
        secret_access_key: SECRET_ACCESS_KEY,
        expected: Expected { region: REGION, service: SERVICE },
        now_millis: i64::from(generated.at_seconds) * 1_000,
    }
}

/// The signature in the `Authorization` header or in the query.
fn signature(request: &Request) -> String {
    let text = match request.headers.get("authorization") {
        Some(value) => value.to_str().unwrap(),
        None => request.raw_query.as_deref().unwrap(),
    };
    text.rsplit_once("Signature=").unwrap().1.split('&').next().unwrap().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_sdk_signs_verifies(generated in generated()) {
        let expected = Outcome::Verified { session_token: generated.token.clone() };
        prop_assert_eq!(verifier(&generated).verify(&signed_by_sdk(&generated)), expected);
    }

    #[test]
    fn what_we_sign_verifies_and_has_the_signature_of_the_sdk(generated in generated()) {
        let ours = signed_by_us(&generated);
        let expected = Outcome::Verified { session_token: generated.token.clone() };
        prop_assert_eq!(verifier(&generated).verify(&ours), expected);
        prop_assert_eq!(signature(&ours), signature(&signed_by_sdk(&generated)));
    }
}
