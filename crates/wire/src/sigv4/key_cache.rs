//! A bounded cache of derived signing keys, so that a request costs one HMAC instead of five. A key that is
//! not cached is derived. A changed secret never matches the entry of an earlier one.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use lru::LruCache;
use secrecy::{ExposeSecret, SecretString};

use super::in_scope::InScope;
use super::scope::Scope;
use super::signing_key::SigningKey;

/// The number of signing keys in a default cache, at about a kilobyte each.
pub const KEY_CACHE_ENTRIES_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// A hash of access key id, secret, day, region and service, of a secret function. Entries are found without
/// allocation, and the parts are compared afterwards.
type Fingerprint = u64;

struct Entry {
    access_key_id: Box<str>,
    secret: SecretString,
    day: Box<str>,
    region: Box<str>,
    service: Box<str>,
    key: Arc<SigningKey>,
}

impl Entry {
    fn is_of(&self, access_key_id: &str, scope: &Scope<'_>, secret: &SecretString) -> bool {
        let (own, other) = (self.secret.expose_secret().as_bytes(), secret.expose_secret().as_bytes());
        *self.access_key_id == *access_key_id
            && *self.day == *scope.day
            && *self.region == *scope.region
            && *self.service == *scope.service
            && verify_slices_are_equal(own, other).is_ok()
    }
}

/// Signing keys by access key id, secret and scope; the least recently used key is evicted first.
pub struct KeyCache {
    hashing: RandomState,
    entries: Mutex<LruCache<Fingerprint, Entry>>,
}

impl KeyCache {
    /// Creates an empty cache of at most this many keys.
    pub fn new(entries_count_max: NonZeroUsize) -> Self {
        Self { hashing: RandomState::new(), entries: Mutex::new(LruCache::new(entries_count_max)) }
    }

    /// The signing key of this authentication under this secret, from the cache or derived.
    ///
    /// The argument is an [`InScope`], so that callers cannot evict useful keys by sending scopes that would
    /// be refused anyway.
    pub fn signing_key(&self, in_scope: &InScope<'_>, secret_access_key: &SecretString) -> Arc<SigningKey> {
        self.key_of(in_scope.presented().access_key_id(), in_scope.presented().scope(), secret_access_key)
    }

    /// Removes every key of an access key id, after that key was revoked.
    pub fn forget(&self, access_key_id: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Fingerprint> = entries
            .iter()
            .filter(|(_, entry)| &*entry.access_key_id == access_key_id)
            .map(|(fingerprint, _)| *fingerprint)
            .collect();
        for fingerprint in gone {
            entries.pop(&fingerprint);
        }
    }

    fn key_of(&self, access_key_id: &str, scope: &Scope<'_>, secret: &SecretString) -> Arc<SigningKey> {
        let parts = (access_key_id, secret.expose_secret(), &scope.day, &scope.region, &scope.service);
        let fingerprint = self.hashing.hash_one(parts);
        if let Some(entry) = self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(&fingerprint)
            && entry.is_of(access_key_id, scope, secret)
        {
            return Arc::clone(&entry.key);
        }
        // Derived outside the lock: two requests may both derive the key, and both get the same one.
        let key = Arc::new(SigningKey::derive(secret, scope));
        let entry = Entry {
            access_key_id: access_key_id.into(),
            secret: secret.clone(),
            day: (*scope.day).into(),
            region: (*scope.region).into(),
            service: (*scope.service).into(),
            key: Arc::clone(&key),
        };
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).put(fingerprint, entry);
        key
    }
}

impl Default for KeyCache {
    fn default() -> Self {
        Self::new(KEY_CACHE_ENTRIES_COUNT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(day: &'static str) -> Scope<'static> {
        Scope { day: day.into(), region: "us-east-1".into(), service: "cognito-sync".into() }
    }

    fn count(cache: &KeyCache) -> usize {
        cache.entries.lock().unwrap().len()
    }

    #[test]
    fn a_key_is_derived_once_and_is_the_derived_one() {
        let cache = KeyCache::default();
        let secret = SecretString::from("one");
        let first = cache.key_of("AKID", &scope("20260131"), &secret);
        let second = cache.key_of("AKID", &scope("20260131"), &secret);
        assert!(Arc::ptr_eq(&first, &second));
        let derived = SigningKey::derive(&secret, &scope("20260131"));
        assert!(derived.signature("text") == first.signature("text"));
    }

    #[test]
    fn another_secret_day_or_id_is_another_key() {
        let cache = KeyCache::default();
        let first = cache.key_of("AKID", &scope("20260131"), &SecretString::from("one"));
        for other in [
            cache.key_of("AKID", &scope("20260131"), &SecretString::from("two")),
            cache.key_of("AKID", &scope("20260201"), &SecretString::from("one")),
            cache.key_of("AKIDo", &scope("20260131"), &SecretString::from("ne")),
        ] {
            assert!(first.signature("text") != other.signature("text"));
        }
        assert_eq!(count(&cache), 4);
    }

    #[test]
    fn an_entry_found_under_the_same_hash_is_used_only_if_every_part_is_equal() {
        let secret = SecretString::from("one");
        let of = Scope { day: "20260131".into(), region: "r".into(), service: "s".into() };
        let entry = Entry {
            access_key_id: "AKID".into(),
            secret: secret.clone(),
            day: "20260131".into(),
            region: "r".into(),
            service: "s".into(),
            key: Arc::new(SigningKey::derive(&secret, &of)),
        };
        assert!(entry.is_of("AKID", &of, &secret));
        assert!(!entry.is_of("AKIE", &of, &secret));
        assert!(!entry.is_of("AKID", &of, &SecretString::from("two")));
        for (day, region, service) in
            [("20260201", "r", "s"), ("20260131", "q", "s"), ("20260131", "r", "sts")]
        {
            let other = Scope { day: day.into(), region: region.into(), service: service.into() };
            assert!(!entry.is_of("AKID", &other, &secret), "{day} {region} {service}");
        }
    }

    #[test]
    fn the_cache_stays_within_its_bound() {
        let cache = KeyCache::new(NonZeroUsize::new(2).unwrap());
        for id in ["a", "b", "c"] {
            cache.key_of(id, &scope("20260131"), &SecretString::from("one"));
        }
        assert_eq!(count(&cache), 2);
    }

    #[test]
    fn forgetting_an_id_drops_its_keys_and_no_others() {
        let cache = KeyCache::default();
        let secret = SecretString::from("one");
        let gone = cache.key_of("gone", &scope("20260131"), &secret);
        cache.key_of("gone", &scope("20260201"), &secret);
        let kept = cache.key_of("kept", &scope("20260131"), &secret);
        cache.forget("gone");
        assert_eq!(count(&cache), 1);
        assert!(Arc::ptr_eq(&kept, &cache.key_of("kept", &scope("20260131"), &secret)));
        assert!(!Arc::ptr_eq(&gone, &cache.key_of("gone", &scope("20260131"), &secret)));
    }
}
