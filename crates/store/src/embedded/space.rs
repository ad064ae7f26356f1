//! The spaces into which rows are sorted.

/// The parts into which rows are sorted, each with its own files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    /// Everything but records.
    Small,
    /// Stubs of records by key.
    Key,
    /// Records by count.
    Log,
}

/// A key in one of the spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) space: Space,
    pub(super) key: Vec<u8>,
}

impl Space {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Small => 0,
            Self::Key => 1,
            Self::Log => 2,
        }
    }

    pub(super) fn of_code(code: u8) -> Option<Self> {
        [Self::Small, Self::Key, Self::Log].into_iter().find(|space| space.code() == code)
    }
}
