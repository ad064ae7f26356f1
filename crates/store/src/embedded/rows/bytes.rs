//! The bytes of which rows are made. Each row begins with the version of its layout; numbers are big-endian; the last
//! text or byte string of a row runs to its end.
//!
//! Reading never panics and never guesses: bytes that no version of this program wrote are [`StoreError::Corrupt`].

use carryall_core::store::StoreError;
use carryall_core::time::UnixMillis;

/// The first version of every layout, and of most the only one.
pub(crate) const VERSION: u8 = 1;

/// Takes values off the front of a row.
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins to read a row that has had one layout so far.
    pub(crate) fn open(what: &'static str, row: &'a [u8]) -> Result<Self, StoreError> {
        Self::open_up_to(VERSION, what, row).map(|(reader, _)| reader)
    }

    /// Begins to read a row whose newest layout is `newest`; says which one it has.
    pub(crate) fn open_up_to(
        newest: u8,
        what: &'static str,
        row: &'a [u8],
    ) -> Result<(Self, u8), StoreError> {
        let mut reader = Self { what, rest: row };
        let version = reader.u8()?;
        if (VERSION..=newest).contains(&version) {
            Ok((reader, version))
        } else {
            Err(reader.damaged(&format!("has version {version}")))
        }
    }

    pub(crate) fn damaged(&self, how: &str) -> StoreError {
        StoreError::Corrupt { what: format!("a row ({}) {how}", self.what) }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.damaged("is too short"))?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, StoreError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, StoreError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.damaged(&format!("has {other} for yes or no"))),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, StoreError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StoreError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn time(&mut self) -> Result<UnixMillis, StoreError> {
        self.array().map(i64::from_be_bytes).map(UnixMillis)
    }

    /// The bytes that have not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The rest of the row as text.
    pub(crate) fn text(self) -> Result<&'a str, StoreError> {
        std::str::from_utf8(self.rest).map_err(|_| self.damaged("is not UTF-8"))
    }

    /// A byte string that says its length first.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.damaged("is too short"))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A text that says its length first.
    pub(crate) fn short_text(&mut self) -> Result<&'a str, StoreError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("is not UTF-8"))
    }

    pub(crate) fn end(self) -> Result<(), StoreError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("is too long")) }
    }
}

pub(crate) fn put_bytes(row: &mut Vec<u8>, bytes: &[u8]) {
    // Everything here is bounded far below four gigabytes by the limits on requests.
    row.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    row.extend(bytes);
}
