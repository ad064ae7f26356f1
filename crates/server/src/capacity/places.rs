//! A bounded number of places for each of many things, so that one that is slow takes no more than its share: calls of a
//! function, registrations of a pool's devices.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Things whose places are kept in mind; one that was not used for so many others begins anew.
const THINGS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// The places.
pub struct Places {
    places_max: usize,
    things: Mutex<LruCache<String, Arc<Semaphore>>>,
}

impl Places {
    /// `places_max` for each thing.
    pub fn new(places_max: usize) -> Self {
        Self { places_max, things: Mutex::new(LruCache::new(THINGS_MAX)) }
    }

    /// A place for `thing`, until it is dropped; `None` if all are taken.
    pub fn take(&self, thing: &str) -> Option<OwnedSemaphorePermit> {
        let places = {
            let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(things.get_or_insert_ref(thing, || Arc::new(Semaphore::new(self.places_max))))
        };
        places.try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_one_thing_are_bounded_and_leave_others_theirs() {
        let places = Places::new(1);
        let first = places.take("slow");
        assert!(first.is_some());
        assert!(places.take("slow").is_none());
        assert!(places.take("quick").is_some());
        drop(first);
        assert!(places.take("slow").is_some());
    }
}
