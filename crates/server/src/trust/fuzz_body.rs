//! The body of a fuzz target: bytes in place of a sealed token or of sealed contents, and as damage to
//! genuine tokens. Nothing may panic, and nothing changed may open. The function is plain, so that a test
//! runs it for a bounded number of rounds and a fuzzer without end.

use std::sync::OnceLock;

use carryall_core::cursor::{NamesPage, RecordsPage, Session};
use carryall_core::ids::{
    DatasetName, Generation, IdentityId, PoolIncarnation, RecordKey, SessionId, SyncCount,
};
use carryall_core::time::UnixMillis;

use super::seal::{MasterKey, Purpose, Sealer};
use crate::clock::Clock;

/// A sealer, and genuine values with their tokens.
struct Issued {
    sealer: Sealer,
    values: [(Purpose, Vec<u8>, String); 3],
}

fn issued() -> &'static Issued {
    static ISSUED: OnceLock<Issued> = OnceLock::new();
    ISSUED.get_or_init(|| {
        let clock = Clock::system();
        let sealer = Sealer::new(&MasterKey::generate(&clock), clock);
        let session = Session {
            pool: PoolIncarnation(7),
            identity: IdentityId::parse("us-east-1:1").expect("an id"),
            dataset: DatasetName::parse("prefs").expect("a name"),
            generation: Generation(2),
            seen: SyncCount(9),
            id: SessionId(11),
            expires: UnixMillis(1_700_000_000_000),
        };
        let page = RecordsPage {
            session: session.clone(),
            last_sync_count: SyncCount(3),
            dataset_sync_count: SyncCount(9),
            deleted_after: true,
            after_count: SyncCount(5),
            after_key: RecordKey::from_stored("colour"),
        };
        let names = NamesPage { list: NamesPage::pools(), after: "us-east-1:2".to_owned() };
        let values = [
            (Purpose::SyncSession, session.to_bytes()),
            (Purpose::Page, page.to_bytes()),
            (Purpose::Page, names.to_bytes()),
        ]
        .map(|(purpose, plain)| {
            let token = sealer.seal_text(purpose, plain.clone());
            (purpose, plain, token)
        });
        Issued { sealer, values }
    })
}

/// Runs the bytes against tokens of every kind.
pub(crate) fn open_token_with(bytes: &[u8]) {
    let issued = issued();
    let text = String::from_utf8_lossy(bytes);
    for purpose in [Purpose::SyncSession, Purpose::Page, Purpose::Credentials] {
        assert_eq!(issued.sealer.open_text(purpose, &text), None, "opened what nobody sealed");
        assert_eq!(issued.sealer.open(purpose, bytes), None, "opened what nobody sealed");
    }
    read_layouts(bytes);
    for (purpose, plain, token) in &issued.values {
        let mut changed = plain.clone();
        damage(&mut changed, bytes);
        read_layouts(&changed);
        let mut changed = token.clone().into_bytes();
        damage(&mut changed, bytes);
        if changed != token.as_bytes() {
            let changed = String::from_utf8_lossy(&changed);
            assert_eq!(issued.sealer.open_text(*purpose, &changed), None, "opened what was changed");
        }
    }
}

/// Damages `value`. Every three bytes are a position (beyond the end, the value is cut there) and a
/// replacement.
fn damage(value: &mut Vec<u8>, bytes: &[u8]) {
    for change in bytes.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]]));
        match value.len() {
            0 => return,
            length if place < 2 * length => value[place % length] = change[2],
            length => value.truncate(place % length),
        }
    }
}

/// Every value that can be read must read the same after it is written again.
fn read_layouts(bytes: &[u8]) {
    if let Some(session) = Session::from_bytes(bytes) {
        assert_eq!(Session::from_bytes(&session.to_bytes()), Some(session));
    }
    if let Some(page) = RecordsPage::from_bytes(bytes) {
        assert_eq!(RecordsPage::from_bytes(&page.to_bytes()), Some(page));
    }
    if let Some(page) = NamesPage::from_bytes(bytes) {
        assert_eq!(NamesPage::from_bytes(&page.to_bytes()), Some(page));
    }
}

#[cfg(test)]
proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 4096, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_panic_and_nothing_changed_opens(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        open_token_with(&bytes);
    }

    #[test]
    fn a_genuine_token_opens_until_a_byte_of_it_is_changed(place: u8, byte: u8) {
        open_token_with(&[0, place, byte]);
        for (purpose, plain, token) in &issued().values {
            proptest::prop_assert_eq!(issued().sealer.open_text(*purpose, token), Some(plain.clone()));
        }
    }
}
