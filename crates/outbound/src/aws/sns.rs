//! A platform application of SNS: creates endpoints for device tokens, and pushes to them.

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::caller::Caller;
use super::failure::{Failure, Kind, failure};
use super::{Aws, arn};
use crate::port::{Checked, Device, Finding, Outcome, PushMessage, PushPort, PushUndelivered, Undelivered};
use crate::push_json;

/// The number of attempts to create an endpoint that disappears while it is being repaired.
const REGISTER_ROUNDS_MAX: usize = 3;

/// A platform application in the region that its ARN names.
pub(crate) struct SnsPush {
    aws: Arc<Aws>,
    application_arn: String,
    role_arn: Option<String>,
}

impl SnsPush {
    pub(crate) fn new(aws: Arc<Aws>, application_arn: &str, role_arn: Option<&str>) -> Self {
        Self { aws, application_arn: application_arn.to_owned(), role_arn: role_arn.map(str::to_owned) }
    }

    async fn caller(&self) -> Arc<Caller> {
        self.aws.caller(self.role_arn.as_deref(), arn::region(&self.application_arn)).await
    }

    async fn create_and_repair(&self, token: &SecretString) -> Result<String, Undelivered> {
        let caller = self.caller().await;
        for _ in 0..REGISTER_ROUNDS_MAX {
            let endpoint = self.create_or_find(&caller, token).await?;
            match self.repair(&caller, &endpoint, token).await {
                Ok(()) => return Ok(endpoint),
                Err(failure) if failure.kind == Kind::Missing => {}
                Err(failure) => return Err(failure.undelivered()),
            }
        }
        let cause = "the endpoint was deleted each time while it was being registered".to_owned();
        Err(Undelivered::Retry { cause })
    }

    /// Creates the endpoint, or finds an existing one. SNS returns an endpoint with the same token and
    /// attributes; of one with other attributes, the refusal has the ARN.
    async fn create_or_find(&self, caller: &Caller, token: &SecretString) -> Result<String, Undelivered> {
        let call = caller.sns().create_platform_endpoint().platform_application_arn(&self.application_arn);
        let failure = match call.token(token.expose_secret()).send().await {
            Ok(created) => match created.endpoint_arn {
                Some(endpoint) => return Ok(endpoint),
                None => return Err(nameless()),
            },
            Err(error) => self.failure("CreatePlatformEndpoint", &error, token),
        };
        if let Some(endpoint) = existing_endpoint(&failure) {
            return Ok(endpoint);
        }
        // The application's name was refused and not the token, so the pool's configuration is wrong and not
        // the device.
        if failure.kind == Kind::Invalid && failure.message.contains("PlatformApplicationArn") {
            return Err(Undelivered::Gone { cause: failure.cause });
        }
        Err(failure.undelivered())
    }

    /// Enables the endpoint and updates its token, if necessary.
    async fn repair(&self, caller: &Caller, endpoint: &str, token: &SecretString) -> Result<(), Failure> {
        let got = caller.sns().get_endpoint_attributes().endpoint_arn(endpoint).send().await;
        let attributes = got
            .map_err(|error| self.failure("GetEndpointAttributes", &error, token))?
            .attributes
            .unwrap_or_default();
        if is_sound(&attributes, token) {
            return Ok(());
        }
        let call = caller.sns().set_endpoint_attributes().endpoint_arn(endpoint);
        let call = call.attributes("Token", token.expose_secret()).attributes("Enabled", "true");
        call.send().await.map(|_| ()).map_err(|error| self.failure("SetEndpointAttributes", &error, token))
    }

    /// Converts an error. A refusal may repeat the token, which must not be shown.
    fn failure<E>(&self, call: &str, error: &aws_sdk_sns::error::SdkError<E>, token: &SecretString) -> Failure
    where
        E: aws_sdk_sns::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let mut failure = failure(call, self.role_arn.as_deref(), error);
        if !token.expose_secret().is_empty() {
            failure.cause = failure.cause.replace(token.expose_secret(), "(token)");
        }
        self.aws.learn(self.role_arn.as_deref(), arn::region(&self.application_arn), failure)
    }

    async fn send(&self, device: Device, message: PushMessage) -> Result<(), PushUndelivered> {
        let caller = self.caller().await;
        let text = push_json::sns_message(device.platform, &message);
        let call =
            caller.sns().publish().target_arn(&device.endpoint).message_structure("json").message(text);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(unpublished(self.failure("Publish", &error, &device.token))),
        }
    }

    async fn look(&self) -> Vec<Finding> {
        let caller = self.caller().await;
        let credentials = caller.check_credentials().await;
        if credentials.trouble.is_some() {
            return vec![credentials];
        }
        let call = caller.sns().get_platform_application_attributes();
        let got = call.platform_application_arn(&self.application_arn).send().await;
        let role_arn = self.role_arn.as_deref();
        let trouble =
            got.err().map(|error| failure("GetPlatformApplicationAttributes", role_arn, &error).cause);
        vec![
            credentials,
            Finding { what: format!("look at the application {}", self.application_arn), trouble },
        ]
    }
}

impl PushPort for SnsPush {
    fn register(&self, token: &SecretString) -> Outcome<'_, String> {
        let token = token.clone();
        Box::pin(async move { self.create_and_repair(&token).await })
    }

    fn publish(&self, device: &Device, message: &PushMessage) -> Outcome<'_, (), PushUndelivered> {
        Box::pin(self.send(device.clone(), message.clone()))
    }

    /// Reading attributes needs a permission that pushing does not. If only that permission is missing,
    /// pushes may still succeed.
    fn check(&self) -> Checked<'_> {
        Box::pin(self.look())
    }
}

fn nameless() -> Undelivered {
    Undelivered::Retry { cause: "CreatePlatformEndpoint answered no ARN".to_owned() }
}

fn is_sound(attributes: &HashMap<String, String>, token: &SecretString) -> bool {
    let is = |name: &str, value: &str| attributes.get(name).is_some_and(|held| held == value);
    is("Token", token.expose_secret())
        && attributes.get("Enabled").is_some_and(|on| on.eq_ignore_ascii_case("true"))
}

/// The ARN in "… Endpoint ARN already exists with the same Token, but different attributes."
fn existing_endpoint(failure: &Failure) -> Option<String> {
    if failure.kind != Kind::Invalid {
        return None;
    }
    let (before, _) = failure.message.split_once(" already exists with the same ")?;
    let endpoint = before.rsplit(' ').next()?;
    (endpoint.starts_with("arn:") && endpoint.contains(":endpoint/")).then(|| endpoint.to_owned())
}

/// Converts a failed publication. SNS reports a deleted endpoint as not found, or as an invalid target
/// parameter.
fn unpublished(failure: Failure) -> PushUndelivered {
    let disabled = matches!(failure.code.as_str(), "EndpointDisabled" | "EndpointDisabledException");
    let unknown = failure.kind == Kind::Invalid && failure.message.contains("TargetArn");
    if disabled || unknown || failure.kind == Kind::Missing {
        return PushUndelivered::EndpointDead { cause: failure.cause };
    }
    PushUndelivered::Other(failure.undelivered())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, message: &str) -> Failure {
        let (code, message) = (code.to_owned(), message.to_owned());
        Failure { kind: Kind::Invalid, code, message, cause: "cause".to_owned() }
    }

    #[test]
    fn the_refusal_of_a_second_endpoint_names_the_first() {
        let arn = "arn:aws:sns:eu-west-1:123456789012:endpoint/GCM/app/0f3e";
        let said = format!(
            "Invalid parameter: Token Reason: Endpoint {arn} already exists with the same Token, but different attributes."
        );
        assert_eq!(existing_endpoint(&refused("InvalidParameter", &said)).as_deref(), Some(arn));
        let said = said.replace("Token, but", "token, but");
        assert_eq!(existing_endpoint(&refused("InvalidParameter", &said)).as_deref(), Some(arn));
    }

    #[test]
    fn other_refusals_name_none() {
        for said in [
            "Invalid parameter: Token",
            "Endpoint https://evil.example.org already exists with the same Token",
            " already exists with the same ",
        ] {
            assert_eq!(existing_endpoint(&refused("InvalidParameter", said)), None, "{said}");
        }
    }

    #[test]
    fn a_dead_endpoint_is_told_from_a_bad_message() {
        let dead = |failure| matches!(unpublished(failure), PushUndelivered::EndpointDead { .. });
        assert!(dead(refused("EndpointDisabled", "Endpoint is disabled")));
        assert!(dead(refused(
            "InvalidParameter",
            "TargetArn Reason: No endpoint found for the target arn specified"
        )));
        assert!(dead(Failure { kind: Kind::Missing, ..refused("NotFound", "") }));
        assert!(!dead(refused("InvalidParameter", "Message too long")));
    }

    #[test]
    fn an_endpoint_is_sound_when_it_is_on_and_has_the_token() {
        let token = SecretString::from("t");
        let attributes = |on: &str, token: &str| {
            HashMap::from([("Enabled".to_owned(), on.to_owned()), ("Token".to_owned(), token.to_owned())])
        };
        assert!(is_sound(&attributes("true", "t"), &token));
        assert!(is_sound(&attributes("True", "t"), &token));
        assert!(!is_sound(&attributes("false", "t"), &token));
        assert!(!is_sound(&attributes("true", "old"), &token));
        assert!(!is_sound(&HashMap::new(), &token));
    }
}
