//! The promises of the store port as tests: the suite over every store, the stores against each other, and what only
//! a store on disk can promise.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod cases;
mod damage;
mod differential;
mod disk_full;
mod durable;
mod fixture;
mod kill;
mod sample;

/// Runs every case of the suite over each store.
macro_rules! over_every_store {
    ($($case:ident,)*) => {
        mod memory {
            $(#[test]
            fn $case() {
                super::cases::$case(&super::sample::open_memory());
            })*
        }

        mod embedded {
            $(#[test]
            fn $case() {
                let dir = tempfile::tempdir().unwrap();
                super::cases::$case(&super::sample::open_embedded(dir.path()));
            })*
        }
    };
}

over_every_store! {
    a_commit_is_taken_whole,
    a_refused_commit_leaves_no_trace,
    every_expectation_refuses_exactly_when_it_is_false,
    a_read_after_an_ok_sees_the_change,
    commits_that_wait_together_see_one_another,
    exactly_one_writer_wins_each_count,
    records_come_in_the_order_of_count_and_key,
    pages_join_without_gap_or_repetition,
    a_page_holds_what_matched_when_the_read_began,
    an_ended_life_says_so,
    a_recreated_dataset_shows_nothing_old,
    forgotten_records_are_gone_while_the_dataset_lives_on,
    records_without_a_dataset_are_refused_whole,
    a_raised_floor_is_seen_under_every_name,
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
