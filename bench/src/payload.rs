//! Pseudo-random values and choices. The generator has the same sequence in every run, so that runs measure
//! the same work. It is not for secrets.

/// The size of a value, as in the studies that the aims come from.
pub(crate) const VALUE_BYTES: usize = 200;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A xorshift generator.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// A generator whose sequence depends on `seed` alone.
    pub(crate) fn new(seed: u64) -> Self {
        // Any odd multiplier spreads small seeds; zero would stay zero.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    /// A value of [`VALUE_BYTES`] characters without repetitions that a compressor could use.
    pub(crate) fn value(&mut self) -> String {
        let mut value = String::with_capacity(VALUE_BYTES + 8);
        while value.len() < VALUE_BYTES {
            for byte in self.next().to_le_bytes() {
                value.push(char::from(ALPHABET[usize::from(byte % 64)]));
            }
        }
        value.truncate(VALUE_BYTES);
        value
    }

    /// `count` different numbers below `end`, or all of them if there are fewer.
    pub(crate) fn distinct(&mut self, count: usize, end: usize) -> Vec<usize> {
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count.min(end) {
            let candidate = self.below(end);
            if !chosen.contains(&candidate) {
                chosen.push(candidate);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_length_and_differ() {
        let mut chance = Chance::new(0);
        let (one, other) = (chance.value(), chance.value());
        assert_eq!((one.len(), other.len()), (VALUE_BYTES, VALUE_BYTES));
        assert_ne!(one, other);
        assert_ne!(one, Chance::new(1).value());
    }

    #[test]
    fn distinct_numbers_do_not_repeat_and_stop_at_the_range() {
        let mut chosen = Chance::new(3).distinct(10, 100);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 10);
        assert_eq!(Chance::new(3).distinct(10, 4).len(), 4);
    }
}
