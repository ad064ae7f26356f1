//! Temporary credentials of identities. They are derived from a sealed token, so that nothing about them is
//! stored and every node can verify them alone (`docs/protocol.md` section 5.2).

use aws_lc_rs::digest::{SHA256, digest};
use carryall_core::ids::{AccessKeyId, IdentityEpoch, IdentityId, PoolId, PoolIncarnation};
use carryall_core::limits::CREDENTIALS_SECONDS_MAX;
use carryall_core::model::{IdentityRef, PoolRef};
use carryall_core::time::UnixMillis;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::trust::seal::{Purpose, Sealer};

/// The version of [`Sealed`]'s layout, inside the seal.
const LAYOUT_VERSION: u8 = 1;

/// The lifetime of credentials from GetCredentialsForIdentity, in seconds.
pub const CREDENTIALS_SECONDS: u32 = 3600;
/// The shortest lifetime that AssumeRoleWithWebIdentity accepts, in seconds.
pub const CREDENTIALS_SECONDS_MIN: u32 = 900;
const _: () = assert!(CREDENTIALS_SECONDS <= CREDENTIALS_SECONDS_MAX);

/// The claims of temporary credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Temporary {
    /// The identity that the credentials are for.
    pub identity: IdentityRef,
    /// The identity's epoch when the credentials were issued.
    pub epoch: IdentityEpoch,
    /// True if the identity had proved a login.
    pub authenticated: bool,
    /// The providers of its logins.
    pub providers: Vec<String>,
    /// The expiry time.
    pub expires: UnixMillis,
}

/// Credentials for the caller.
pub struct Issued {
    /// The access key id; it begins with `ASIA` as temporary keys do.
    pub access_key_id: String,
    /// The secret access key.
    pub secret: SecretString,
    /// The sealed token that must accompany every request.
    pub credentials_token: String,
    /// The expiry time.
    pub expires: UnixMillis,
}

/// The sealed layout.
#[derive(Serialize, Deserialize)]
struct Sealed {
    pool: String,
    incarnation: u64,
    identity: String,
    epoch: u64,
    authenticated: bool,
    providers: Vec<String>,
    expires: i64,
}

/// Issues credentials for `temporary`.
pub(super) fn issue(sealer: &Sealer, temporary: &Temporary) -> Issued {
    let sealed = Sealed {
        pool: temporary.identity.pool.id.to_string(),
        incarnation: temporary.identity.pool.incarnation.0,
        identity: temporary.identity.identity.to_string(),
        epoch: temporary.epoch.0,
        authenticated: temporary.authenticated,
        providers: temporary.providers.clone(),
        expires: temporary.expires.0,
    };
    let mut plain = vec![LAYOUT_VERSION];
    #[expect(clippy::expect_used, reason = "a struct of strings and numbers always has a JSON form")]
    serde_json::to_writer(&mut plain, &sealed).expect("the layout is plain");
    let credentials_token = sealer.seal_text(Purpose::Credentials, plain);
    Issued {
        access_key_id: access_key_id(&credentials_token),
        secret: sealer.temporary_secret(&credentials_token),
        credentials_token,
        expires: temporary.expires,
    }
}

/// The opened credentials of a request.
pub struct Opened {
    /// Their claims. The caller checks the expiry.
    pub temporary: Temporary,
    /// The secret access key.
    pub(super) secret: SecretString,
    access_key_id: String,
}

impl Opened {
    /// True if the token was issued with the access key id `key`.
    pub fn belongs_to(&self, key: &AccessKeyId) -> bool {
        self.access_key_id == key.as_str()
    }
}

/// Opens a session token; `None` unless this installation issued it.
pub(super) fn open(sealer: &Sealer, credentials_token: &str) -> Option<Opened> {
    let plain = sealer.open_text(Purpose::Credentials, credentials_token)?;
    let (version, json) = plain.split_first()?;
    if *version != LAYOUT_VERSION {
        return None;
    }
    let sealed: Sealed = serde_json::from_slice(json).ok()?;
    let pool =
        PoolRef { id: PoolId::parse(&sealed.pool).ok()?, incarnation: PoolIncarnation(sealed.incarnation) };
    let temporary = Temporary {
        identity: IdentityRef { pool, identity: IdentityId::parse(&sealed.identity).ok()? },
        epoch: IdentityEpoch(sealed.epoch),
        authenticated: sealed.authenticated,
        providers: sealed.providers,
        expires: UnixMillis(sealed.expires),
    };
    Some(Opened {
        temporary,
        secret: sealer.temporary_secret(credentials_token),
        access_key_id: access_key_id(credentials_token),
    })
}

/// The access key id of a token. It is derived, so that key ids and tokens cannot be mixed.
fn access_key_id(credentials_token: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = digest(&SHA256, credentials_token.as_bytes());
    let letters = hash.as_ref().iter().take(16).map(|byte| char::from(LETTERS[usize::from(byte & 31)]));
    "ASIA".chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::clock::Clock;
    use crate::trust::seal::MasterKey;

    fn temporary() -> Temporary {
        Temporary {
            identity: IdentityRef {
                pool: PoolRef { id: PoolId::parse("us-east-1:0").unwrap(), incarnation: PoolIncarnation(3) },
                identity: IdentityId::parse("us-east-1:1").unwrap(),
            },
            epoch: IdentityEpoch(0),
            authenticated: false,
            providers: vec![],
            expires: UnixMillis(1_700_000_000_000),
        }
    }

    fn sealer() -> Sealer {
        let clock = Clock::system();
        Sealer::new(&MasterKey::generate(&clock), clock)
    }

    #[test]
    fn credentials_open_to_what_they_vouch_for() {
        let sealer = sealer();
        let issued = issue(&sealer, &temporary());
        let opened = open(&sealer, &issued.credentials_token).unwrap();
        assert_eq!(opened.temporary, temporary());
        assert_eq!(opened.secret.expose_secret(), issued.secret.expose_secret());
        assert!(opened.belongs_to(&AccessKeyId::parse(&issued.access_key_id).unwrap()));
    }

    #[test]
    fn a_token_belongs_to_its_own_key_id_and_opens_on_its_own_server() {
        let sealer = sealer();
        let first = issue(&sealer, &temporary());
        let second = issue(&sealer, &temporary());
        assert_ne!(first.credentials_token, second.credentials_token);
        let other_key = AccessKeyId::parse(&second.access_key_id).unwrap();
        assert!(!open(&sealer, &first.credentials_token).unwrap().belongs_to(&other_key));
        assert!(open(&self::sealer(), &first.credentials_token).is_none());
    }
}
