//! GetId: issues an identity to a guest (`docs/protocol.md` section 10.2).

use crate::changes::{Changes, Expect, Write};
use crate::ids::{IdentityEpoch, IdentityId};
use crate::model::{Identity, IdentityRef, Pool};
use crate::refusal::Refusal;
use crate::time::UnixMillis;

/// The commit that creates the identity `fresh` of `pool`.
pub fn decide(pool: &Pool, now: UnixMillis, fresh: &IdentityId) -> Result<Changes, Refusal> {
    admit_guest(pool)?;
    let at = IdentityRef { pool: pool.at.clone(), identity: fresh.clone() };
    let identity = Identity { at: at.clone(), epoch: IdentityEpoch(0), created: now, modified: now };
    Ok(Changes {
        expect: vec![Expect::Pool(pool.at.clone()), Expect::NoIdentity(at)],
        write: vec![Write::PutIdentity(identity)],
    })
}

/// Refuses guests of a pool that does not allow them.
pub fn admit_guest(pool: &Pool) -> Result<(), Refusal> {
    if pool.allow_guests { Ok(()) } else { Err(Refusal::GuestsNotAllowed(pool.at.id.clone())) }
}

/// Refuses logins. A login that is accepted unchecked would let anyone become any user.
pub fn refuse_logins(logins_count: usize) -> Result<(), Refusal> {
    if logins_count == 0 { Ok(()) } else { Err(Refusal::LoginsNotSupported) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    #[test]
    fn a_guest_gets_an_identity_that_nobody_has_in_a_pool_that_still_stands() {
        let pool = Pool { allow_guests: true, ..samples::pool() };
        let at = samples::owner();
        let changes = decide(&pool, UnixMillis(7), &at.identity).unwrap();
        assert_eq!(changes.expect, [Expect::Pool(pool.at), Expect::NoIdentity(at.clone())]);
        let (created, modified) = (UnixMillis(7), UnixMillis(7));
        let identity = Identity { at, epoch: IdentityEpoch(0), created, modified };
        assert_eq!(changes.write, [Write::PutIdentity(identity)]);
    }

    #[test]
    fn a_pool_without_guests_hands_out_nothing() {
        let pool = Pool { allow_guests: false, ..samples::pool() };
        let refusal = Refusal::GuestsNotAllowed(pool.at.id.clone());
        assert_eq!(decide(&pool, UnixMillis(7), &samples::owner().identity), Err(refusal));
    }

    #[test]
    fn logins_are_refused() {
        assert_eq!(refuse_logins(0), Ok(()));
        assert_eq!(refuse_logins(1), Err(Refusal::LoginsNotSupported));
    }
}
