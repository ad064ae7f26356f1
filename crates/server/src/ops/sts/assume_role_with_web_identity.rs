//! AssumeRoleWithWebIdentity: the second half of the classic flow (`docs/protocol.md` section 11.1).

use carryall_core::limits::CREDENTIALS_SECONDS_MAX;
use carryall_core::rules::get_open_id_token::admit_classic_flow;
use carryall_core::rules::set_identity_pool_configuration::check_role_arn;
use carryall_core::violation::{Constraint, Violation};
use carryall_wire::ops::sts::AssumeRoleWithWebIdentity;
use carryall_wire::ops::sts::assume_role_with_web_identity::{AssumedRoleUser, Credentials, Input, Output};
use carryall_wire::shapes::Secret;
use secrecy::ExposeSecret;

use crate::failure::{Failure, IdentityTokenFailure};
use crate::ops::call::{Call, required};
use crate::ops::{Handler, timestamp};
use crate::trust::credentials::{CREDENTIALS_SECONDS, CREDENTIALS_SECONDS_MIN, Temporary};
use crate::trust::identity_token::{Untrusted, VerifiedToken};

const PROVIDER: &str = "cognito-identity.amazonaws.com";
const SESSION_NAME_PATTERN: &str = r"[\w+=,.@-]*";

impl Handler for AssumeRoleWithWebIdentity {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let role = required("roleArn", input.role_arn.as_deref())?;
        check_role_arn("roleArn", Some(role))?;
        let session_name = required("roleSessionName", input.role_session_name.as_deref())?;
        check_session_name(session_name)?;
        let token = required("webIdentityToken", input.web_identity_token.as_ref())?;
        let seconds = duration(input.duration_seconds)?;
        refuse_policies(&input)?;

        let verified = check(call, token.expose()).await?;
        let temporary = Temporary {
            authenticated: verified.amr.iter().any(|method| method == "authenticated"),
            providers: Vec::new(),
            identity: verified.identity,
            epoch: verified.epoch,
            expires: call.now.plus_seconds(seconds),
        };
        let issued = call.app.trust.issue(&temporary);
        let role_name = role.rsplit('/').next().unwrap_or(role);
        Ok(Output {
            credentials: Credentials {
                access_key_id: issued.access_key_id,
                secret_access_key: Secret::from(issued.secret.expose_secret().to_owned()),
                session_token: Secret::from(issued.credentials_token),
                expiration: timestamp(issued.expires),
            },
            subject_from_web_identity_token: Some(temporary.identity.identity.to_string()),
            assumed_role_user: Some(AssumedRoleUser {
                assumed_role_id: format!("{}:{session_name}", temporary.identity.identity),
                arn: format!(
                    "arn:aws:sts::{}:assumed-role/{role_name}/{session_name}",
                    call.app.config.account_id
                ),
            }),
            packed_policy_size: None,
            provider: Some(PROVIDER.to_owned()),
            audience: Some(temporary.identity.pool.id.to_string()),
            source_identity: None,
        })
    }
}

/// Verifies that a token is genuine, that its identity still exists in the same epoch, and that its pool still allows
/// the classic flow.
async fn check(call: &Call<'_>, token: &str) -> Result<VerifiedToken, Failure> {
    let verified = call.app.trust.identity_tokens.check(token, call.now).map_err(|untrusted| {
        Failure::IdentityToken(match untrusted {
            Untrusted::Expired => IdentityTokenFailure::Expired,
            Untrusted::Invalid => IdentityTokenFailure::Invalid,
        })
    })?;
    let gone = || Failure::IdentityToken(IdentityTokenFailure::Invalid);
    let identity = call.app.state.reads().identity(&verified.identity.identity).await?.ok_or_else(gone)?;
    if identity.at != verified.identity || identity.epoch != verified.epoch {
        return Err(gone());
    }
    let pool = call.app.state.pool(&identity.at.pool.id).await?.ok_or_else(gone)?;
    admit_classic_flow(&pool)
        .map_err(|refusal| Failure::IdentityToken(IdentityTokenFailure::NotAdmitted(refusal)))?;
    Ok(verified)
}

fn check_session_name(name: &str) -> Result<(), Violation> {
    let constraint = if name.len() < 2 {
        Constraint::LengthMin(2)
    } else if name.len() > 64 {
        Constraint::LengthMax(64)
    } else if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-'))
    {
        Constraint::Pattern(SESSION_NAME_PATTERN)
    } else {
        return Ok(());
    };
    Err(Violation::new("roleSessionName", name, constraint))
}

fn duration(asked: Option<i64>) -> Result<u32, Violation> {
    let Some(asked) = asked else { return Ok(CREDENTIALS_SECONDS) };
    match u32::try_from(asked) {
        Ok(seconds) if (CREDENTIALS_SECONDS_MIN..=CREDENTIALS_SECONDS_MAX).contains(&seconds) => Ok(seconds),
        Ok(seconds) if seconds > CREDENTIALS_SECONDS_MAX => {
            let constraint = Constraint::ValueMax(CREDENTIALS_SECONDS_MAX.into());
            Err(Violation::new("durationSeconds", asked, constraint))
        }
        Ok(_) | Err(_) => {
            let constraint = Constraint::ValueMin(CREDENTIALS_SECONDS_MIN.into());
            Err(Violation::new("durationSeconds", asked, constraint))
        }
    }
}

/// Refuses session policies. A policy narrows the permissions of credentials, so ignoring one would widen
/// them.
fn refuse_policies(input: &Input) -> Result<(), Violation> {
    let refuse = |member| {
        let rule = "Session policies are not supported by this server".to_owned();
        Err(Violation::new(member, "(a policy)", Constraint::Other(rule)))
    };
    if input.policy.as_deref().is_some_and(|policy| !policy.is_empty()) {
        return refuse("policy");
    }
    if input.policy_arns.as_ref().is_some_and(|arns| !arns.is_empty()) {
        return refuse("policyArns");
    }
    Ok(())
}
