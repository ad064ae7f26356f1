//! The authentication of one request, read from its head.

use std::borrow::Cow;
use std::fmt;

use super::scope::{AmzDate, Scope};
use super::{Form, SignedParts};

/// The authentication that a request presents, parsed but not verified.
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
    /// The claimed access key id: 1 to 128 visible ASCII characters without `/`.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The session token of the request, never empty.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// The day, region and service of the credential scope.
    pub fn scope(&self) -> &Scope<'_> {
        &self.scope
    }

    /// The time of signing.
    pub fn requested_at(&self) -> AmzDate {
        self.requested_at
    }

    /// The place where the authentication was found.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The names of the signed headers: lower-case, ascending, separated by semicolons.
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
