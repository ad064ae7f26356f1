//! The accounts of callers: the amount of each shared resource that one caller may hold at a time.
//!
//! An account exists only while its caller holds or waits for something, so their number is bounded by the
//! requests in flight. Callers are distinguished by a keyed hash. Two callers that collide share one account,
//! which costs them some concurrency and nothing else.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Weak};

use carryall_core::caller::Caller;
use tokio::sync::Semaphore;

use crate::failure::Holder;
use crate::lock::Lock;
use crate::source::Source;

/// The resources that callers share, in the order of [`Shares`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Requests in progress, until the last byte of the answer is written.
    Requests,
    /// Kilobytes of the first part of request bodies.
    SmallBodies,
    /// Kilobytes of the rest of large request bodies.
    LargeBodies,
    /// Kilobytes of the first part of answers.
    SmallAnswers,
    /// Kilobytes of the rest of large answers.
    LargeAnswers,
    /// Large answers being loaded and encoded.
    Building,
}

/// The number of resources.
const RESOURCES: usize = 6;
/// The number of tables over which the accounts are spread, so that look-ups rarely wait for each other.
const TABLES: usize = 16;

/// The most that one party may hold of each resource.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// The shares of an identity, in the order of [`Resource`].
    pub identity: [u32; RESOURCES],
    /// The shares of a source, with all of its identities.
    pub source: [u32; RESOURCES],
    /// The shares of a developer key, which stands for all users of a back end.
    pub key: [u32; RESOURCES],
}

/// A party with a share.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Party<'a> {
    /// A caller whose signature was verified.
    Caller(&'a Caller),
    /// A source address. The name in a request without a verified signature counts for nothing: one address can
    /// name any number of callers.
    Source(Source),
}

/// The resources that one party can still take.
pub struct Account {
    holder: Holder,
    left: [Semaphore; RESOURCES],
    key: u64,
    table: Arc<Table>,
}

type Table = Lock<HashMap<u64, Weak<Account>>>;

/// The accounts of all callers with requests in flight.
pub struct Accounts {
    shares: Shares,
    hasher: RandomState,
    tables: [Arc<Table>; TABLES],
}

impl Accounts {
    /// Creates the accounts. No caller holds anything; each may take up to `shares`.
    pub fn new(shares: Shares) -> Self {
        Self { shares, hasher: RandomState::new(), tables: std::array::from_fn(|_| Arc::default()) }
    }

    /// The account of `party`.
    pub fn of(&self, party: Party<'_>) -> Arc<Account> {
        let key = self.hasher.hash_one(party);
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits choose the table")]
        let table = &self.tables[key as usize % TABLES];
        let mut accounts = table.lock();
        if let Some(account) = accounts.get(&key).and_then(Weak::upgrade) {
            return account;
        }
        let (holder, shares) = match party {
            Party::Caller(Caller::Developer { .. }) => (Holder::Key, self.shares.key),
            Party::Caller(Caller::Identity { .. }) => (Holder::Identity, self.shares.identity),
            Party::Source(_) => (Holder::Source, self.shares.source),
        };
        let left = shares.map(|share| Semaphore::new(share as usize));
        let account = Arc::new(Account { holder, left, key, table: Arc::clone(table) });
        accounts.insert(key, Arc::downgrade(&account));
        account
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.tables.iter().map(|table| table.lock().len()).sum()
    }
}

impl Account {
    /// The kind of party.
    pub(super) fn holder(&self) -> Holder {
        self.holder
    }

    /// The permits of `resource` that the party can still take.
    pub(super) fn left(&self, resource: Resource) -> &Semaphore {
        &self.left[resource as usize]
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut accounts = self.table.lock();
        // A new account may have replaced this one between its last use and now.
        if accounts.get(&self.key).is_some_and(|account| account.strong_count() == 0) {
            accounts.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::AccessKeyId;

    use super::*;

    const SHARES: Shares = Shares { identity: [1; RESOURCES], source: [2; RESOURCES], key: [5; RESOURCES] };

    fn developer() -> Caller {
        Caller::Developer { key: AccessKeyId::parse("AKIA0000000000000000").unwrap() }
    }

    fn left(account: &Account, resource: Resource) -> usize {
        account.left(resource).available_permits()
    }

    #[test]
    fn a_caller_has_one_account_while_it_is_used_and_none_afterwards() {
        let accounts = Accounts::new(SHARES);
        let caller = developer();
        let first = accounts.of(Party::Caller(&caller));
        let second = accounts.of(Party::Caller(&caller));
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        assert_eq!(accounts.len(), 0);
    }

    #[test]
    fn a_developer_key_has_a_larger_share_of_requests_and_of_answers() {
        let accounts = Accounts::new(SHARES);
        let caller = developer();
        let account = accounts.of(Party::Caller(&caller));
        assert_eq!(left(&account, Resource::Requests), 5);
        assert_eq!(left(&account, Resource::LargeAnswers), 5);
        assert_eq!(left(&account, Resource::Building), 5);
    }
}
