//! Sync sessions and page positions as values, and as the bytes that are sealed into their tokens.
//!
//! Sealing is done elsewhere. The bytes begin with the version of their layout. The layouts do not name their
//! purpose: each kind of token is sealed with a key for that purpose, so one kind never opens as another.

use crate::ids::{
    DatasetName, Generation, IdentityId, PoolId, PoolIncarnation, RecordKey, SessionId, SyncCount,
};
use crate::model::DatasetRef;
use crate::store::RecordCursor;
use crate::time::UnixMillis;

/// The first version of every layout below, and the only one of lists of names.
const LAYOUT_VERSION: u8 = 1;
/// The version of the layouts of sessions and of pages of records that has [`Session::seen`].
const SEEN_LAYOUT_VERSION: u8 = 2;

/// The facts that a sync session token proves (`docs/protocol.md` section 7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The pool's incarnation when the session began.
    pub pool: PoolIncarnation,
    /// The owner of the listed dataset.
    pub identity: IdentityId,
    /// The listed dataset's name.
    pub dataset: DatasetName,
    /// The dataset's generation when it was listed.
    pub generation: Generation,
    /// The dataset's count when it was listed: the listing showed no later change.
    pub seen: SyncCount,
    /// The session's random id.
    pub id: SessionId,
    /// The time from which the token is refused.
    pub expires: UnixMillis,
}

impl Session {
    /// True if the session began by listing the dataset at `at`, in any generation.
    pub fn is_for(&self, at: &DatasetRef) -> bool {
        self.pool == at.owner.pool.incarnation
            && self.identity == at.owner.identity
            && self.dataset == at.name
    }

    /// The bytes to seal.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.identity.as_str().len() + self.dataset.as_str().len());
        out.push(SEEN_LAYOUT_VERSION);
        self.write(&mut out);
        out
    }

    /// Parses the bytes of [`Self::to_bytes`]; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, mut reader) = Reader::up_to(SEEN_LAYOUT_VERSION, bytes)?;
        let session = Self::read(version, &mut reader)?;
        reader.end()?;
        Some(session)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.pool.0.to_be_bytes());
        out.extend(self.generation.0.to_be_bytes());
        out.extend(self.seen.0.to_be_bytes());
        out.extend(self.id.0.to_be_bytes());
        out.extend(self.expires.0.to_be_bytes());
        write_text(out, self.identity.as_str());
        write_text(out, self.dataset.as_str());
    }

    fn read(version: u8, reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            pool: PoolIncarnation(reader.u64()?),
            generation: Generation(reader.u64()?),
            seen: if version < SEEN_LAYOUT_VERSION { SyncCount::ZERO } else { SyncCount(reader.u64()?) },
            id: SessionId(reader.u64()?),
            expires: UnixMillis(reader.u64()?.cast_signed()),
            identity: IdentityId::parse(reader.text()?).ok()?,
            dataset: DatasetName::parse(reader.text()?).ok()?,
        })
    }
}

/// The position of the next page of a listing of records, and the facts that every page of the listing
/// repeats (`docs/protocol.md` section 7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsPage {
    /// The session that the first page began.
    pub session: Session,
    /// The LastSyncCount of the listing's request.
    pub last_sync_count: SyncCount,
    /// The dataset's count on the first page.
    pub dataset_sync_count: SyncCount,
    /// True if the first page reported that the dataset was deleted after the requested count.
    pub deleted_after: bool,
    /// The count of the last returned record.
    pub after_count: SyncCount,
    /// The key of the last returned record.
    pub after_key: RecordKey,
}

impl RecordsPage {
    /// The position at which the next page begins.
    pub fn cursor(&self) -> RecordCursor {
        RecordCursor::Record(self.after_count, self.after_key.clone())
    }

    /// The bytes to seal.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(168 + self.after_key.as_str().len());
        out.push(SEEN_LAYOUT_VERSION);
        self.session.write(&mut out);
        out.extend(self.last_sync_count.0.to_be_bytes());
        out.extend(self.dataset_sync_count.0.to_be_bytes());
        out.push(u8::from(self.deleted_after));
        out.extend(self.after_count.0.to_be_bytes());
        write_text(&mut out, self.after_key.as_str());
        out
    }

    /// Parses the bytes of [`Self::to_bytes`]; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, mut reader) = Reader::up_to(SEEN_LAYOUT_VERSION, bytes)?;
        let page = Self {
            session: Session::read(version, &mut reader)?,
            last_sync_count: SyncCount(reader.u64()?),
            dataset_sync_count: SyncCount(reader.u64()?),
            deleted_after: reader.u8()? == 1,
            after_count: SyncCount(reader.u64()?),
            after_key: RecordKey::from_stored(reader.text()?),
        };
        reader.end()?;
        Some(page)
    }
}

/// The position of the next page of a listing by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesPage {
    /// The list, named by the pool's incarnation and the identity if it depends on them.
    pub list: String,
    /// The last returned name.
    pub after: String,
}

impl NamesPage {
    /// The name of the list of an identity's datasets.
    pub fn datasets_of(pool: PoolIncarnation, identity: &IdentityId) -> String {
        format!("datasets/{pool}/{identity}")
    }

    /// The name of the list of a pool's identities.
    pub fn identities_of(pool: &PoolId, incarnation: PoolIncarnation) -> String {
        format!("identities/{pool}/{incarnation}")
    }

    /// The name of the list of all pools.
    pub fn pools() -> String {
        "pools".to_owned()
    }

    /// The bytes to seal.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![LAYOUT_VERSION];
        write_text(&mut out, &self.list);
        write_text(&mut out, &self.after);
        out
    }

    /// Parses the bytes of [`Self::to_bytes`]; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (_, mut reader) = Reader::up_to(LAYOUT_VERSION, bytes)?;
        let page = Self { list: reader.text()?.to_owned(), after: reader.text()?.to_owned() };
        reader.end()?;
        Some(page)
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // The limits on ids and keys bound every text here far below four gigabytes.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

/// Takes values off the front of a byte slice; every method returns `None` when the bytes run out.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Begins to read bytes whose newest layout is `newest`, and returns the version of their layout.
    fn up_to(newest: u8, bytes: &'a [u8]) -> Option<(u8, Self)> {
        let (version, rest) = bytes.split_first()?;
        (LAYOUT_VERSION..=newest).contains(version).then_some((*version, Self(rest)))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()
    }

    fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session() -> Session {
        Session {
            pool: PoolIncarnation(7),
            identity: IdentityId::parse("us-east-1:0a").unwrap(),
            dataset: DatasetName::parse("prefs").unwrap(),
            generation: Generation(2),
            seen: SyncCount(8),
            id: SessionId(99),
            expires: UnixMillis(1_700_000_000_000),
        }
    }

    #[test]
    fn a_session_survives_its_bytes() {
        assert_eq!(Session::from_bytes(&session().to_bytes()), Some(session()));
    }

    #[test]
    fn a_page_survives_its_bytes() {
        let page = RecordsPage {
            session: session(),
            last_sync_count: SyncCount(3),
            dataset_sync_count: SyncCount(9),
            deleted_after: true,
            after_count: SyncCount(5),
            after_key: RecordKey::from_stored("k\u{0}é"),
        };
        assert_eq!(RecordsPage::from_bytes(&page.to_bytes()), Some(page.clone()));
        assert_eq!(Session::from_bytes(&page.to_bytes()), None, "trailing bytes are refused");
        let names = NamesPage { list: NamesPage::pools(), after: "us-east-1:0".into() };
        assert_eq!(NamesPage::from_bytes(&names.to_bytes()), Some(names));
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = session().to_bytes();
        bytes[0] = 3;
        assert_eq!(Session::from_bytes(&bytes), None);
    }

    #[test]
    fn a_session_of_the_first_layout_has_seen_nothing() {
        let mut bytes = session().to_bytes();
        bytes[0] = 1;
        bytes.drain(17..25);
        assert_eq!(Session::from_bytes(&bytes), Some(Session { seen: SyncCount::ZERO, ..session() }));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Session::from_bytes(&bytes);
            let _ = RecordsPage::from_bytes(&bytes);
            let _ = NamesPage::from_bytes(&bytes);
        }

        #[test]
        fn truncated_bytes_are_refused(cut in 0_usize..60) {
            let bytes = session().to_bytes();
            prop_assert_eq!(Session::from_bytes(&bytes[..cut.min(bytes.len() - 1)]), None);
        }
    }
}
