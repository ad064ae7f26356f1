//! Rows of work for reclaim.

use carryall_core::ids::PoolIncarnation;
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION};
use crate::embedded::keys::LifeId;
use crate::embedded::space::{Place, Space};

/// Rows to be freed, and how far that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) what: Unreachable,
    /// The last key that was freed.
    pub(crate) after: Option<Place>,
}

/// Rows that nothing can reach any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// The records of one life of a dataset.
    Life(LifeId),
    /// Everything of a removed pool.
    Pool(PoolIncarnation),
}

impl Work {
    pub(crate) fn to_row(&self) -> Vec<u8> {
        let (kind, id) = match self.what {
            Unreachable::Life(life) => (0, life.0),
            Unreachable::Pool(incarnation) => (1, incarnation.0),
        };
        let mut row = vec![VERSION, kind];
        row.extend(id.to_be_bytes());
        if let Some(after) = &self.after {
            row.push(after.space.code());
            row.extend(&after.key);
        }
        row
    }

    pub(crate) fn from_row(row: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::open("work", row)?;
        let is_pool = reader.flag()?;
        let id = reader.u64()?;
        let what =
            if is_pool { Unreachable::Pool(PoolIncarnation(id)) } else { Unreachable::Life(LifeId(id)) };
        if reader.is_at_end() {
            return Ok(Self { what, after: None });
        }
        let code = reader.u8()?;
        let space = Space::of_code(code).ok_or_else(|| reader.damaged("names no space"))?;
        Ok(Self { what, after: Some(Place { space, key: reader.rest().to_vec() }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_survives_its_row() {
        let after = Some(Place { space: Space::Log, key: vec![0, 1] });
        for work in [
            Work { what: Unreachable::Life(LifeId(3)), after },
            Work { what: Unreachable::Pool(PoolIncarnation(3)), after: None },
        ] {
            assert_eq!(Work::from_row(&work.to_row()), Ok(work));
        }
    }
}
