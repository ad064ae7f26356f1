//! Signatures against independent referees: AWS's signing suite, the signer of the AWS SDK for Rust, and
//! changed or random requests, none of which may verify.

// With this attribute clippy treats the helper functions here as test code.
#![cfg(test)]

mod fuzz_body;
mod referee;
mod suite;
mod tampering;

use carryall_wire::sigv4::{BodyHash, Expected, SignedParts, SigningKey, Trouble, parse};
use http::HeaderMap;
use secrecy::SecretString;

/// A request that owns its parts, so that tests can sign and change it.
#[derive(Clone, Debug)]
struct Request {
    method: String,
    raw_path: String,
    raw_query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    fn parts(&self) -> SignedParts<'_> {
        SignedParts {
            method: &self.method,
            raw_path: &self.raw_path,
            raw_query: self.raw_query.as_deref(),
            headers: &self.headers,
        }
    }

    fn body_hash(&self) -> BodyHash {
        BodyHash::of(&self.body)
    }
}

/// The verifying server's key and scope.
struct Verifier<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    expected: Expected<'a>,
    now_millis: i64,
}

/// The outcome of a whole verification, with the session token of the request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Unauthenticated,
    UnknownKey,
    Refused(Trouble),
    Verified { session_token: Option<String> },
}

impl Verifier<'_> {
    fn verify(&self, request: &Request) -> Outcome {
        let presented = match parse(&request.parts()) {
            Ok(Some(presented)) => presented,
            Ok(None) => return Outcome::Unauthenticated,
            Err(trouble) => return Outcome::Refused(trouble),
        };
        if presented.access_key_id() != self.access_key_id {
            return Outcome::UnknownKey;
        }
        let in_scope = match presented.check_scope_and_clock(&self.expected, self.now_millis, 300) {
            Ok(in_scope) => in_scope,
            Err(trouble) => return Outcome::Refused(trouble),
        };
        let secret = SecretString::from(self.secret_access_key);
        let key = SigningKey::derive(&secret, in_scope.presented().scope());
        match in_scope.verify(&request.body_hash(), &key) {
            Ok(()) => {
                Outcome::Verified { session_token: in_scope.presented().session_token().map(str::to_owned) }
            }
            Err(trouble) => Outcome::Refused(trouble),
        }
    }
}
