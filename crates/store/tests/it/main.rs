//! The promises of the store port as tests: the suite over every store, the stores against each other, and what only
//! a store on disk can promise.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue has failed")]

mod cases;
mod damage;
mod differential;
mod disk_full;
mod due_cases;
mod durable;
mod feed_cases;
mod fixture;
mod kill;
mod outbox_cases;
mod outbox_moves;
mod outbox_sample;
mod sample;

/// Runs every case of the suite over each store.
macro_rules! over_every_store {
    ($($cases:ident { $($case:ident,)* })*) => {
        mod memory {
            $($(#[test]
            fn $case() {
                super::$cases::$case(&super::sample::open_memory());
            })*)*
        }

        mod embedded {
            $($(#[test]
            fn $case() {
                let dir = tempfile::tempdir().unwrap();
                super::$cases::$case(&super::sample::open_embedded(dir.path()));
            })*)*
        }
    };
}

over_every_store! {
    cases {
        a_commit_is_taken_whole,
        a_refused_commit_leaves_no_trace,
        every_expectation_refuses_exactly_when_it_is_false,
        a_read_after_an_ok_sees_the_change,
        commits_that_wait_together_see_one_another,
        exactly_one_writer_wins_each_count,
        records_come_in_the_order_of_count_and_key,
        pages_join_without_gap_or_repetition,
        a_page_holds_what_matched_when_the_read_began,
        a_listing_is_of_one_moment,
        a_whole_dataset_is_of_one_moment,
        a_listing_ends_at_its_bounds_and_says_so,
        removed_records_are_in_no_later_read_and_all_others_are,
        the_oldest_tombstones_are_read_until_both_numbers_are_reached,
        an_ended_life_says_so,
        a_recreated_dataset_shows_nothing_old,
        forgotten_records_are_gone_while_the_dataset_lives_on,
        records_without_a_dataset_are_refused_whole,
        a_raised_floor_is_seen_under_every_name,
        the_date_of_a_deletion_is_kept_with_the_marker,
        heads_come_in_the_order_of_names_with_deleted_ones,
        one_identity_never_sees_another,
        a_removed_pool_is_gone_at_once,
        a_recreated_pool_shows_nothing_old,
        reclaiming_changes_nothing_that_can_be_read,
        usage_is_folded_and_never_falls_below_zero,
        pools_are_listed_in_pages,
        identities_are_found_by_id_and_listed_by_pool,
        developer_keys_are_kept_and_revoked,
        settings_are_kept_once,
        sweeps_come_due_in_order,
        a_fresh_store_is_ready,
    }
    outbox_cases {
        events_stand_in_the_order_of_their_positions_over_every_life,
        the_order_of_positions_does_not_depend_on_the_order_of_writes,
        a_lane_is_there_as_long_as_it_holds_events,
        an_event_that_is_put_once_more_counts_once,
        what_is_set_of_a_lane_is_kept,
        setting_a_lane_that_was_emptied_has_no_effect,
        removing_what_is_not_there_counts_for_nothing,
        events_are_read_in_bounded_pieces,
        lanes_of_one_dataset_share_nothing,
        events_that_wait_are_counted_exactly,
        a_settlement_leaves_an_event_that_was_added_before_its_places,
        members_of_a_batch_see_each_others_events,
        a_refused_commit_leaves_no_trace_in_the_outbox,
        a_removed_pools_lanes_are_gone_at_once,
        a_recreated_pool_begins_with_an_empty_outbox,
        events_outlive_their_dataset,
    }
    due_cases {
        exactly_one_claimant_gets_a_lane,
        a_leased_lane_comes_due_when_its_lease_ends,
        a_lane_is_found_in_one_place,
        an_event_joins_a_waiting_lane_without_making_it_due,
        lanes_due_come_longest_due_first,
        lanes_put_off_further_than_any_clock_would_come_last,
        one_pools_backlog_hides_no_other,
        a_pool_of_the_highest_incarnation_is_found_too,
        parked_lanes_are_listed_in_pages,
    }
    feed_cases {
        devices_are_kept_as_they_were_put,
        a_bulk_publication_is_kept_as_it_was_put,
        a_removed_pools_devices_and_bulk_publication_are_gone_at_once,
        all_heads_of_a_pool_are_listed_in_pages,
        what_was_found_wrong_with_a_stream_is_kept,
    }
}
