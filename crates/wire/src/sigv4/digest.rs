//! SHA-256 of request bodies, in the lower-case hexadecimal form that signatures use. This is no general hash
//! API.

use std::fmt;

use aws_lc_rs::digest;

/// The two hexadecimal digits of every byte.
const DIGITS: [[u8; 2]; 256] = {
    const OF_HALF: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [OF_HALF[byte >> 4], OF_HALF[byte & 0x0f]];
        byte += 1;
    }
    digits
};

/// A SHA-256 or HMAC-SHA-256 value as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hex64([u8; 64]);

impl Hex64 {
    /// Formats at most the first 32 bytes, the length of a SHA-256 value.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut text = [b'0'; 64];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *pair = DIGITS[usize::from(*byte)];
        }
        Self(text)
    }

    pub(crate) fn of_sha256(bytes: &[u8]) -> Self {
        Self::of(digest::digest(&digest::SHA256, bytes).as_ref())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The SHA-256 of no bytes at all, which most reads have as a body.
const OF_NOTHING: Hex64 = Hex64(*b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

/// The SHA-256 of a request's body, over the bytes as received (`docs/protocol.md` section 4.5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BodyHash(Hex64);

impl BodyHash {
    /// The hash of a whole body; the empty slice for a request without one.
    pub fn of(body: &[u8]) -> Self {
        if body.is_empty() { Self(OF_NOTHING) } else { Self(Hex64::of_sha256(body)) }
    }

    /// The hash as 64 lower-case hexadecimal digits, as in `x-amz-content-sha256`.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("BodyHash").field(&self.as_str()).finish()
    }
}

/// Hashes a body piece by piece while it is read.
pub struct BodyHasher(digest::Context);

impl BodyHasher {
    /// Creates a hasher of an empty body.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds the next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    pub fn finish(self) -> BodyHash {
        BodyHash(Hex64::of(self.0.finish().as_ref()))
    }
}

impl Default for BodyHasher {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_the_empty_body_is_the_computed_one() {
        assert_eq!(BodyHash::of(b"").as_str(), Hex64::of_sha256(b"").as_str());
    }

    #[test]
    fn hashing_in_pieces_gives_the_hash_of_the_whole() {
        let mut hasher = BodyHasher::default();
        hasher.update(b"{\"Record");
        hasher.update(b"");
        hasher.update(b"Patches\":[]}");
        assert_eq!(hasher.finish(), BodyHash::of(b"{\"RecordPatches\":[]}"));
    }
}
