//! The authentication of one request, as it was read from its head.

use std::borrow::Cow;
use std::fmt;

use super::scope::{AmzDate, Scope};
use super::{Form, SignedParts};

/// The authentication that a request presents, read but not yet believed.
pub struct Presented<'a> {
    pub(super) parts: SignedParts<'a>,
    pub(super) form: Form,
    pub(super) access_key_id: Cow<'a, str>,
    pub(super) scope: Scope<'a>,
    pub(super) signed_headers: Cow<'a, str>,
    pub(super) signature: Cow<'a, str>,
    pub(super) requested_at: AmzDate,
    pub(super) session_token: Option<Cow<'a, str>>,
    pub(super) content_sha256: Option<Cow<'a, str>>,
}

impl Presented<'_> {
    /// Id of the key that is said to have signed; 1 to 128 visible ASCII characters without `/`.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The session token that came with it, never empty.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Day, region and service that the key was narrowed to.
    pub fn scope(&self) -> &Scope<'_> {
        &self.scope
    }

    /// The moment of signing.
    pub fn requested_at(&self) -> AmzDate {
        self.requested_at
    }

    /// Where the authentication was found.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Names of the signed headers: lower case, ascending, separated by semicolons.
    pub fn signed_headers(&self) -> &str {
        &self.signed_headers
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Presented")
            .field("form", &self.form)
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope)
            .field("signed_headers", &self.signed_headers)
            .field("requested_at", &self.requested_at)
            .field("has_session_token", &self.session_token.is_some())
            .finish_non_exhaustive()
    }
}
