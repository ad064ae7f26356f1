//! Identity tokens of the classic flow: signed JWTs that GetOpenIdToken issues and AssumeRoleWithWebIdentity
//! accepts (`docs/protocol.md` section 5.5).
//!
//! The signing key is derived from the master key, so every node signs and verifies with the same key and
//! nothing is stored.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use carryall_core::ids::{IdentityEpoch, IdentityId, PoolId, PoolIncarnation};
use carryall_core::model::{IdentityRef, PoolRef};
use carryall_core::time::UnixMillis;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::trust::seal::Sealer;

/// The lifetime of a token, in seconds.
pub const IDENTITY_TOKEN_SECONDS: u32 = 600;
/// The longest accepted token, in characters.
pub const IDENTITY_TOKEN_CHARS_MAX: usize = 20_000;
const ISSUER: &str = "https://cognito-identity.amazonaws.com";

/// Signs and verifies identity tokens.
pub struct IdentityTokens {
    sign: EncodingKey,
    check: DecodingKey,
}

/// The claims of a token that has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The identity that the token is for.
    pub identity: IdentityRef,
    /// The identity's epoch when the token was issued.
    pub epoch: IdentityEpoch,
    /// `unauthenticated`, or `authenticated` and the providers of its logins.
    pub amr: Vec<String>,
}

/// The reason why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untrusted {
    /// The token is genuine, but has expired.
    Expired,
    /// The token was not issued by this installation, was changed, or is no token at all.
    Invalid,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    amr: Vec<String>,
    iat: i64,
    exp: i64,
    /// The pool's incarnation and the identity's epoch, under a name that no standard uses.
    #[serde(rename = "carryall:life")]
    life: (u64, u64),
}

impl IdentityTokens {
    /// Uses the signing key that `sealer` derives.
    #[expect(
        clippy::expect_used,
        reason = "any 32 bytes are an Ed25519 seed, and a key pair has a PKCS #8 form"
    )]
    pub fn new(sealer: &Sealer) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(sealer.identity_token_seed().expose_secret())
            .expect("the seed has 32 bytes");
        let document = pair.to_pkcs8().expect("a key pair has a document");
        Self {
            sign: EncodingKey::from_ed_der(document.as_ref()),
            check: DecodingKey::from_ed_der(pair.public_key().as_ref()),
        }
    }

    /// Signs a token for `verified`, valid from `now` for [`IDENTITY_TOKEN_SECONDS`].
    #[expect(
        clippy::expect_used,
        reason = "the claims always have a JSON form and the key fits the algorithm"
    )]
    pub fn issue(&self, verified: &VerifiedToken, now: UnixMillis) -> String {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: verified.identity.identity.to_string(),
            aud: verified.identity.pool.id.to_string(),
            amr: verified.amr.clone(),
            iat: now.seconds(),
            exp: now.plus_seconds(IDENTITY_TOKEN_SECONDS).seconds(),
            life: (verified.identity.pool.incarnation.0, verified.epoch.0),
        };
        encode(&Header::new(Algorithm::EdDSA), &claims, &self.sign).expect("the claims can be signed")
    }

    /// Verifies `token` at `now`.
    pub fn check(&self, token: &str, now: UnixMillis) -> Result<VerifiedToken, Untrusted> {
        if token.len() > IDENTITY_TOKEN_CHARS_MAX {
            return Err(Untrusted::Invalid);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        // The library would read the clock itself; here the time is an argument.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims: Claims = decode(token, &self.check, &validation).map_err(|_| Untrusted::Invalid)?.claims;
        if claims.exp <= now.seconds() {
            return Err(Untrusted::Expired);
        }
        let pool = PoolRef {
            id: PoolId::parse(&claims.aud).map_err(|_| Untrusted::Invalid)?,
            incarnation: PoolIncarnation(claims.life.0),
        };
        let identity = IdentityId::parse(&claims.sub).map_err(|_| Untrusted::Invalid)?;
        Ok(VerifiedToken {
            identity: IdentityRef { pool, identity },
            epoch: IdentityEpoch(claims.life.1),
            amr: claims.amr,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::trust::seal::MasterKey;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn tokens() -> IdentityTokens {
        let clock = Clock::system();
        IdentityTokens::new(&Sealer::new(&MasterKey::generate(&clock), clock))
    }

    fn verified() -> VerifiedToken {
        VerifiedToken {
            identity: IdentityRef {
                pool: PoolRef {
                    id: PoolId::parse("us-east-1:0").unwrap(),
                    incarnation: PoolIncarnation(u64::MAX),
                },
                identity: IdentityId::parse("us-east-1:1").unwrap(),
            },
            epoch: IdentityEpoch(2),
            amr: vec!["unauthenticated".into()],
        }
    }

    #[test]
    fn a_token_vouches_until_it_expires() {
        let tokens = tokens();
        let token = tokens.issue(&verified(), NOW);
        assert_eq!(tokens.check(&token, NOW), Ok(verified()));
        assert_eq!(tokens.check(&token, NOW.plus_seconds(599)), Ok(verified()));
        assert_eq!(tokens.check(&token, NOW.plus_seconds(600)), Err(Untrusted::Expired));
    }

    #[test]
    fn a_token_of_another_server_or_a_changed_one_is_invalid() {
        let tokens = tokens();
        let token = tokens.issue(&verified(), NOW);
        assert_eq!(self::tokens().check(&token, NOW), Err(Untrusted::Invalid));
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let unsigned = format!("{head}.e30.{signature}");
        assert_eq!(tokens.check(&unsigned, NOW), Err(Untrusted::Invalid));
        assert_eq!(tokens.check("us-east-1:0", NOW), Err(Untrusted::Invalid));
    }
}
