//! The credentials that a request is signed with.

/// The credentials of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The access key id.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
}

impl Caller {
    /// A caller with a key that does not expire.
    pub fn developer(access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: None,
        }
    }

    /// The same caller with a wrong secret.
    #[must_use]
    pub fn forged(&self) -> Self {
        Self { secret_access_key: "not the secret".to_owned(), ..self.clone() }
    }
}
