//! The operations of the relay and of operators on lanes: claim, settle, postpone, park, retry, drop
//! (`docs/protocol.md` section 13.2).

use crate::changes::{Changes, Expect, Write};
use crate::ids::LeaseId;
use crate::outbox::{Due, Lane, LaneState, Parked, Position};
use crate::time::UnixMillis;

/// The first pause after a failed delivery, in milliseconds; it doubles with each further failure.
const BACKOFF_MILLIS_MIN: i64 = 500;
/// The largest difference between the clocks of the nodes of one store, in seconds.
const CLOCKS_APART_SECONDS_MAX: u32 = 300;
/// The longest stored reason of a failure, in characters.
const TROUBLE_CHARS_MAX: usize = 512;

/// The outcome of deliveries from a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No delivery failed. If none was made either, earlier failures still count.
    Fine,
    /// The next event could not be delivered; retry after a pause.
    TryAgain {
        /// The cause.
        cause: String,
        /// A random number, to spread the pauses of many lanes.
        jitter: u16,
    },
    /// The next event is parked.
    Park {
        /// The reason for parking.
        why: Parked,
        /// The cause.
        cause: String,
    },
}

/// The retry policy of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Failed deliveries of one event before it is parked.
    pub attempts_max: u32,
    /// The longest pause between two deliveries, in seconds.
    pub backoff_seconds_max: u32,
}

/// The latest time to which a lane can have been postponed by `now`, by a pause or by a lease.
pub fn latest_due(now: UnixMillis, lease_seconds: u32, patience: Patience) -> UnixMillis {
    now.plus_seconds(lease_seconds.max(patience.backoff_seconds_max).saturating_add(CLOCKS_APART_SECONDS_MAX))
}

/// The commit that takes `lane` under a lease, and the lane's new due state.
pub fn claim(lane: &Lane, lease: LeaseId, until: UnixMillis) -> (Changes, Due) {
    let due = Due::Leased { until, lease };
    let state = LaneState { due, ..lane.state.clone() };
    (set(lane, lane.state.due, lane.first, state), due)
}

/// The commit that removes delivered events from `lane`, whose lease continues, and the lane afterwards.
/// Delivered events are not delivered again, whatever happens to the others.
pub fn advance(lane: &Lane, delivered: &[Position]) -> (Changes, Lane) {
    without(lane, delivered, LaneState { due: lane.state.due, attempts: 0, trouble: String::new() })
}

/// The commit that removes events without a receiver from a leased lane, and the lane afterwards. Its number
/// of failures is unchanged.
pub fn skip(lane: &Lane, dropped: &[Position]) -> (Changes, Lane) {
    without(lane, dropped, lane.state.clone())
}

fn without(lane: &Lane, gone: &[Position], state: LaneState) -> (Changes, Lane) {
    let first = gone.last().map_or(lane.first, |last| last.next());
    let mut changes = set(lane, lane.state.due, first, state.clone());
    changes.write.insert(0, Write::RemoveEvents(lane.at.clone(), gone.to_vec()));
    let events = lane.events.saturating_sub(gone.len() as u64);
    (changes, Lane { at: lane.at.clone(), events, first, state })
}

/// The commit that ends the lease under which `lane` was due as `due`: it removes the events at `delivered`,
/// and `outcome` determines the next due state, which is returned too.
pub fn settle(
    lane: &Lane,
    due: Due,
    delivered: &[Position],
    outcome: Outcome,
    now: UnixMillis,
    patience: Patience,
) -> (Changes, Due) {
    let first = delivered.last().map_or(lane.first, |last| last.next());
    let failed = if delivered.is_empty() { lane.state.attempts } else { 0 };
    let state = match outcome {
        Outcome::Fine if delivered.is_empty() => LaneState { due: Due::At(now), ..lane.state.clone() },
        Outcome::Fine => LaneState::due(now),
        Outcome::TryAgain { cause, jitter } => {
            let attempts = failed.saturating_add(1);
            let due = if attempts >= patience.attempts_max {
                Due::Parked { why: Parked::Undeliverable, since: now }
            } else {
                Due::At(UnixMillis(now.0 + pause_millis(attempts, jitter, patience)))
            };
            LaneState { due, attempts, trouble: shortened(&cause) }
        }
        Outcome::Park { why, cause } => LaneState {
            due: Due::Parked { why, since: now },
            attempts: failed.saturating_add(1),
            trouble: shortened(&cause),
        },
    };
    let next = state.due;
    let mut changes = set(lane, due, first, state);
    if !delivered.is_empty() {
        changes.write.insert(0, Write::RemoveEvents(lane.at.clone(), delivered.to_vec()));
    }
    (changes, next)
}

/// The commit that ends the lease of a process that no longer exists; `None` if the lane is not leased.
pub fn free(lane: &Lane, now: UnixMillis) -> Option<Changes> {
    match lane.state.due {
        Due::Leased { .. } => {
            let state = LaneState { due: Due::At(now), ..lane.state.clone() };
            Some(set(lane, lane.state.due, lane.first, state))
        }
        Due::At(_) | Due::Parked { .. } => None,
    }
}

/// The commit that makes a parked or waiting lane due at once, as if no delivery had failed.
pub fn try_again(lane: &Lane, now: UnixMillis) -> Changes {
    set(lane, lane.state.due, lane.first, LaneState::due(now))
}

/// The commit that drops the event at `position`, the first one of `lane`, and makes the lane due.
pub fn drop_first(lane: &Lane, position: Position, now: UnixMillis) -> Changes {
    let mut changes = set(lane, lane.state.due, position.next(), LaneState::due(now));
    changes.write.insert(0, Write::RemoveEvents(lane.at.clone(), vec![position]));
    changes
}

fn set(lane: &Lane, expected: Due, first: Position, state: LaneState) -> Changes {
    Changes {
        expect: vec![Expect::Lane(lane.at.clone(), expected)],
        write: vec![Write::SetLane { at: lane.at.clone(), seen_first: lane.first, first, state }],
    }
}

/// The pause before the next delivery, in milliseconds: it doubles, is capped, and its latter half is random.
fn pause_millis(attempts: u32, jitter: u16, patience: Patience) -> i64 {
    let doubled = BACKOFF_MILLIS_MIN << attempts.saturating_sub(1).min(32);
    let full = doubled.min(i64::from(patience.backoff_seconds_max) * 1000).max(1);
    full / 2 + full * i64::from(jitter) / (2 * i64::from(u16::MAX))
}

fn shortened(cause: &str) -> String {
    cause.chars().take(TROUBLE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SyncCount;
    use crate::outbox::{LaneRef, Sink};
    use crate::rules::samples;

    const PATIENCE: Patience = Patience { attempts_max: 3, backoff_seconds_max: 60 };
    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn lane(attempts: u32) -> Lane {
        Lane {
            at: LaneRef { dataset: samples::dataset(), sink: Sink::Stream },
            events: 2,
            first: Position::change(SyncCount(4)),
            state: LaneState { attempts, ..LaneState::due(UnixMillis(5)) },
        }
    }

    fn state(changes: &Changes) -> (Position, &LaneState) {
        match changes.write.last() {
            Some(Write::SetLane { first, state, .. }) => (*first, state),
            other => panic!("{other:?}"),
        }
    }

    fn failed(attempts: u32, delivered: &[Position]) -> Changes {
        let outcome = Outcome::TryAgain { cause: "no route".to_owned(), jitter: 0 };
        settle(&lane(attempts), Due::At(UnixMillis(5)), delivered, outcome, NOW, PATIENCE).0
    }

    #[test]
    fn a_claim_holds_against_a_commit_that_expects_the_lane_as_it_was() {
        let (changes, due) = claim(&lane(0), LeaseId(9), UnixMillis(77));
        assert_eq!(changes.expect, [Expect::Lane(lane(0).at, Due::At(UnixMillis(5)))]);
        assert_eq!(due, Due::Leased { until: UnixMillis(77), lease: LeaseId(9) });
        assert_eq!(state(&changes).1.due, due);
    }

    #[test]
    fn only_a_lease_is_freed_and_failures_before_it_still_count() {
        assert_eq!(free(&lane(2), NOW), None);
        let due = Due::Leased { until: UnixMillis(77), lease: LeaseId(9) };
        let leased = Lane { state: LaneState { due, ..lane(2).state }, ..lane(2) };
        let changes = free(&leased, NOW).unwrap();
        assert_eq!(changes.expect, [Expect::Lane(leased.at.clone(), due)]);
        assert!(matches!(state(&changes).1, LaneState { due: Due::At(NOW), attempts: 2, .. }));
    }

    #[test]
    fn delivered_events_go_and_the_lane_begins_behind_them() {
        let delivered = [Position::change(SyncCount(4)), Position::change(SyncCount(6))];
        let (changes, _) = settle(&lane(2), Due::At(UnixMillis(5)), &delivered, Outcome::Fine, NOW, PATIENCE);
        assert_eq!(changes.write[0], Write::RemoveEvents(lane(2).at, delivered.to_vec()));
        let (first, state) = state(&changes);
        assert_eq!((first, state), (Position::bulk(SyncCount(6)), &LaneState::due(NOW)));
    }

    #[test]
    fn a_turn_without_a_delivery_makes_no_failure_forgotten() {
        let (changes, due) = settle(&lane(2), Due::At(UnixMillis(5)), &[], Outcome::Fine, NOW, PATIENCE);
        assert_eq!(due, Due::At(NOW));
        assert_eq!((state(&changes).0, state(&changes).1.attempts), (lane(2).first, 2));
    }

    #[test]
    fn answered_events_go_at_once_while_the_lease_continues() {
        let due = Due::Leased { until: UnixMillis(77), lease: LeaseId(9) };
        let leased = Lane { state: LaneState { due, ..lane(1).state }, ..lane(1) };
        let (changes, after) = advance(&leased, &[Position::change(SyncCount(4))]);
        assert_eq!(changes.expect, [Expect::Lane(leased.at.clone(), due)]);
        assert_eq!(
            changes.write[0],
            Write::RemoveEvents(leased.at.clone(), vec![Position::change(SyncCount(4))])
        );
        assert_eq!(state(&changes), (Position::bulk(SyncCount(4)), &after.state));
        assert_eq!((after.state.due, after.state.attempts), (due, 0), "a success ends the row of failures");
        assert_eq!((after.events, after.first), (1, Position::bulk(SyncCount(4))));

        let failing = Lane { state: LaneState { attempts: 7, ..leased.state.clone() }, ..leased.clone() };
        let (skipped, after) = skip(&failing, &[Position::change(SyncCount(4))]);
        assert_eq!(skipped.write[0], changes.write[0]);
        assert_eq!(after.state.attempts, 7, "what nobody waits for is no success");
    }

    #[test]
    fn pauses_double_up_to_their_cap_and_are_spread_over_their_latter_half() {
        let pauses: Vec<i64> = (1..=10).map(|n| pause_millis(n, 0, PATIENCE)).collect();
        assert_eq!(pauses[..3], [250, 500, 1000]);
        assert_eq!(*pauses.last().unwrap(), 30_000);
        assert_eq!(pause_millis(10, u16::MAX, PATIENCE), 60_000);
        assert_eq!(pause_millis(u32::MAX, 0, PATIENCE), 30_000);
    }

    #[test]
    fn an_event_that_fails_too_often_is_parked_and_success_in_between_counts_anew() {
        let changes = failed(1, &[]);
        assert!(matches!(state(&changes).1, LaneState { due: Due::At(_), attempts: 2, .. }));
        let parked = failed(2, &[]);
        let (_, LaneState { due, attempts, trouble }) = state(&parked);
        assert_eq!(*due, Due::Parked { why: Parked::Undeliverable, since: NOW });
        assert_eq!((*attempts, trouble.as_str()), (3, "no route"));
        let after_success = failed(2, &[Position::change(SyncCount(4))]);
        assert_eq!(state(&after_success).1.attempts, 1);
    }

    #[test]
    fn an_operator_may_try_again_or_drop() {
        let again = try_again(&lane(3), NOW);
        assert_eq!(state(&again).1, &LaneState::due(NOW));
        let first = Position::change(SyncCount(4));
        let dropped = drop_first(&lane(3), first, NOW);
        assert_eq!(dropped.write[0], Write::RemoveEvents(lane(3).at, vec![first]));
        assert_eq!(state(&dropped).0, first.next());
    }
}
