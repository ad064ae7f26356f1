//! The largest number of entries of each list and map of an input. Decoding stops at the first entry beyond
//! it, so a body costs no more memory than its operation can use.
//!
//! Limits come from the published model, or from `docs/protocol.md` section 6 where the model has none.

use std::fmt;

/// The beginning of the message for a member that breaks a constraint (`docs/protocol.md` section 3.6).
pub(crate) const VIOLATION: &str = "1 validation error detected: ";

/// The limit of one list or map.
pub trait Limit {
    /// The member as messages spell it: lower camel case, dotted when nested.
    const MEMBER: &'static str;
    /// The largest number of entries.
    const ENTRIES_MAX: usize;
}

/// The message for a list or map with more entries than `L` admits.
pub(crate) fn too_many_entries<L: Limit>() -> impl fmt::Display {
    let (member, max) = (L::MEMBER, L::ENTRIES_MAX);
    fmt::from_fn(move |formatter| {
        write!(
            formatter,
            "{VIOLATION}Value 'more than {max} entries' at '{member}' failed to satisfy constraint: \
             Member must have length less than or equal to {max}"
        )
    })
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $member:literal, $entries_max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl Limit for $name {
            const MEMBER: &'static str = $member;
            const ENTRIES_MAX: usize = $entries_max;
        }
    )*};
}

limits! {
    /// Patches of one UpdateRecords; the rules have the same limit.
    RecordPatches: "recordPatches", 16_384;
    /// SNS platform applications of a pool.
    ApplicationArns: "pushSync.applicationArns", 100;
    /// Events of a pool. Only one exists; a few more are read, so that the refusal can name an unknown one.
    Events: "events", 10;
    /// Public login providers of a pool.
    SupportedLoginProviders: "supportedLoginProviders", 10;
    /// OpenID Connect providers of a pool.
    OpenIdConnectProviderArns: "openIdConnectProviderARNs", 50;
    /// SAML providers of a pool.
    SamlProviderArns: "samlProviderARNs", 50;
    /// User pools of a pool.
    CognitoIdentityProviders: "cognitoIdentityProviders", 50;
    /// Tags of a pool.
    IdentityPoolTags: "identityPoolTags", 50;
    /// Roles of a pool. Only two kinds exist; a few more are read, so that the refusal can name an unknown
    /// one.
    Roles: "roles", 10;
    /// Login providers with role rules.
    RoleMappings: "roleMappings", 10;
    /// Rules of one login provider.
    Rules: "roleMappings.rulesConfiguration.rules", 400;
    /// Identities of one DeleteIdentities.
    IdentityIdsToDelete: "identityIdsToDelete", 60;
    /// Logins of one identity.
    Logins: "logins", 10;
    /// Managed policies of one session.
    PolicyArns: "policyArns", 10;
    /// Records in the answer of a sync trigger. The server's settings leave room for those of a dataset and of an
    /// update.
    AnsweredRecords: "datasetRecords", 65_536;
}
