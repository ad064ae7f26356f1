//! Freeing rows that nothing can reach any more: the records of ended lives and everything of removed pools.
//!
//! The caller reads the rows to free, since nothing changes them any more. Their removal and the key that was reached
//! are one commit of the writer. So a crash between slices loses nothing, and no slice walks again over the rows that
//! an earlier one removed.

use std::ops::Bound;

use carryall_core::ids::{IdentityId, PoolIncarnation};
use carryall_core::store::{Reclaimed, StoreError};

use super::damage::Kind;
use super::engine::{Engine, View};
use super::keys::{self, LifeId};
use super::rows::head::StoredHead;
use super::rows::work::{Unreachable, Work};
use super::space::{Place, Space};

/// One step of freeing, ready for the writer.
#[derive(Default)]
pub(super) struct Slice {
    /// Rows of data among the removed ones.
    pub(super) rows: usize,
    pub(super) remove: Vec<Place>,
    /// Rows of unfinished work.
    pub(super) put: Vec<(Vec<u8>, Vec<u8>)>,
    /// Lives that ended with their pool. Each is separate work.
    pub(super) lives: Vec<LifeId>,
    /// Identities that went with their pool, unless another pool has handed them out since.
    pub(super) identities: Vec<(PoolIncarnation, IdentityId)>,
    more: bool,
}

impl Slice {
    pub(super) fn is_empty(&self) -> bool {
        self.remove.is_empty()
    }

    pub(super) fn outcome(&self) -> Reclaimed {
        Reclaimed { rows: self.rows, more: self.more || !self.lives.is_empty() }
    }

    fn remove(&mut self, space: Space, key: &[u8]) {
        self.remove.push(Place { space, key: key.to_vec() });
    }
}

/// Gathers up to `rows_max` rows, beginning behind the work at `after`. Moves `after` to the last finished work, so
/// that finished work is never read again.
pub(super) fn plan(engine: &Engine, after: &mut Vec<u8>, rows_max: usize) -> Result<Slice, StoreError> {
    let view = engine.view();
    let mut slice = Slice::default();
    let end = keys::successor(&[keys::WORK]);
    for row in view.scan(Space::Small, Bound::Excluded(after.clone()), end) {
        let (key, row) = row?;
        if slice.rows >= rows_max {
            slice.more = true;
            break;
        }
        let Some(mut work) = engine.readable(Kind::Work, &key, Work::from_row(&row))? else {
            *after = key.to_vec();
            continue;
        };
        let finished = match work.what {
            Unreachable::Life(life) => free_life(&view, &mut slice, &mut work.after, life, rows_max)?,
            Unreachable::Pool(pool) => free_pool(engine, &view, &mut slice, &mut work.after, pool, rows_max)?,
        };
        if finished {
            slice.remove(Space::Small, &key);
            *after = key.to_vec();
        } else {
            slice.put.push((key.to_vec(), work.to_row()));
            slice.more = true;
            break;
        }
    }
    Ok(slice)
}

/// The first key that is left of a table with `prefix`; `None` if the table is done.
fn rest(space: Space, prefix: &[u8], after: Option<&Place>) -> Option<Bound<Vec<u8>>> {
    match after {
        None => Some(Bound::Included(prefix.to_vec())),
        Some(place) if place.space < space => Some(Bound::Included(prefix.to_vec())),
        Some(place) if place.space > space => None,
        Some(place) if place.key.starts_with(prefix) => Some(Bound::Excluded(place.key.clone())),
        Some(place) if place.key.as_slice() < prefix => Some(Bound::Included(prefix.to_vec())),
        Some(_) => None,
    }
}

/// Adds the records of `life` to the slice. Returns true if those were all.
fn free_life(
    view: &View<'_>,
    slice: &mut Slice,
    after: &mut Option<Place>,
    life: LifeId,
    rows_max: usize,
) -> Result<bool, StoreError> {
    let prefix = keys::life(life);
    for space in [Space::Key, Space::Log] {
        let Some(start) = rest(space, &prefix, after.as_ref()) else { continue };
        for row in view.scan(space, start, keys::successor(&prefix)) {
            let (key, _) = row?;
            if slice.rows >= rows_max {
                return Ok(false);
            }
            slice.rows += 1;
            slice.remove(space, &key);
            *after = Some(Place { space, key: key.to_vec() });
        }
    }
    Ok(true)
}

/// Adds the rows of a removed pool to the slice, leaving the records of its datasets as separate work. Returns true if
/// those were all.
fn free_pool(
    engine: &Engine,
    view: &View<'_>,
    slice: &mut Slice,
    after: &mut Option<Place>,
    pool: PoolIncarnation,
    rows_max: usize,
) -> Result<bool, StoreError> {
    for tag in keys::POOL_TABLES {
        let prefix = keys::pool_table(tag, pool);
        let Some(start) = rest(Space::Small, &prefix, after.as_ref()) else { continue };
        for row in view.scan(Space::Small, start, keys::successor(&prefix)) {
            let (key, row) = row?;
            if slice.rows >= rows_max {
                return Ok(false);
            }
            if tag == keys::HEAD {
                let stored = engine.readable(Kind::Head, &key, StoredHead::from_row(&row))?;
                slice.lives.extend(stored.and_then(|stored| stored.life));
            }
            if let Some(sweep) = keys::sweep_of_mark(&key) {
                slice.remove(Space::Small, &sweep);
            }
            slice.identities.extend(keys::identity_of_row(&key).map(|id| (pool, id)));
            slice.rows += 1;
            slice.remove(Space::Small, &key);
            *after = Some(Place { space: Space::Small, key: key.to_vec() });
        }
    }
    slice.remove(Space::Small, &keys::removed_pool(pool));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use carryall_core::changes::{Changes, Write};
    use carryall_core::ids::PoolId;
    use carryall_core::model::{IdentityRef, PoolRef, Sweep};
    use carryall_core::store::{Reads, Store};
    use carryall_core::time::UnixMillis;

    use super::*;
    use crate::dir_lock::DirLock;
    use crate::embedded::EmbeddedStore;
    use crate::options::StoreOptions;

    #[test]
    fn a_damaged_row_in_front_holds_up_neither_sweeps_nor_reclaiming() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        let store = EmbeddedStore::open(lock, &StoreOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(1) };
        let identity = IdentityId::parse("a:1").unwrap();
        let sweep = |at| Sweep {
            owner: IdentityRef { pool: pool.clone(), identity: identity.clone() },
            not_before: UnixMillis(at),
        };
        let write = vec![Write::PutSweep(sweep(1)), Write::PutSweep(sweep(2))];
        assert!(runtime.block_on(store.commit(Changes { expect: vec![], write })).unwrap().is_done());
        let mut batch = store.engine.batch(4);
        batch.write(Space::Small, keys::sweep(&sweep(1)), Some(vec![9]));
        let life = LifeId(7);
        batch.write(Space::Small, keys::work(1 << 20), Some(vec![9]));
        let work = Work { what: Unreachable::Life(life), after: None };
        batch.write(Space::Small, keys::work(1 << 21), Some(work.to_row()));
        batch.write(Space::Log, keys::life(life), Some(vec![9]));
        batch.commit().unwrap();

        assert_eq!(runtime.block_on(store.sweeps(UnixMillis(9), 9)), Ok(vec![sweep(2)]));
        let reclaimed = runtime.block_on(store.reclaim(9));
        assert_eq!(reclaimed, Ok(Reclaimed { rows: 1, more: false }));
        assert_eq!(store.engine.newest(Space::Log, &keys::life(life)), Ok(None));
        let damaged = [keys::sweep(&sweep(1)), keys::work(1 << 20)];
        assert_eq!(store.engine.damage.logged(), damaged.into());
    }
}
