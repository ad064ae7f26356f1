//! A record's key as shown in texts that people read.

use std::fmt;

/// The largest part of a key that a text shows, in bytes.
const SHOWN_BYTES_MAX: usize = 64;

/// The beginning of a record's key, for answers to its owner: at most 64 bytes, cut between characters, with
/// an ellipsis if it was cut. Keys are user data, so `Debug`, the form of logs, shows none of the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShownKey<'k>(pub &'k str);

impl fmt::Display for ShownKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.floor_char_boundary(SHOWN_BYTES_MAX)];
        let ellipsis = if shown.len() < self.0.len() { "…" } else { "" };
        write!(f, "{shown}{ellipsis}")
    }
}

impl fmt::Debug for ShownKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[key of {} bytes]", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_whole_up_to_64_bytes_and_cut_between_characters_beyond() {
        for whole in ["", "colour", &"k".repeat(64), &"é".repeat(32)] {
            assert_eq!(ShownKey(whole).to_string(), whole);
        }
        assert_eq!(ShownKey(&"k".repeat(65)).to_string(), format!("{}…", "k".repeat(64)));
        assert_eq!(ShownKey(&format!("k{}", "é".repeat(500))).to_string(), format!("k{}…", "é".repeat(31)));
    }

    #[test]
    fn a_log_shows_no_key() {
        assert_eq!(format!("{:?}", ShownKey("secret")), "[key of 6 bytes]");
    }
}
