//! One call of an operation: the caller, the time, the source, and look-ups that operations share.

use std::sync::Arc;

use carryall_core::caller::Caller;
use carryall_core::cursor::NamesPage;
use carryall_core::ids::{DatasetName, IdentityId, PoolId};
use carryall_core::model::{DatasetRef, IdentityRef, Pool};
use carryall_core::refusal::{Refusal, TokenTrouble};
use carryall_core::rules::effects::Effects;
use carryall_core::time::UnixMillis;
use carryall_core::violation::{Constraint, Violation};
use carryall_wire::names::Names;
use tokio::sync::Mutex;

use crate::app::App;
use crate::capacity::Holding;
use crate::effects::effects;
use crate::failure::Failure;
use crate::source::Source;

/// The facts about a request that operations know besides its input. They include nothing of HTTP and no
/// secret.
pub struct Call<'a> {
    /// The program.
    pub app: &'a App,
    /// The caller; `None` for an operation that requires no signature.
    pub caller: Option<Caller>,
    /// The time of the request; the only time that operations know.
    pub now: UnixMillis,
    /// The source of the request.
    pub source: Source,
    /// The permits and memory that the request holds until its answer is written. Operations increase them
    /// through methods.
    holding: Mutex<Holding>,
}

impl<'a> Call<'a> {
    /// The call of an admitted request.
    pub fn new(
        app: &'a App,
        caller: Option<Caller>,
        now: UnixMillis,
        source: Source,
        holding: Holding,
    ) -> Self {
        Self { app, caller, now, source, holding: Mutex::new(holding) }
    }

    /// Charges the request for an answer of `bytes`.
    pub async fn pay_answer(&self, bytes: usize) -> Result<(), Failure> {
        Ok(self.holding.lock().await.pay_answer(&self.app.capacity, bytes).await?)
    }

    /// Waits until the request may load and encode a large answer of about `expected_bytes`.
    pub async fn build(&self, expected_bytes: usize) -> Result<(), Failure> {
        Ok(self.holding.lock().await.build(&self.app.capacity, expected_bytes).await?)
    }

    /// Records that the answer is encoded.
    pub async fn built(&self) {
        self.holding.lock().await.built();
    }

    /// The permits and memory that the request holds until its answer is written.
    pub fn into_holding(self) -> Holding {
        self.holding.into_inner()
    }
}

impl Call<'_> {
    /// The pool that the request names. It exists, and the caller's credentials belong to its present
    /// incarnation.
    pub async fn pool(&self, input: &impl Names) -> Result<Arc<Pool>, Failure> {
        let id = PoolId::parse(required("identityPoolId", input.pool())?)?;
        let pool = self.app.state.pool(&id).await?;
        let Some(pool) = pool else { return Err(Refusal::PoolNotFound(id).into()) };
        match &self.caller {
            None | Some(Caller::Developer { .. }) => Ok(pool),
            Some(Caller::Identity { at, .. }) if at.pool == pool.at => Ok(pool),
            // The pool was deleted and created again since the credentials were issued.
            Some(Caller::Identity { .. }) => Err(Refusal::NotAuthorized.into()),
        }
    }

    /// The identity that the request names, in its pool. It need not have been issued.
    pub async fn owner(&self, input: &impl Names) -> Result<IdentityRef, Failure> {
        let identity = IdentityId::parse(required("identityId", input.identity())?)?;
        let pool = self.pool(input).await?;
        Ok(IdentityRef { pool: pool.at.clone(), identity })
    }

    /// The dataset that the request names. It need not exist.
    pub async fn dataset(&self, input: &impl Names) -> Result<DatasetRef, Failure> {
        let name = DatasetName::parse(required("datasetName", input.dataset())?)?;
        let owner = self.owner(input).await?;
        Ok(DatasetRef { owner, name })
    }

    /// The effects of a change of data of `owner`. Refused if the pool is gone.
    pub async fn effects(&self, owner: &IdentityRef) -> Result<Effects, Failure> {
        effects(self.app, owner).await
    }

    /// The start of a page of a listing by name, from the token of the page before it.
    pub fn names_page(&self, list: &str, token: Option<&str>) -> Result<Option<String>, Failure> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
        let opened = self.app.trust.open_page(token);
        match opened.as_deref().and_then(NamesPage::from_bytes) {
            Some(page) if page.list == list => Ok(Some(page.after)),
            Some(_) => Err(Refusal::PageToken(TokenTrouble::Foreign).into()),
            None => Err(Refusal::PageToken(TokenTrouble::Forged).into()),
        }
    }

    /// Cuts `rows`, read with one more than fits, to the page size, and seals the token of the next page if
    /// there is one.
    pub fn cut_names<T>(
        &self,
        list: String,
        rows: &mut Vec<T>,
        max: usize,
        name: impl Fn(&T) -> String,
    ) -> Option<String> {
        if rows.len() <= max {
            return None;
        }
        rows.truncate(max);
        let after = name(rows.last()?);
        let page = NamesPage { list, after };
        Some(self.app.trust.seal_page(page.to_bytes()))
    }
}

/// Returns a required member.
pub fn required<'t, T: ?Sized>(member: &str, value: Option<&'t T>) -> Result<&'t T, Violation> {
    value.ok_or_else(|| Violation::missing(member))
}

/// Checks a page size of Sync: absent, or at least one. More than `max` means `max`.
pub fn page_size(max_results: Option<i64>, max: u32) -> Result<Option<u32>, Violation> {
    match max_results {
        None => Ok(None),
        Some(asked) if asked < 1 => Err(Violation::new("maxResults", asked, Constraint::ValueMin(1))),
        Some(asked) => Ok(Some(u32::try_from(asked).map_or(max, |asked| asked.min(max)))),
    }
}

/// Checks a page size of Identity: required, from one to `max`.
pub fn required_page_size(max_results: Option<i64>, max: u32) -> Result<usize, Violation> {
    let asked = *required("maxResults", max_results.as_ref())?;
    if asked > i64::from(max) {
        return Err(Violation::new("maxResults", asked, Constraint::ValueMax(max.into())));
    }
    Ok(page_size(Some(asked), max)?.unwrap_or(max) as usize)
}
