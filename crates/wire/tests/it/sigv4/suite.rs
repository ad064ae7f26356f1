//! AWS's signing suite, read from the sources of the `aws-sigv4` crate, on which this test depends. The test
//! fails if the suite is not found.

use std::path::{Path, PathBuf};
use std::process::Command;

use carryall_wire::sigv4::{
    AmzDate, BodyHash, Credentials, Expected, Form, Scope, SignedParts, Signer, Trouble, canonical_request,
    parse, presign, sign, string_to_sign,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::Value;

use super::{Outcome, Request, Verifier};

/// Cases whose signer folds dot segments and empty segments before it signs. The server refuses such paths
/// before it verifies signatures, so there is no folding to test; the suite's `-unnormalized` variants of
/// these cases do run.
const FOLDING_CASES: [&str; 6] = [
    "get-relative-normalized",
    "get-relative-relative-normalized",
    "get-slash-dot-slash-normalized",
    "get-slash-normalized",
    "get-slash-pointless-dot-normalized",
    "get-slashes-normalized",
];
/// The case that adds the session token after signing. Here an unsigned `x-amz-` header is refused.
const UNSIGNED_TOKEN_CASE: &str = "post-sts-header-after";
/// Cases without a signature, of which only the canonical request is compared.
const CANONICAL_ONLY_CASES: [&str; 2] = ["double-encode-path", "double-url-encode"];

/// The case whose unsigned request has an encoded path, while its signed request is sent and signed with a
/// raw space in the path. The sent path counts.
const ENCODED_BEFORE_SIGNING_CASE: &str = "get-space-normalized";

struct Case {
    name: String,
    folder: PathBuf,
    context: Value,
}

impl Case {
    fn text(&self, file: &str) -> String {
        read(&self.folder.join(file)).replace("\r\n", "\n")
    }

    fn request(&self, file: &str) -> Request {
        read_request(&self.text(file))
    }

    fn field(&self, name: &str) -> &str {
        self.context[name].as_str().unwrap()
    }

    fn credential(&self, name: &str) -> Option<&str> {
        self.context["credentials"][name].as_str()
    }

    fn moment(&self) -> AmzDate {
        AmzDate::parse(&self.field("timestamp").replace(['-', ':'], "")).unwrap()
    }

    fn now_millis(&self) -> i64 {
        self.moment().unix_seconds() * 1_000
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            access_key_id: self.credential("access_key_id").unwrap().to_owned(),
            secret_access_key: self.credential("secret_access_key").unwrap().into(),
            session_token: self.credential("token").map(SecretString::from),
        }
    }

    fn expires_seconds(&self) -> u32 {
        u32::try_from(self.context["expiration_in_seconds"].as_u64().unwrap()).unwrap()
    }

    fn verify(&self, request: &Request) -> Outcome {
        Verifier {
            access_key_id: self.credential("access_key_id").unwrap(),
            secret_access_key: self.credential("secret_access_key").unwrap(),
            expected: Expected { region: self.field("region"), service: self.field("service") },
            now_millis: self.now_millis(),
        }
        .verify(request)
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo).args(arguments).output().expect("cargo must be there to find the suite");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The suite's folder, as reported by cargo, which knows where it keeps the sources of dependencies.
fn suite_folder() -> PathBuf {
    let version = run(&["--version", "--verbose"]);
    // Without a filter, cargo requires the sources of every platform's dependencies, including ones that were
    // never needed.
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let metadata =
        run(&["metadata", "--format-version", "1", "--filter-platform", host, "--manifest-path", manifest]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let package = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == "aws-sigv4")
        .expect("aws-sigv4 is a dependency of these tests");
    Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("aws-signing-test-suite").join("v4")
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = std::fs::read_dir(suite_folder())
        .expect("the signing suite must ship with aws-sigv4")
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| !CANONICAL_ONLY_CASES.contains(&name.as_str()))
        .map(|(name, folder)| {
            let context = serde_json::from_str(&read(&folder.join("context.json"))).unwrap();
            Case { name, folder, context }
        })
        .collect();
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    cases
}

/// The cases to verify and to sign: all but the named exceptions, each of which must exist.
fn ordinary_cases() -> Vec<Case> {
    let (excepted, ordinary): (Vec<Case>, Vec<Case>) = cases()
        .into_iter()
        .partition(|case| FOLDING_CASES.contains(&case.name.as_str()) || case.name == UNSIGNED_TOKEN_CASE);
    assert_eq!(excepted.len(), FOLDING_CASES.len() + 1);
    assert!(ordinary.len() >= 31, "only {} cases", ordinary.len());
    ordinary
}

/// Reads a request in the suite's format: header names in any case, and values that continue on indented
/// lines.
fn read_request(text: &str) -> Request {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end_matches('\n'), ""));
    let mut lines = head.split('\n');
    let (method, target) = lines.next().unwrap().strip_suffix(" HTTP/1.1").unwrap().split_once(' ').unwrap();
    let (raw_path, raw_query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            let value = &mut pairs.last_mut().unwrap().1;
            value.push(' ');
            value.push_str(line);
        } else {
            let (name, value) = line.split_once(':').unwrap();
            pairs.push((name.to_owned(), value.to_owned()));
        }
    }
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    Request {
        method: method.to_owned(),
        raw_path: raw_path.to_owned(),
        raw_query,
        headers,
        body: body.trim_end_matches('\n').as_bytes().to_vec(),
    }
}

#[test]
fn canonical_requests_and_strings_to_sign_are_those_of_the_suite() {
    for case in ordinary_cases() {
        for kind in ["header", "query"] {
            let request = case.request(&format!("{kind}-signed-request.txt"));
            let presented = parse(&request.parts()).unwrap().unwrap();
            let canonical = canonical_request(
                &request.parts(),
                presented.signed_headers(),
                presented.form(),
                &request.body_hash(),
            );
            assert_eq!(
                String::from_utf8(canonical.clone()).unwrap(),
                case.text(&format!("{kind}-canonical-request.txt")),
                "{} {kind}",
                case.name
            );
            assert_eq!(
                string_to_sign(&presented.requested_at(), presented.scope(), &canonical),
                case.text(&format!("{kind}-string-to-sign.txt")),
                "{} {kind}",
                case.name
            );
        }
    }
}

#[test]
fn the_signed_requests_of_the_suite_verify() {
    for case in ordinary_cases() {
        let session_token = case.credential("token").map(str::to_owned);
        for kind in ["header", "query"] {
            let request = case.request(&format!("{kind}-signed-request.txt"));
            let expected = Outcome::Verified { session_token: session_token.clone() };
            assert_eq!(case.verify(&request), expected, "{} {kind}", case.name);
        }
    }
}

#[test]
fn our_signatures_are_those_of_the_suite() {
    for case in ordinary_cases() {
        let credentials = case.credentials();
        let signer = Signer {
            credentials: &credentials,
            region: case.field("region"),
            service: case.field("service"),
            at_millis: case.now_millis(),
        };
        let mut request = case.request("request.txt");
        if case.name == ENCODED_BEFORE_SIGNING_CASE {
            request.raw_path = case.request("header-signed-request.txt").raw_path;
        }
        let query = presign(&request.parts(), &request.body_hash(), &signer, case.expires_seconds()).unwrap();
        assert!(
            query.ends_with(&format!("&X-Amz-Signature={}", case.text("query-signature.txt"))),
            "{}: {query}",
            case.name
        );
        if case.context["sign_body"] == true {
            let hash = HeaderValue::from_str(request.body_hash().as_str()).unwrap();
            request.headers.insert("x-amz-content-sha256", hash);
        }
        let added = sign(&request.parts(), &request.body_hash(), &signer).unwrap();
        let authorization = added["authorization"].to_str().unwrap();
        assert!(
            authorization.ends_with(&format!(", Signature={}", case.text("header-signature.txt"))),
            "{}: {authorization}",
            case.name
        );
    }
}

#[test]
fn a_token_that_was_added_after_signing_is_refused() {
    let all = cases();
    let case = all.iter().find(|case| case.name == UNSIGNED_TOKEN_CASE).unwrap();
    for kind in ["header", "query"] {
        let outcome = case.verify(&case.request(&format!("{kind}-signed-request.txt")));
        assert!(matches!(outcome, Outcome::Refused(Trouble::Mismatch { .. })), "{kind}: {outcome:?}");
    }
}

#[test]
fn paths_are_encoded_twice_as_in_the_suite() {
    let folder = suite_folder();
    for name in CANONICAL_ONLY_CASES {
        let request = read_request(&read(&folder.join(name).join("request.txt")));
        let expected = read(&folder.join(name).join("header-canonical-request.txt"));
        let canonical =
            canonical_request(&request.parts(), "host;x-amz-date", Form::Header, &BodyHash::of(b""));
        let path = |text: &str| text.lines().nth(1).unwrap().to_owned();
        assert_eq!(path(&String::from_utf8(canonical).unwrap()), path(&expected), "{name}");
    }
}

#[test]
fn a_string_to_sign_has_four_lines() {
    let scope = Scope { day: "20150830".into(), region: "us-east-1".into(), service: "service".into() };
    let headers = HeaderMap::new();
    let parts = SignedParts { method: "GET", raw_path: "/", raw_query: None, headers: &headers };
    let canonical = canonical_request(&parts, "host", Form::Header, &BodyHash::of(b""));
    let text = string_to_sign(&AmzDate::parse("20150830T123600Z").unwrap(), &scope, &canonical);
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(
        lines[..3],
        ["AWS4-HMAC-SHA256", "20150830T123600Z", "20150830/us-east-1/service/aws4_request"]
    );
    assert_eq!(lines.len(), 4);
}
