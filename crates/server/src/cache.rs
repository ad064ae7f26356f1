//! A bounded cache of stored values, for reads that nearly every request makes.
//!
//! Commits of this process drop the entries that they change. Commits of other nodes are not announced here, so an
//! entry is also read again once it has reached a certain age.

use std::borrow::Borrow;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use crate::lock::Lock;

/// Values by key. The least recently used entry is evicted first.
pub struct Cache<K, V> {
    entries: Lock<Entries<K, V>>,
    age_max: Duration,
}

struct Entries<K, V> {
    cached: LruCache<K, Entry<V>>,
    /// The number of [`Cache::forget`] calls. A value whose reading began before the latest one must not
    /// enter the cache, since the reading may have missed the change.
    forgotten: u64,
    /// Entries that were read before this time are read again.
    expired: Option<Instant>,
}

struct Entry<V> {
    value: V,
    read: Instant,
}

/// A value's reading that has begun.
#[derive(Clone, Copy)]
struct Reading {
    began: Instant,
    forgotten: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// Creates an empty cache of up to `entries_max` entries, each of which is used for up to `age_max`.
    pub fn new(entries_max: NonZeroUsize, age_max: Duration) -> Self {
        let entries = Entries { cached: LruCache::new(entries_max), forgotten: 0, expired: None };
        Self { entries: Lock::new(entries), age_max }
    }

    /// The value of `key`: the cached one, or the one that `read` finds. Absence is not cached, so that a
    /// value is found as soon as another node stores it.
    pub async fn get_or_read<Q, E, F>(&self, key: &Q, read: impl FnOnce() -> F) -> Result<Option<V>, E>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: Future<Output = Result<Option<V>, E>>,
    {
        match self.get(key) {
            Ok(value) => Ok(Some(value)),
            Err(reading) => {
                let value = read().await?;
                self.enter(key, value.as_ref(), reading);
                Ok(value)
            }
        }
    }

    /// As [`Self::get_or_read`], for a value that is derived from the key itself.
    pub fn get_or_make<Q>(&self, key: &Q, make: impl FnOnce() -> Option<V>) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match self.get(key) {
            Ok(value) => Some(value),
            Err(making) => {
                let value = make();
                self.enter(key, value.as_ref(), making);
                value
            }
        }
    }

    /// The cached value, or the beginning of its reading.
    fn get<Q>(&self, key: &Q) -> Result<V, Reading>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let began = Instant::now();
        let mut entries = self.entries.lock();
        let (forgotten, expired) = (entries.forgotten, entries.expired);
        match entries.cached.get(key) {
            Some(entry)
                if began.duration_since(entry.read) < self.age_max
                    && expired.is_none_or(|expired| entry.read > expired) =>
            {
                Ok(entry.value.clone())
            }
            Some(_) | None => Err(Reading { began, forgotten }),
        }
    }

    fn enter<Q>(&self, key: &Q, value: Option<&V>, reading: Reading)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut entries = self.entries.lock();
        match value {
            Some(value) if entries.forgotten == reading.forgotten => {
                entries.cached.put(key.to_owned(), Entry { value: value.clone(), read: reading.began });
            }
            Some(_) => {}
            None => drop(entries.cached.pop(key)),
        }
    }

    /// Drops the entries of these keys, and prevents every reading that has already begun from entering.
    pub fn forget<'k>(&self, keys: impl IntoIterator<Item = &'k K>)
    where
        K: 'k,
    {
        let mut entries = self.entries.lock();
        entries.forgotten += 1;
        for key in keys {
            entries.cached.pop(key);
        }
    }

    /// Makes every present entry be read again.
    pub fn expire(&self) {
        let mut entries = self.entries.lock();
        entries.forgotten += 1;
        entries.expired = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::ready;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    fn cache(entries: usize, age_max: Duration) -> Cache<String, u32> {
        Cache::new(NonZeroUsize::new(entries).unwrap(), age_max)
    }

    /// The value of `key` where the store holds `stored`.
    async fn read(cache: &Cache<String, u32>, key: &str, stored: Option<u32>) -> Option<u32> {
        let Ok(value) = cache.get_or_read(key, || ready(Ok::<_, Infallible>(stored))).await;
        value
    }

    #[tokio::test]
    async fn a_value_is_read_once_until_it_is_forgotten() {
        let cache = cache(9, LONG);
        assert_eq!(read(&cache, "a", None).await, None);
        assert_eq!(read(&cache, "a", Some(1)).await, Some(1), "absence is not cached");
        assert_eq!(read(&cache, "a", Some(2)).await, Some(1));
        cache.forget([&"b".to_owned()]);
        assert_eq!(read(&cache, "a", Some(2)).await, Some(1));
        cache.forget([&"a".to_owned()]);
        assert_eq!(read(&cache, "a", Some(2)).await, Some(2));
    }

    #[tokio::test]
    async fn a_reading_that_a_change_overtakes_does_not_enter() {
        let cache = cache(9, LONG);
        let late = cache.get_or_read("a", || {
            // The change is committed and announced while the old value is being read.
            cache.forget([&"a".to_owned()]);
            ready(Ok::<_, Infallible>(Some(1)))
        });
        assert_eq!(late.await, Ok(Some(1)));
        assert_eq!(read(&cache, "a", Some(2)).await, Some(2), "the old value entered late");
    }

    #[tokio::test]
    async fn an_entry_that_has_reached_its_age_is_read_again() {
        let cache = cache(9, Duration::ZERO);
        assert_eq!(read(&cache, "a", Some(1)).await, Some(1));
        assert_eq!(read(&cache, "a", Some(2)).await, Some(2));
        assert_eq!(read(&cache, "a", None).await, None);
    }

    #[tokio::test]
    async fn what_has_expired_is_read_again_and_a_reading_under_way_does_not_enter() {
        let cache = cache(9, LONG);
        assert_eq!(read(&cache, "a", Some(1)).await, Some(1));
        cache.expire();
        let late = cache.get_or_read("a", || {
            cache.expire();
            ready(Ok::<_, Infallible>(Some(2)))
        });
        assert_eq!(late.await, Ok(Some(2)));
        assert_eq!(read(&cache, "a", Some(3)).await, Some(3));
    }

    #[tokio::test]
    async fn the_entry_that_has_gone_unused_the_longest_makes_room() {
        let cache = cache(2, LONG);
        for key in ["a", "b", "a", "c"] {
            read(&cache, key, Some(1)).await;
        }
        assert_eq!(read(&cache, "a", Some(2)).await, Some(1));
        assert_eq!(read(&cache, "b", Some(2)).await, Some(2));
    }
}
