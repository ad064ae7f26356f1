//! A gate before one shared resource: a total for the server, a share per caller, and a bounded wait for
//! either.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use tokio::time::Instant;

use super::account::{Account, Resource};
use crate::failure::{Failure, Holder};
use crate::metrics::ServerLimit;

/// A gate before one resource.
pub struct Gate {
    resource: Resource,
    limit: ServerLimit,
    units: u32,
    total: Semaphore,
}

/// The time that a request may still spend waiting for shares and totals, however many of them are used up.
#[derive(Clone, Copy, Debug)]
pub struct Patience(Duration);

/// A refused admission: a limit stayed used up for the longest wait of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The share of one holder.
    Share(ServerLimit, Holder),
    /// The server's total.
    Total(ServerLimit),
}

impl From<Full> for Failure {
    fn from(full: Full) -> Self {
        match full {
            Full::Share(limit, holder) => Self::OverShare(limit, holder),
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

/// A unit of an account's share that takes nothing from the total, returned on drop.
pub struct ShareUnit {
    gate: Arc<Gate>,
    account: Arc<Account>,
}

impl Patience {
    /// Waits for `longest` in all.
    pub fn new(longest: Duration) -> Self {
        Self(longest)
    }

    /// Refuses at once.
    pub fn none() -> Self {
        Self(Duration::ZERO)
    }

    /// Takes `amount` permits, and waits for them if need be.
    async fn take<'s>(&mut self, left: &'s Semaphore, amount: u32) -> Option<SemaphorePermit<'s>> {
        match left.try_acquire_many(amount) {
            Ok(permit) => return Some(permit),
            Err(TryAcquireError::Closed) => return None,
            Err(TryAcquireError::NoPermits) if self.0.is_zero() => return None,
            Err(TryAcquireError::NoPermits) => {}
        }
        let begun = Instant::now();
        let taken = tokio::time::timeout(self.0, left.acquire_many(amount)).await;
        self.0 = self.0.saturating_sub(begun.elapsed());
        taken.ok()?.ok()
    }
}

impl Gate {
    /// Creates a gate that admits `total` units of `resource` at a time. A refusal counts as a hit of
    /// `limit`.
    pub fn new(resource: Resource, limit: ServerLimit, total: u32) -> Arc<Self> {
        Arc::new(Self { resource, limit, units: total, total: Semaphore::new(total as usize) })
    }

    /// Takes `amount` units from the share of `account` and from the total.
    pub async fn enter(
        self: &Arc<Self>,
        account: &Arc<Account>,
        amount: u32,
        patience: &mut Patience,
    ) -> Result<Permit, Full> {
        self.take(account, amount, patience).await?;
        Ok(Permit { gate: Arc::clone(self), account: Arc::clone(account), amount })
    }

    /// Takes one unit from the share of `account` alone.
    pub async fn share(
        self: &Arc<Self>,
        account: &Arc<Account>,
        patience: &mut Patience,
    ) -> Result<ShareUnit, Full> {
        self.take_share(account, 1, patience).await?.forget();
        Ok(ShareUnit { gate: Arc::clone(self), account: Arc::clone(account) })
    }

    async fn take(&self, account: &Account, amount: u32, patience: &mut Patience) -> Result<(), Full> {
        let share = self.take_share(account, amount, patience).await?;
        let total = patience.take(&self.total, amount).await.ok_or(Full::Total(self.limit))?;
        share.forget();
        total.forget();
        Ok(())
    }

    async fn take_share<'a>(
        &self,
        account: &'a Account,
        amount: u32,
        patience: &mut Patience,
    ) -> Result<SemaphorePermit<'a>, Full> {
        let share = patience.take(account.left(self.resource), amount).await;
        share.ok_or(Full::Share(self.limit, account.holder()))
    }

    fn give_back(&self, account: &Account, amount: u32) {
        self.total.add_permits(amount as usize);
        account.left(self.resource).add_permits(amount as usize);
    }

    /// The units that are taken from the total.
    pub fn taken(&self) -> usize {
        (self.units as usize).saturating_sub(self.total.available_permits())
    }

    /// The units that are free.
    #[cfg(test)]
    pub fn left(&self) -> usize {
        self.total.available_permits()
    }
}

impl Permit {
    /// Takes more units, or returns some, until `amount` are held.
    pub async fn resize(&mut self, amount: u32, patience: &mut Patience) -> Result<(), Full> {
        if let Some(more) = amount.checked_sub(self.amount) {
            if more > 0 {
                self.gate.take(&self.account, more, patience).await?;
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

impl Drop for ShareUnit {
    fn drop(&mut self) {
        self.account.left(self.gate.resource).add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::future::poll_immediate;

    use super::super::account::{Accounts, Party, Shares};
    use super::*;
    use crate::source::Source;

    fn patient() -> Patience {
        Patience::new(Duration::from_millis(20))
    }

    fn account(accounts: &Accounts, last: u8) -> Arc<Account> {
        accounts.of(Party::Source(Source::of(IpAddr::from([127, 0, 0, last]))))
    }

    fn gate(total: u32) -> (Arc<Gate>, Accounts) {
        let gate = Gate::new(Resource::Requests, ServerLimit::ConcurrentRequests, total);
        (gate, Accounts::new(Shares { identity: [2; 6], source: [2; 6], key: [2; 6] }))
    }

    #[tokio::test]
    async fn one_caller_gets_its_share_and_leaves_the_rest_to_others() {
        let (gate, accounts) = gate(3);
        let (greedy, other) = (account(&accounts, 1), account(&accounts, 2));
        let _held = gate.enter(&greedy, 2, &mut patient()).await.unwrap();
        let refused = gate.enter(&greedy, 1, &mut patient()).await.err();
        assert_eq!(refused, Some(Full::Share(ServerLimit::ConcurrentRequests, Holder::Source)));
        let permit = gate.enter(&other, 1, &mut patient()).await.unwrap();
        assert_eq!(
            gate.enter(&other, 1, &mut patient()).await.err(),
            Some(Full::Total(ServerLimit::ConcurrentRequests))
        );
        drop(permit);
        assert!(gate.enter(&other, 1, &mut patient()).await.is_ok());
    }

    #[tokio::test]
    async fn a_refusal_by_the_total_leaves_the_share_untouched() {
        let (gate, accounts) = gate(1);
        let (first, second) = (account(&accounts, 1), account(&accounts, 2));
        let held = gate.enter(&first, 1, &mut patient()).await.unwrap();
        assert!(gate.enter(&second, 1, &mut patient()).await.is_err());
        assert_eq!(second.left(Resource::Requests).available_permits(), 2);
        drop(held);
        assert_eq!((gate.left(), first.left(Resource::Requests).available_permits()), (1, 2));
    }

    #[tokio::test]
    async fn a_caller_who_waits_is_admitted_once_its_share_is_free() {
        let (gate, accounts) = gate(3);
        let account = account(&accounts, 1);
        let held = gate.enter(&account, 2, &mut patient()).await.unwrap();
        let mut patience = patient();
        let mut waiting = Box::pin(gate.enter(&account, 2, &mut patience));
        assert!(poll_immediate(&mut waiting).await.is_none());
        drop(held);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn a_permit_grows_and_shrinks() {
        let (gate, accounts) = gate(3);
        let account = account(&accounts, 1);
        let mut permit = gate.enter(&account, 1, &mut patient()).await.unwrap();
        permit.resize(2, &mut patient()).await.unwrap();
        assert_eq!((permit.amount(), gate.left()), (2, 1));
        assert!(permit.resize(3, &mut patient()).await.is_err());
        assert_eq!((permit.amount(), gate.left()), (2, 1));
        permit.resize(0, &mut patient()).await.unwrap();
        assert_eq!(gate.left(), 3);
    }

    #[tokio::test]
    async fn a_request_that_has_waited_its_time_does_not_wait_again_for_something_else() {
        let (gate, accounts) = gate(3);
        let (greedy, other) = (account(&accounts, 1), account(&accounts, 2));
        let _held =
            [gate.enter(&greedy, 2, &mut patient()).await, gate.enter(&other, 1, &mut patient()).await];
        let mut patience = patient();
        let of_share = gate.enter(&greedy, 1, &mut patience).await.err();
        assert_eq!(of_share, Some(Full::Share(ServerLimit::ConcurrentRequests, Holder::Source)));
        let of_total = poll_immediate(gate.enter(&other, 1, &mut patience)).await.map(Result::err);
        assert_eq!(of_total, Some(Some(Full::Total(ServerLimit::ConcurrentRequests))));
    }
}
