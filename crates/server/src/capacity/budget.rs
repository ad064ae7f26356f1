//! A memory budget in two parts. The first 64 KiB of each item are charged to a reserve, and the rest of it
//! to the remainder, so that large items can never use up the memory of small ones.

use std::sync::Arc;

use super::account::{Account, Resource};
use super::gate::{Full, Gate, Patience, Permit};
use crate::config::{SMALL_BYTES_MAX, reserve_bytes};
use crate::metrics::ServerLimit;

/// The bytes that every connection may use without charge. Most requests and answers fit, and need no
/// account.
pub const FREE_BYTES: usize = 4 * 1024;
/// The bytes of one permit.
const PERMIT_BYTES: usize = 1024;

/// A memory budget.
pub struct Budget {
    small: Arc<Gate>,
    large: Arc<Gate>,
}

/// The sizes of a budget, in permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    small: u32,
    large: u32,
    /// The largest item.
    item: u32,
}

/// The memory charged for one item, returned on drop.
#[derive(Default)]
pub struct Charge {
    small: Option<Permit>,
    large: Option<Permit>,
}

impl Sizes {
    /// Divides `total_bytes`, of which `apart_bytes` serve another purpose; one item takes at most
    /// `item_bytes_max`.
    pub fn of(total_bytes: usize, apart_bytes: usize, item_bytes_max: usize) -> Self {
        let small = permits(reserve_bytes(total_bytes));
        let large = permits(total_bytes).saturating_sub(small).saturating_sub(permits(apart_bytes));
        Self { small, large, item: permits(item_bytes_max) }
    }

    /// The share of one party, one part in `one_in`, of the reserve and of the remainder. One item of the largest size
    /// always fits.
    pub fn shares(&self, one_in: u32) -> [u32; 2] {
        [(self.small / one_in).max(permits(SMALL_BYTES_MAX)), (self.large / one_in).max(self.item)]
    }
}

impl Budget {
    /// Creates a budget of these sizes. A refusal counts as a hit of `limit`.
    pub fn new(sizes: Sizes, kinds: [Resource; 2], limit: ServerLimit) -> Self {
        let [small, large] = kinds;
        Self { small: Gate::new(small, limit, sizes.small), large: Gate::new(large, limit, sizes.large) }
    }

    /// The charged bytes of all items.
    pub fn charged_bytes(&self) -> usize {
        (self.small.taken() + self.large.taken()) * PERMIT_BYTES
    }

    /// Adjusts `charge` to an item of `bytes` in all: takes the missing permits, or returns the surplus.
    pub async fn pay(
        &self,
        account: &Arc<Account>,
        charge: &mut Charge,
        bytes: usize,
        patience: &mut Patience,
    ) -> Result<(), Full> {
        let small = if bytes > FREE_BYTES { permits(bytes.min(SMALL_BYTES_MAX)) } else { 0 };
        resize(&self.small, account, &mut charge.small, small, patience).await?;
        let large = permits(bytes.saturating_sub(SMALL_BYTES_MAX));
        resize(&self.large, account, &mut charge.large, large, patience).await
    }
}

impl Charge {
    /// The charged bytes, rounded up to whole permits.
    pub fn bytes(&self) -> usize {
        [&self.small, &self.large].into_iter().flatten().map(|permit| permit.amount() as usize).sum::<usize>()
            * PERMIT_BYTES
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

async fn resize(
    gate: &Arc<Gate>,
    account: &Arc<Account>,
    permit: &mut Option<Permit>,
    amount: u32,
    patience: &mut Patience,
) -> Result<(), Full> {
    match permit {
        Some(permit) => permit.resize(amount, patience).await?,
        None if amount == 0 => {}
        None => *permit = Some(gate.enter(account, amount, patience).await?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::super::account::{Accounts, Party, Shares};
    use super::*;
    use crate::source::Source;

    const MIB: usize = 1024 * 1024;

    fn budget(sizes: Sizes) -> (Budget, Accounts) {
        let kinds = [Resource::SmallBodies, Resource::LargeBodies];
        let budget = Budget::new(sizes, kinds, ServerLimit::BodiesInFlightBytes);
        let mut of = [1; 6];
        [of[Resource::SmallBodies as usize], of[Resource::LargeBodies as usize]] = sizes.shares(4);
        (budget, Accounts::new(Shares { identity: of, source: of, key: of }))
    }

    fn patient() -> Patience {
        Patience::new(Duration::from_millis(1))
    }

    fn account(accounts: &Accounts, last: u8) -> Arc<Account> {
        accounts.of(Party::Source(Source::of(IpAddr::from([127, 0, 0, last]))))
    }

    #[test]
    fn the_default_leaves_one_caller_a_quarter_and_at_least_one_item() {
        let sizes = Sizes::of(64 * MIB, 0, 8 * MIB);
        assert_eq!((sizes.small, sizes.large), (16 * 1024, 48 * 1024));
        assert_eq!(sizes.shares(4), [4 * 1024, 12 * 1024]);
        let least = Sizes::of(12 * MIB, MIB, 8 * MIB);
        assert_eq!((least.large, least.shares(4)[1]), (8 * 1024, 8 * 1024));
    }

    #[tokio::test]
    async fn large_items_of_all_callers_leave_the_reserve_to_small_ones() {
        let (budget, accounts) = budget(Sizes::of(4 * MIB, 0, MIB));
        let mut held = Vec::new();
        for last in 1..=3 {
            let mut charge = Charge::default();
            budget.pay(&account(&accounts, last), &mut charge, MIB, &mut patient()).await.unwrap();
            held.push(charge);
        }
        let mut large = Charge::default();
        assert!(budget.pay(&account(&accounts, 4), &mut large, MIB, &mut patient()).await.is_err());
        let mut small = Charge::default();
        assert!(
            budget.pay(&account(&accounts, 4), &mut small, SMALL_BYTES_MAX, &mut patient()).await.is_ok()
        );
        drop(held);
        assert!(budget.pay(&account(&accounts, 4), &mut large, MIB, &mut patient()).await.is_ok());
    }

    #[tokio::test]
    async fn what_a_connection_has_for_free_is_never_refused() {
        let (budget, accounts) = budget(Sizes::of(MIB, 0, 1));
        let account = account(&accounts, 1);
        let mut all = Vec::new();
        loop {
            let mut charge = Charge::default();
            if budget.pay(&account, &mut charge, SMALL_BYTES_MAX, &mut patient()).await.is_err() {
                break;
            }
            all.push(charge);
        }
        let mut charge = Charge::default();
        assert!(budget.pay(&account, &mut charge, FREE_BYTES, &mut patient()).await.is_ok());
        assert_eq!(charge.bytes(), 0);
    }

    #[tokio::test]
    async fn a_charge_follows_the_size_of_its_item() {
        let (budget, accounts) = budget(Sizes::of(4 * MIB, 0, MIB));
        let account = account(&accounts, 1);
        let mut charge = Charge::default();
        budget.pay(&account, &mut charge, MIB, &mut patient()).await.unwrap();
        assert_eq!(charge.bytes(), MIB);
        budget.pay(&account, &mut charge, 100 * 1024, &mut patient()).await.unwrap();
        assert_eq!(charge.bytes(), 100 * 1024);
        drop(charge);
        assert_eq!(budget.large.left(), 3 * 1024);
    }
}
