//! A gate before one shared resource: a total for the server, a share per caller, and a bounded wait for
//! either.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};

use super::account::{Account, Resource};
use crate::failure::Failure;
use crate::metrics::ServerLimit;

/// A gate before one resource.
pub struct Gate {
    resource: Resource,
    limit: ServerLimit,
    total: Semaphore,
    wait_max: Duration,
}

/// The reaction to a share or a total that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Waits for the gate's longest time.
    Bounded,
    /// Refuses at once.
    Never,
}

/// A refused admission: a limit stayed used up for the longest wait of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The caller's own share.
    Share(ServerLimit),
    /// The server's total.
    Total(ServerLimit),
}

impl From<Full> for Failure {
    fn from(full: Full) -> Self {
        match full {
            Full::Share(limit) => Self::OverShare(limit),
            Full::Total(limit) => Self::Overloaded(limit),
        }
    }
}

/// An amount of the resource, returned on drop.
pub struct Permit {
    gate: Arc<Gate>,
    account: Arc<Account>,
    amount: u32,
}

impl Gate {
    /// Creates a gate that admits `total` units of `resource` at a time. A refusal counts as a hit of
    /// `limit`.
    pub fn new(resource: Resource, limit: ServerLimit, total: u32, wait_max: Duration) -> Arc<Self> {
        Arc::new(Self { resource, limit, total: Semaphore::new(total as usize), wait_max })
    }

    /// Takes `amount` units from the share of `account` and from the total. Waits for each up to `wait_max`.
    pub async fn enter(self: &Arc<Self>, account: &Arc<Account>, amount: u32) -> Result<Permit, Full> {
        self.enter_with(account, amount, Wait::Bounded).await
    }

    /// Takes `amount` units as [`Gate::enter`] does, with `wait`.
    pub async fn enter_with(
        self: &Arc<Self>,
        account: &Arc<Account>,
        amount: u32,
        wait: Wait,
    ) -> Result<Permit, Full> {
        self.take(account, amount, wait).await?;
        Ok(Permit { gate: Arc::clone(self), account: Arc::clone(account), amount })
    }

    async fn take(&self, account: &Account, amount: u32, wait: Wait) -> Result<(), Full> {
        let share = self.within(account.left(self.resource), amount, wait).await;
        let share = share.ok_or(Full::Share(self.limit))?;
        let total = self.within(&self.total, amount, wait).await.ok_or(Full::Total(self.limit))?;
        share.forget();
        total.forget();
        Ok(())
    }

    async fn within<'s>(&self, left: &'s Semaphore, amount: u32, wait: Wait) -> Option<SemaphorePermit<'s>> {
        match left.try_acquire_many(amount) {
            Ok(permit) => Some(permit),
            Err(TryAcquireError::Closed) => None,
            Err(TryAcquireError::NoPermits) if wait == Wait::Never => None,
            Err(TryAcquireError::NoPermits) => {
                tokio::time::timeout(self.wait_max, left.acquire_many(amount)).await.ok()?.ok()
            }
        }
    }

    fn give_back(&self, account: &Account, amount: u32) {
        self.total.add_permits(amount as usize);
        account.left(self.resource).add_permits(amount as usize);
    }

    /// The units that are free.
    #[cfg(test)]
    pub fn left(&self) -> usize {
        self.total.available_permits()
    }
}

impl Permit {
    /// Takes more units, or returns some, until `amount` are held.
    pub async fn resize(&mut self, amount: u32, wait: Wait) -> Result<(), Full> {
        if let Some(more) = amount.checked_sub(self.amount) {
            if more > 0 {
                self.gate.take(&self.account, more, wait).await?;
            }
        } else {
            self.gate.give_back(&self.account, self.amount - amount);
        }
        self.amount = amount;
        Ok(())
    }

    /// The held units.
    pub fn amount(&self) -> u32 {
        self.amount
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.give_back(&self.account, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::future::poll_immediate;

    use super::super::account::{Accounts, Party, Shares};
    use super::*;
    use crate::source::Source;

    const WAIT_MAX: Duration = Duration::from_millis(20);

    fn account(accounts: &Accounts, last: u8) -> Arc<Account> {
        accounts.of(Party::Source(Source::of(IpAddr::from([127, 0, 0, last]))))
    }

    fn gate(total: u32) -> (Arc<Gate>, Accounts) {
        let gate = Gate::new(Resource::Requests, ServerLimit::ConcurrentRequests, total, WAIT_MAX);
        (gate, Accounts::new(Shares { of_caller: [2; 6], of_key: [2; 6] }))
    }

    #[tokio::test]
    async fn one_caller_gets_its_share_and_leaves_the_rest_to_others() {
        let (gate, accounts) = gate(3);
        let (greedy, other) = (account(&accounts, 1), account(&accounts, 2));
        let _held = gate.enter(&greedy, 2).await.unwrap();
        let refused = gate.enter(&greedy, 1).await.err();
        assert_eq!(refused, Some(Full::Share(ServerLimit::ConcurrentRequests)));
        let permit = gate.enter(&other, 1).await.unwrap();
        assert_eq!(gate.enter(&other, 1).await.err(), Some(Full::Total(ServerLimit::ConcurrentRequests)));
        drop(permit);
        assert!(gate.enter(&other, 1).await.is_ok());
    }

    #[tokio::test]
    async fn a_refusal_by_the_total_leaves_the_share_untouched() {
        let (gate, accounts) = gate(1);
        let (first, second) = (account(&accounts, 1), account(&accounts, 2));
        let held = gate.enter(&first, 1).await.unwrap();
        assert!(gate.enter(&second, 1).await.is_err());
        assert_eq!(second.left(Resource::Requests).available_permits(), 2);
        drop(held);
        assert_eq!((gate.left(), first.left(Resource::Requests).available_permits()), (1, 2));
    }

    #[tokio::test]
    async fn a_caller_who_waits_is_admitted_once_its_share_is_free() {
        let (gate, accounts) = gate(3);
        let account = account(&accounts, 1);
        let held = gate.enter(&account, 2).await.unwrap();
        let mut waiting = Box::pin(gate.enter(&account, 2));
        assert!(poll_immediate(&mut waiting).await.is_none());
        drop(held);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn a_permit_grows_and_shrinks() {
        let (gate, accounts) = gate(3);
        let account = account(&accounts, 1);
        let mut permit = gate.enter(&account, 1).await.unwrap();
        permit.resize(2, Wait::Bounded).await.unwrap();
        assert_eq!((permit.amount(), gate.left()), (2, 1));
        assert!(permit.resize(3, Wait::Bounded).await.is_err());
        assert_eq!((permit.amount(), gate.left()), (2, 1));
        permit.resize(0, Wait::Bounded).await.unwrap();
        assert_eq!(gate.left(), 3);
    }
}
