//! Lines that are logged once for each thing they are about, so that a lasting condition does not flood the log.

use std::collections::HashSet;
use std::hash::Hash;

use crate::lock::Lock;

/// The number of things that are remembered; further ones are not logged until the next start.
const THINGS_MAX: usize = 1024;

/// The things that were logged since the start.
#[derive(Debug)]
pub struct LoggedOnce<K>(Lock<HashSet<K>>);

impl<K> Default for LoggedOnce<K> {
    fn default() -> Self {
        Self(Lock::default())
    }
}

impl<K: Eq + Hash> LoggedOnce<K> {
    /// True if `thing` has to be logged now, because it was not before.
    pub fn is_first(&self, thing: K) -> bool {
        let mut logged = self.0.lock();
        logged.len() < THINGS_MAX && logged.insert(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_logged_once_and_their_number_is_bounded() {
        let logged = LoggedOnce::default();
        assert_eq!([1, 1, 2].map(|thing| logged.is_first(thing)), [true, false, true]);
        let more = (0..2 * THINGS_MAX).filter(|thing| logged.is_first(*thing)).count();
        assert_eq!(more, THINGS_MAX - 2);
    }
}
