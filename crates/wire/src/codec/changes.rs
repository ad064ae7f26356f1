//! The path of the live channel: `GET /identitypools/{P}/identities/{I}/datasets/{D}/changes`. It is no
//! operation of the published API and has no row in the table (`docs/protocol.md` section 13.5).

use std::borrow::Cow;

use super::percent;
use super::rejection::Rejection;
use crate::names::Names;

/// The query member with the count that the client knows.
const LAST_SYNC_COUNT: &str = "lastSyncCount";

/// The dataset of a live channel, as named by the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes<'r> {
    /// The pool's id.
    pub identity_pool_id: Cow<'r, str>,
    /// The identity's id.
    pub identity_id: Cow<'r, str>,
    /// The dataset's name.
    pub dataset_name: Cow<'r, str>,
}

impl Names for Changes<'_> {
    fn pool(&self) -> Option<&str> {
        Some(&self.identity_pool_id)
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity_id)
    }

    fn dataset(&self) -> Option<&str> {
        Some(&self.dataset_name)
    }
}

/// Parses a raw path; `None` if it is not a live channel's. Labels are decoded after the path was split.
pub fn changes(path: &str) -> Option<Result<Changes<'_>, Rejection>> {
    let segments: Vec<&str> = path.strip_prefix('/')?.splitn(8, '/').collect();
    let ["identitypools", pool, "identities", identity, "datasets", dataset, "changes"] = segments[..] else {
        return None;
    };
    let label = |segment| match percent::decode(segment) {
        None => Err(Rejection::PathEncoding),
        Some(text) if matches!(&*text, "" | "." | "..") => Err(Rejection::PathSegment),
        Some(text) => Ok(text),
    };
    Some(label(pool).and_then(|identity_pool_id| {
        Ok(Changes { identity_pool_id, identity_id: label(identity)?, dataset_name: label(dataset)? })
    }))
}

/// The count that the client knows, if the query has one.
pub fn last_sync_count(query: &str) -> Result<Option<u64>, Rejection> {
    let mut values =
        percent::pairs(query).filter(|(name, _)| *name == LAST_SYNC_COUNT).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Rejection::QueryDuplicate { name: LAST_SYNC_COUNT });
    }
    let number = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten();
    number.map(Some).ok_or_else(|| Rejection::QueryNumber {
        name: LAST_SYNC_COUNT,
        value: value.chars().filter(char::is_ascii_graphic).take(32).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_channel_is_told_from_those_of_operations() {
        let found = changes("/identitypools/a%3A0/identities/a:1/datasets/prefs/changes").expect("a channel");
        let found = found.expect("readable");
        assert_eq!(
            (&*found.identity_pool_id, &*found.identity_id, &*found.dataset_name),
            ("a:0", "a:1", "prefs")
        );
        for other in [
            "/identitypools/a%3A0/identities/a:1/datasets/prefs/records",
            "/identitypools/a%3A0/identities/a:1/datasets/prefs/changes/",
            "/identitypools/a%3A0/identities/a:1/datasets/prefs",
            "/",
        ] {
            assert_eq!(changes(other), None, "{other}");
        }
    }

    #[test]
    fn a_broken_path_of_a_channel_is_refused() {
        let of = |name| changes(name).expect("a channel");
        let refused = of("/identitypools/%zz/identities/a:1/datasets/prefs/changes");
        assert_eq!(refused, Err(Rejection::PathEncoding));
        let refused = of("/identitypools/a:0/identities/%2E%2e/datasets/prefs/changes");
        assert_eq!(refused, Err(Rejection::PathSegment));
    }

    #[test]
    fn the_count_that_the_client_knows_is_plain_digits() {
        assert_eq!(last_sync_count("X-Amz-Date=1&lastSyncCount=12"), Ok(Some(12)));
        assert_eq!(last_sync_count("a=b"), Ok(None));
        for bad in
            ["lastSyncCount=-1", "lastSyncCount=", "lastSyncCount=1e3", "lastSyncCount=1&lastSyncCount=1"]
        {
            assert!(last_sync_count(bad).is_err(), "{bad}");
        }
    }
}
