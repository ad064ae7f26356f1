//! Rows of sweeps.

use carryall_core::ids::PoolId;
use carryall_core::model::{IdentityRef, PoolRef, Sweep};
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION};
use crate::embedded::keys;

pub(crate) fn to_row(sweep: &Sweep) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend(sweep.owner.pool.id.as_str().as_bytes());
    row
}

pub(crate) fn from_row(key: &[u8], row: &[u8]) -> Result<Sweep, StoreError> {
    let reader = Reader::open("sweep", row)?;
    let broken = reader.damaged("names no owner");
    let (not_before, incarnation, identity) = keys::parts_of_sweep(key).ok_or_else(|| broken.clone())?;
    let id = PoolId::parse(reader.text()?).map_err(|_| broken)?;
    Ok(Sweep { owner: IdentityRef { pool: PoolRef { id, incarnation }, identity }, not_before })
}

#[cfg(test)]
mod tests {
    use carryall_core::time::UnixMillis;

    use super::super::sample::owner;
    use super::*;

    #[test]
    fn a_sweep_survives_its_row() {
        let at = owner();
        let sweep = Sweep { owner: at, not_before: UnixMillis(7) };
        assert_eq!(from_row(&keys::sweep(&sweep), &to_row(&sweep)), Ok(sweep));
    }
}
