//! Identity rows.

use carryall_core::ids::IdentityEpoch;
use carryall_core::model::{Identity, IdentityRef};
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION};

pub(crate) fn to_row(identity: &Identity) -> Vec<u8> {
    let mut row = Vec::with_capacity(25);
    row.push(VERSION);
    row.extend(identity.epoch.0.to_be_bytes());
    row.extend(identity.created.0.to_be_bytes());
    row.extend(identity.modified.0.to_be_bytes());
    row
}

pub(crate) fn from_row(at: IdentityRef, row: &[u8]) -> Result<Identity, StoreError> {
    let mut reader = Reader::open("identity", row)?;
    let identity = Identity {
        at,
        epoch: IdentityEpoch(reader.u64()?),
        created: reader.time()?,
        modified: reader.time()?,
    };
    reader.end()?;
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use carryall_core::time::UnixMillis;

    use super::super::sample::owner;
    use super::*;

    #[test]
    fn an_identity_survives_its_row() {
        let at = owner();
        let identity = Identity {
            at: at.clone(),
            epoch: IdentityEpoch(1),
            created: UnixMillis(2),
            modified: UnixMillis(3),
        };
        assert_eq!(from_row(at, &to_row(&identity)), Ok(identity));
    }
}
