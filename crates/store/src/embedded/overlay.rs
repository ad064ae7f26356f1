//! The changes of the present batch, laid over the engine's rows: later members of a batch are checked against the
//! earlier ones, and each row is written once however many of them change it.

use carryall_core::ids::PoolIncarnation;
use carryall_core::model::{DatasetRef, IdentityRef};
use foldhash::{HashMap, HashSet};

use super::heads::KnownHead;
use super::keys;
use super::lanes::Lanes;
use super::rows::head::StoredHead;
use super::space::Space;

type Rows = HashMap<Vec<u8>, Option<Vec<u8>>>;

/// The changes of one batch, and the heads that were read for it.
#[derive(Default)]
pub(super) struct Overlay {
    small: Rows,
    key: Rows,
    log: Rows,
    heads: HashMap<DatasetRef, BatchHead>,
    pub(super) lanes: Lanes,
    /// Owners whose floor changed, so that the heads of all their names must be read again.
    pub(super) changed_floors: HashSet<IdentityRef>,
    /// Pools whose usage row must be written.
    pub(super) changed_usage: HashSet<PoolIncarnation>,
    /// True if a pool was removed.
    pub(super) pool_removed: bool,
    bytes: usize,
}

/// A head as of the members of the batch so far.
struct BatchHead {
    known: KnownHead,
    changed: bool,
}

impl Overlay {
    fn rows(&mut self, space: Space) -> &mut Rows {
        match space {
            Space::Small => &mut self.small,
            Space::Key => &mut self.key,
            Space::Log => &mut self.log,
        }
    }

    /// The small row of this key in the batch: `None` if unchanged so far, `Some(None)` if removed.
    pub(super) fn small(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.small.get(key)
    }

    pub(super) fn put(&mut self, space: Space, key: Vec<u8>, row: Vec<u8>) {
        self.bytes += key.len() + row.len();
        self.rows(space).insert(key, Some(row));
    }

    pub(super) fn remove(&mut self, space: Space, key: Vec<u8>) {
        self.bytes += key.len();
        self.rows(space).insert(key, None);
    }

    /// Removes a log row. One that this batch put was never in the engine, since counts do not repeat: it is as if
    /// it had not been written.
    pub(super) fn remove_log_row(&mut self, key: Vec<u8>) {
        if self.log.remove(&key).is_none_or(|row| row.is_none()) {
            self.remove(Space::Log, key);
        }
    }

    /// Returns the head that was kept for `at`, if there is one.
    pub(super) fn head(&self, at: &DatasetRef) -> Option<&StoredHead> {
        self.heads.get(at).and_then(|head| head.known.stored.as_ref())
    }

    /// Returns true if the head of `at`, or its absence, was kept.
    pub(super) fn keeps_head(&self, at: &DatasetRef) -> bool {
        self.heads.contains_key(at)
    }

    /// Keeps a head that was read for a check.
    pub(super) fn keep_head(&mut self, at: DatasetRef, known: KnownHead) {
        self.heads.insert(at, BatchHead { known, changed: false });
    }

    /// Changes a head that was kept before.
    pub(super) fn set_head(&mut self, at: &DatasetRef, stored: Option<StoredHead>) {
        if let Some(head) = self.heads.get_mut(at) {
            head.known.stored = stored;
            head.changed = true;
        }
    }

    /// The approximate size of the batch.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Turns the changed heads into rows, and returns them for publication once they are on disk.
    pub(super) fn take_heads(&mut self) -> Vec<(DatasetRef, KnownHead)> {
        let heads = std::mem::take(&mut self.heads);
        let changed: Vec<(DatasetRef, KnownHead)> =
            heads.into_iter().filter(|(_, head)| head.changed).map(|(at, head)| (at, head.known)).collect();
        for (at, known) in &changed {
            let key = keys::head(at);
            match &known.stored {
                Some(stored) => self.put(Space::Small, key, stored.to_row()),
                None => self.remove(Space::Small, key),
            }
        }
        changed
    }

    /// Turns the changed lanes into rows.
    pub(super) fn settle_lanes(&mut self) {
        for (key, row) in self.lanes.take_rows() {
            match row {
                Some(row) => self.put(Space::Small, key, row),
                None => self.remove(Space::Small, key),
            }
        }
    }

    /// All rows, in the order in which the engine keeps them.
    pub(super) fn take_rows(&mut self) -> Vec<(Space, Vec<u8>, Option<Vec<u8>>)> {
        let mut rows = Vec::with_capacity(self.small.len() + self.key.len() + self.log.len());
        for space in [Space::Small, Space::Key, Space::Log] {
            let first = rows.len();
            rows.extend(self.rows(space).drain().map(|(key, row)| (space, key, row)));
            rows[first..].sort_unstable_by(|(_, a, _), (_, b, _)| a.cmp(b));
        }
        rows
    }
}
