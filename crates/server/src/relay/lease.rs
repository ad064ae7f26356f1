//! The lease of a lane: the beginning, the commits and the end of work on the lane, for deliveries and
//! publications.

use std::time::Duration;

use carryall_core::changes::Changes;
use carryall_core::outbox::{Lane, LaneRef, LaneState};
use carryall_core::rules::outbox;
use carryall_core::store::{Committed, StoreError};

use crate::app::App;

/// The end of the work on a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Worked {
    /// Some events can be delivered at once.
    More,
    /// There is nothing to do for now.
    Left,
    /// The next attempt is due after this pause.
    Later(Duration),
    /// It is a publication, whose next page can be entered once this lane has been worked on.
    WaitsFor(LaneRef),
    /// Something that the work needs is damaged. This says nothing about other lanes, so they do not wait for it.
    Damaged {
        /// The damage.
        what: String,
    },
    /// The store failed.
    StoreFailed,
}

/// The reason why the work on a lane ends early.
pub(super) enum Halted {
    /// The lane has changed: another node or an operator has it.
    Taken,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Halted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Takes `lane` under a lease.
pub(super) async fn claim(app: &App, lane: Lane) -> Result<Lane, Halted> {
    let until = app.clock.now().plus_seconds(app.config.outbox.lease_seconds.get());
    let (claim, due) = outbox::claim(&lane, app.clock.lease_id(), until);
    match app.state.commit_for_relay(claim).await? {
        Committed::Done => Ok(Lane { state: LaneState { due, ..lane.state }, ..lane }),
        Committed::Refused => Err(Halted::Taken),
    }
}

/// Commits changes under a lease. An unknown outcome is queried once more by repeating the commit:
/// expectation and removals make a repetition harmless, and giving up would deliver delivered events again.
pub(super) async fn commit(app: &App, settled: Changes) -> Result<(), Halted> {
    let outcome = match app.state.commit_for_relay(settled.clone()).await {
        Err(StoreError::Unavailable { .. }) => app.state.commit_for_relay(settled).await?,
        outcome @ (Ok(_) | Err(StoreError::Corrupt { .. })) => outcome?,
    };
    match outcome {
        Committed::Done => Ok(()),
        Committed::Refused => Err(Halted::Taken),
    }
}
