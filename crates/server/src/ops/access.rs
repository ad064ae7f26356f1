//! Access control: one pure function of an operation's access class, the caller and the identity that the
//! request names (`docs/protocol.md` sections 5.3 and 5.4).

use carryall_core::caller::Caller;
use carryall_core::refusal::Refusal;
use carryall_wire::names::Names;
use carryall_wire::spec::{Access, OperationName};

/// The identity whose data a request is about, as named by the request. A request without an identity is
/// about the account: pools and their settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The id of the pool.
    pub pool: Option<&'a str>,
    /// The id of the identity.
    pub identity: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// The subject that an input names.
    pub fn of(input: &'a impl Names) -> Self {
        Self { pool: input.pool(), identity: input.identity() }
    }
}

/// Refuses unless `caller` may call an operation of class `access` about `subject`. `None` is a caller
/// without a signature.
pub fn authorise(access: Access, caller: Option<&Caller>, subject: Subject<'_>) -> Result<(), Refusal> {
    let allowed = match (access, caller) {
        (Access::Public, _)
        | (Access::AnySigned, Some(_))
        | (Access::Developer | Access::Either, Some(Caller::Developer { .. })) => true,
        (Access::Identity | Access::Either, Some(Caller::Identity { at, .. })) => {
            subject == Subject { pool: Some(at.pool.id.as_str()), identity: Some(at.identity.as_str()) }
        }
        (Access::Developer, Some(Caller::Identity { .. }))
        | (Access::Identity, Some(Caller::Developer { .. }))
        | (Access::Developer | Access::Identity | Access::Either | Access::AnySigned, None) => false,
    };
    if allowed { Ok(()) } else { Err(Refusal::NotAuthorized) }
}

/// Refuses an update by a developer key unless the settings allow it. The caller is enough to decide, so this is asked
/// before a body is decoded.
pub fn admit_update(operation: OperationName, caller: Option<&Caller>, allowed: bool) -> Result<(), Refusal> {
    let by_developer = matches!(caller, Some(Caller::Developer { .. }));
    if operation == OperationName::UpdateRecords && by_developer && !allowed {
        return Err(Refusal::DeveloperUpdates);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::{AccessKeyId, IdentityEpoch, IdentityId, PoolId, PoolIncarnation};
    use carryall_core::model::{IdentityRef, PoolRef};

    use super::*;

    const POOL: &str = "us-east-1:0";
    const IDENTITY: &str = "us-east-1:1";

    fn developer() -> Caller {
        Caller::Developer { key: AccessKeyId::parse("AKIA0000000000000000").unwrap() }
    }

    fn identity() -> Caller {
        let pool = PoolRef { id: PoolId::parse(POOL).unwrap(), incarnation: PoolIncarnation(1) };
        let at = IdentityRef { pool, identity: IdentityId::parse(IDENTITY).unwrap() };
        Caller::Identity { at, epoch: IdentityEpoch(0) }
    }

    fn subject<'a>(pool: &'a str, identity: &'a str) -> Subject<'a> {
        Subject { pool: Some(pool), identity: Some(identity) }
    }

    #[test]
    fn an_identity_reaches_itself_and_nobody_else() {
        let own = subject(POOL, IDENTITY);
        for access in [Access::Either, Access::Identity] {
            assert_eq!(authorise(access, Some(&identity()), own), Ok(()));
            for other in [
                subject(POOL, "us-east-1:2"),
                subject("us-east-1:9", IDENTITY),
                subject("not a pool id", IDENTITY),
                Subject { pool: None, identity: None },
                Subject { pool: None, identity: None },
            ] {
                assert_eq!(authorise(access, Some(&identity()), other), Err(Refusal::NotAuthorized));
            }
        }
    }

    #[test]
    fn classes_admit_the_kinds_of_caller_that_they_name() {
        let own = subject(POOL, IDENTITY);
        let table = [
            (Access::Developer, [false, true, false]),
            (Access::Identity, [false, false, true]),
            (Access::Either, [false, true, true]),
            (Access::Public, [true, true, true]),
            (Access::AnySigned, [false, true, true]),
        ];
        for (access, expected) in table {
            let (developer, identity) = (developer(), identity());
            let callers = [None, Some(&developer), Some(&identity)];
            let admitted = callers.map(|caller| authorise(access, caller, own).is_ok());
            assert_eq!(admitted, expected, "{access:?}");
        }
    }
}
