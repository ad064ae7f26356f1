//! The settings of an identity pool that CreateIdentityPool and UpdateIdentityPool set, and their constraints
//! (`docs/protocol.md` section 10.1).

use std::collections::BTreeMap;

use crate::ids::Version;
use crate::model::{Pool, PoolRef, UserPoolProvider};
use crate::refusal::Refusal;
use crate::time::UnixMillis;
use crate::violation::{Constraint, Violation};

const NAME_CHARS_MAX: usize = 128;
const NAME_PATTERN: &str = r"[\w\s+=,.@-]+";
const PROVIDER_CHARS_MAX: usize = 128;
const DEVELOPER_PROVIDER_PATTERN: &str = r"[\w._-]+";
const LOGIN_PROVIDERS_COUNT_MAX: usize = 10;
const LOGIN_PROVIDER_PATTERN: &str = r"[\w._:/-]+";
const LOGIN_APPLICATION_PATTERN: &str = r"[\w.;_/-]+";
const ARN_CHARS_MIN: usize = 20;
const ARN_CHARS_MAX: usize = 2048;
const PROVIDERS_COUNT_MAX: usize = 50;
const TAGS_COUNT_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;

/// The settings that a caller can set, checked. The settings of push, streams, events and roles are set
/// elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The pool's name.
    pub name: String,
    /// True if the pool issues identities without a login.
    pub allow_guests: bool,
    /// True if the classic flow is allowed; allowed if unset.
    pub allow_classic_flow: Option<bool>,
    /// The application id at each login provider, by the provider's name.
    pub login_providers: BTreeMap<String, String>,
    /// The provider name under which a backend authenticates its own users.
    pub developer_provider: Option<String>,
    /// ARNs of OpenID Connect providers.
    pub open_id_providers: Vec<String>,
    /// ARNs of SAML providers.
    pub saml_providers: Vec<String>,
    /// User pools whose tokens count as logins.
    pub user_pools: Vec<UserPoolProvider>,
    /// The operator's tags.
    pub tags: BTreeMap<String, String>,
}

impl Settings {
    /// Checks every constraint.
    pub fn check(&self) -> Result<(), Violation> {
        check_text("identityPoolName", &self.name, NAME_CHARS_MAX, NAME_PATTERN, |c| {
            c.is_ascii_whitespace() || matches!(c, '+' | '=' | ',' | '.' | '@' | '-')
        })?;
        if let Some(provider) = &self.developer_provider {
            let pattern = DEVELOPER_PROVIDER_PATTERN;
            check_text("developerProviderName", provider, PROVIDER_CHARS_MAX, pattern, |c| {
                matches!(c, '.' | '-')
            })?;
        }
        check_count("supportedLoginProviders", self.login_providers.len(), LOGIN_PROVIDERS_COUNT_MAX)?;
        for (provider, application) in &self.login_providers {
            let member = "supportedLoginProviders";
            check_text(member, provider, PROVIDER_CHARS_MAX, LOGIN_PROVIDER_PATTERN, |c| {
                matches!(c, '.' | ':' | '/' | '-')
            })?;
            check_text(member, application, PROVIDER_CHARS_MAX, LOGIN_APPLICATION_PATTERN, |c| {
                matches!(c, '.' | ';' | '/' | '-')
            })?;
        }
        check_arns("openIdConnectProviderARNs", &self.open_id_providers)?;
        check_arns("samlProviderARNs", &self.saml_providers)?;
        check_count("cognitoIdentityProviders", self.user_pools.len(), PROVIDERS_COUNT_MAX)?;
        check_count("identityPoolTags", self.tags.len(), TAGS_COUNT_MAX)?;
        for (key, value) in &self.tags {
            check_length("identityPoolTags", key, 1, TAG_KEY_CHARS_MAX)?;
            check_length("identityPoolTags", value, 0, TAG_VALUE_CHARS_MAX)?;
        }
        Ok(())
    }

    /// Checks that every user pool has the name that the issuer of its tokens has, without the scheme.
    pub fn check_user_pools(&self) -> Result<(), Refusal> {
        let names = self.user_pools.iter().filter_map(|provider| provider.provider.as_deref());
        match names.into_iter().find(|name| !is_user_pool(name)) {
            Some(name) => Err(Refusal::UserPoolProviderName(Violation::quoted(name))),
            None => Ok(()),
        }
    }

    /// Creates a pool with these settings.
    pub fn create(self, at: PoolRef, now: UnixMillis) -> Pool {
        let mut pool = Pool {
            at,
            version: Version(0),
            created: now,
            name: String::new(),
            allow_guests: false,
            allow_classic_flow: None,
            login_providers: BTreeMap::new(),
            developer_provider: None,
            open_id_providers: Vec::new(),
            saml_providers: Vec::new(),
            user_pools: Vec::new(),
            tags: BTreeMap::new(),
            roles: BTreeMap::new(),
            role_mappings: None,
            push: None,
            streams: None,
            events: BTreeMap::new(),
        };
        self.apply(&mut pool);
        pool
    }

    /// Replaces the settings of `pool`. An omitted classic flow or developer provider is kept; omitted lists
    /// and maps are cleared.
    pub fn update(self, pool: &mut Pool) {
        let kept = Self {
            allow_classic_flow: self.allow_classic_flow.or(pool.allow_classic_flow),
            developer_provider: self.developer_provider.or_else(|| pool.developer_provider.clone()),
            ..self
        };
        kept.apply(pool);
    }

    /// Replaces the settings of `pool`.
    fn apply(self, pool: &mut Pool) {
        pool.name = self.name;
        pool.allow_guests = self.allow_guests;
        pool.allow_classic_flow = self.allow_classic_flow;
        pool.login_providers = self.login_providers;
        pool.developer_provider = self.developer_provider;
        pool.open_id_providers = self.open_id_providers;
        pool.saml_providers = self.saml_providers;
        pool.user_pools = self.user_pools;
        pool.tags = self.tags;
    }
}

/// True for `cognito-idp.REGION.amazonaws.com/POOL`.
fn is_user_pool(name: &str) -> bool {
    let part = |text: &str, also: char| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == also)
    };
    let rest = name.strip_prefix("cognito-idp.");
    let parts = rest.and_then(|rest| rest.split_once(".amazonaws.com/"));
    name.len() <= PROVIDER_CHARS_MAX
        && parts.is_some_and(|(region, pool)| part(region, '-') && part(pool, '_'))
}

fn check_count(member: &str, count: usize, max: usize) -> Result<(), Violation> {
    if count > max {
        return Err(Violation::new(member, format!("{count} entries"), Constraint::LengthMax(max as u64)));
    }
    Ok(())
}

fn check_length(member: &str, text: &str, min: usize, max: usize) -> Result<(), Violation> {
    let chars = text.chars().count();
    if chars < min {
        return Err(Violation::new(member, text, Constraint::LengthMin(min as u64)));
    }
    if chars > max {
        return Err(Violation::new(member, text, Constraint::LengthMax(max as u64)));
    }
    Ok(())
}

/// Checks a text of word characters and those that `also` admits.
fn check_text(
    member: &str,
    text: &str,
    chars_max: usize,
    pattern: &'static str,
    also: impl Fn(char) -> bool,
) -> Result<(), Violation> {
    check_length(member, text, 1, chars_max)?;
    if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || also(c)) {
        return Ok(());
    }
    Err(Violation::new(member, text, Constraint::Pattern(pattern)))
}

fn check_arns(member: &str, arns: &[String]) -> Result<(), Violation> {
    check_count(member, arns.len(), PROVIDERS_COUNT_MAX)?;
    arns.iter().try_for_each(|arn| check_length(member, arn, ARN_CHARS_MIN, ARN_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Settings {
        Settings { name: name.to_owned(), ..Settings::default() }
    }

    #[test]
    fn names_follow_the_published_pattern() {
        assert_eq!(named("My app, v2 (").check().unwrap_err().constraint, Constraint::Pattern(NAME_PATTERN));
        assert!(named("My app, v2 + more@home=x-1").check().is_ok());
        assert_eq!(named("").check().unwrap_err().constraint, Constraint::LengthMin(1));
        assert_eq!(named(&"n".repeat(129)).check().unwrap_err().constraint, Constraint::LengthMax(128));
    }

    #[test]
    fn an_update_keeps_the_classic_flow_and_the_developer_provider_where_they_are_left_out() {
        let at = crate::rules::samples::pool().at;
        let set = Settings {
            allow_classic_flow: Some(false),
            developer_provider: Some("login.app".to_owned()),
            saml_providers: vec!["arn:aws:iam::1:saml-provider/x".to_owned()],
            tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            ..named("app")
        };
        let mut pool = set.create(at, UnixMillis(1));
        named("renamed").update(&mut pool);
        assert_eq!((pool.name.as_str(), pool.allow_classic_flow), ("renamed", Some(false)));
        assert_eq!(pool.developer_provider.as_deref(), Some("login.app"));
        assert!(pool.saml_providers.is_empty() && pool.tags.is_empty(), "omitted lists and maps are cleared");
        Settings { allow_classic_flow: Some(true), ..named("renamed") }.update(&mut pool);
        assert_eq!(pool.allow_classic_flow, Some(true));
    }

    #[test]
    fn a_user_pool_is_named_as_its_tokens_issuer() {
        let of = |name: &str| {
            let provider =
                UserPoolProvider { provider: Some(name.to_owned()), ..UserPoolProvider::default() };
            Settings { user_pools: vec![provider], ..named("app") }.check_user_pools()
        };
        assert_eq!(of("cognito-idp.us-east-1.amazonaws.com/us-east-1_Ab12"), Ok(()));
        for bad in [
            "",
            "us-east-1_Ab12",
            "cognito-idp.amazonaws.com/x",
            "cognito-idp..amazonaws.com/x",
            "cognito-idp.us-east-1.amazonaws.com/",
        ] {
            assert_eq!(of(bad), Err(Refusal::UserPoolProviderName(bad.to_owned())));
        }
        assert!(named("app").check_user_pools().is_ok());
    }

    #[test]
    fn too_many_login_providers_are_refused() {
        let mut settings = named("app");
        settings.login_providers =
            (0..11).map(|n| (format!("provider{n}"), "application".to_owned())).collect();
        assert_eq!(settings.check().unwrap_err().member, "supportedLoginProviders");
    }
}
