//! Rows that name the pool which handed an identity out.

use carryall_core::ids::{PoolId, PoolIncarnation};
use carryall_core::model::PoolRef;
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION};

pub(crate) fn to_row(pool: &PoolRef) -> Vec<u8> {
    let mut row = Vec::with_capacity(9 + pool.id.as_str().len());
    row.push(VERSION);
    row.extend(pool.incarnation.0.to_be_bytes());
    row.extend(pool.id.as_str().as_bytes());
    row
}

pub(crate) fn from_row(row: &[u8]) -> Result<PoolRef, StoreError> {
    let mut reader = Reader::open("pool of an identity", row)?;
    let incarnation = PoolIncarnation(reader.u64()?);
    let broken = reader.damaged("names no pool");
    let id = PoolId::parse(reader.text()?).map_err(|_| broken)?;
    Ok(PoolRef { id, incarnation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_of_an_identity_survives_its_row() {
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(9) };
        assert_eq!(from_row(&to_row(&pool)), Ok(pool));
    }
}
