//! A bounded number of permits for each of many things, so that a slow one takes no more than its share: calls of a
//! function, registrations of a pool's devices, memory for a pool's events.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lock::Lock;

/// The number of things whose permits are remembered. The least recently used thing is forgotten first.
const THINGS_MAX: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The permits.
pub struct Permits {
    permits_max: usize,
    things: Lock<LruCache<String, Arc<Semaphore>>>,
}

impl Permits {
    /// Creates permits: `permits_max` for each thing.
    pub fn new(permits_max: usize) -> Self {
        Self { permits_max, things: Lock::new(LruCache::new(THINGS_MAX)) }
    }

    /// A permit for `thing`, returned on drop; `None` if all are taken.
    pub fn take(&self, thing: &str) -> Option<OwnedSemaphorePermit> {
        self.of(thing).try_acquire_owned().ok()
    }

    /// All permits of `thing`.
    pub fn of(&self, thing: &str) -> Arc<Semaphore> {
        let mut things = self.things.lock();
        Arc::clone(things.get_or_insert_ref(thing, || Arc::new(Semaphore::new(self.permits_max))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permits_of_one_thing_are_bounded_and_leave_others_theirs() {
        let permits = Permits::new(1);
        let first = permits.take("slow");
        assert!(first.is_some());
        assert!(permits.take("slow").is_none());
        assert!(permits.take("quick").is_some());
        drop(first);
        assert!(permits.take("slow").is_some());
    }
}
