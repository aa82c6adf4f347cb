//! One suite for every store: each promise of `ports::Store` and `ports::Registry` is a function named as a sentence, and a test of its own.
//!
//! ```text
//! async fn empty_store() -> Arc<dyn Store> { Arc::new(MemoryStore::new()) }
//!
//! postrider_testkit::every_promise!(super::empty_store);
//! ```
//!
//! One of them alone: `cargo test -p postrider-store-sqlite jobs::a_job_is_shown_as_it_was_made`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a promise that is not kept ends the test"
)]
#![allow(missing_docs, reason = "the name of a promise says it all")]

pub mod accounts;
pub mod archive;
pub mod changes;
pub mod event_lists;
pub mod events;
pub mod fanouts;
mod fixture;
pub mod jobs;
pub mod keys;
pub mod lists;
pub mod nodes;
pub mod once;
pub mod once_events;
pub mod outcomes;
pub mod queue;
pub mod recover;
pub mod retention;
pub mod retries;
pub mod stopping;
pub mod webhooks;

/// Makes a test of each promise, in a module for each group. What is given is an async function that makes a new, empty store:
/// something that dereferences to `dyn Store`. Its path is as seen from inside such a module. With `archives:` before it the promises are
/// those of what can be read out and filled, and what is made dereferences to an `archive::Archives`.
#[macro_export]
macro_rules! every_promise {
    (archives: $make:path) => {
        $crate::every_promise! {
            $make;
            archive {
                what_is_read_out_fills_another,
                a_filled_store_works_like_the_first,
                pages_of_any_size_hold_the_same,
                a_page_holds_so_many_bytes,
                a_filling_says_how_far_it_is,
                a_page_is_written_whole_or_not_at_all,
            }
        }
    };
    ($make:path) => {
        $crate::every_promise! {
            $make;
            accounts {
                an_account_is_found_by_either_id,
                an_external_id_belongs_to_one_account,
                a_change_of_an_account_leaves_the_rest,
                a_deleted_account_takes_its_keys_and_webhooks_along,
                accounts_are_listed_newest_first_in_pages,
                every_change_raises_the_version,
                a_snapshot_shows_what_its_version_says,
            }
            keys {
                a_key_is_found_by_its_token_alone,
                a_key_is_seen_by_its_owner_alone,
                a_change_of_a_key_leaves_the_rest,
                a_deleted_key_is_gone,
                keys_are_listed_newest_first_in_pages,
                a_key_of_a_missing_account_is_refused,
                a_touch_raises_no_version,
            }
            webhooks {
                a_webhook_comes_back_as_it_was_given,
                an_account_has_at_most_so_many_webhooks,
                a_change_of_a_webhook_leaves_the_rest,
                a_rotation_keeps_the_older_secret_for_its_grace,
                a_sixth_secret_is_refused,
                another_account_sees_no_webhook,
                a_deleted_webhook_is_not_found,
                webhooks_are_listed_newest_first_in_pages,
                health_is_kept_and_raises_no_version,
            }
            changes {
                the_feed_begins_where_it_stands,
                the_feed_tells_what_changed,
            }
            events {
                a_stored_event_comes_back_byte_for_byte,
                an_event_that_no_webhook_wants_is_stored,
                positions_follow_the_commits,
                an_own_id_again_is_a_repeat,
                an_own_id_with_other_content_is_taken,
                an_own_id_twice_in_one_request_is_judged_there,
                an_own_id_belongs_to_its_account,
                a_stale_version_is_refused_and_nothing_is_stored,
                an_unknown_account_is_refused,
                a_batch_is_all_or_none,
                one_request_never_fails_another,
                another_account_sees_no_event,
            }
            fanouts {
                a_large_fan_out_is_expanded_in_steps,
                an_expansion_without_work_says_so,
                an_expanded_delivery_of_a_deleted_webhook_ends,
            }
            queue {
                a_new_delivery_is_due_at_once,
                what_is_due_first_comes_first,
                fetch_due_passes_over_what_is_known,
                fetch_due_keeps_to_its_limits,
                fetch_due_tells_when_the_next_is_due,
                fetch_due_answers_each_ask,
                an_answer_says_up_to_where_it_has_seen,
                waiting_tells_each_webhook_once,
                waiting_goes_on_behind_a_webhook,
                waiting_tells_those_of_its_slots_alone,
                one_delivery_is_read_as_it_waits,
            }
            outcomes {
                an_outcome_is_compare_and_set_on_its_attempt,
                a_success_wins_over_a_stale_failure,
                a_success_ends_a_delivery_for_good,
                a_failure_makes_it_due_again_later,
                a_failure_without_a_next_attempt_exhausts_it,
                an_expired_delivery_ends_without_an_attempt,
                an_outcome_of_an_unknown_delivery_is_superseded,
                an_attempt_comes_back_as_it_was_recorded,
                outcomes_of_one_group_are_judged_in_order,
            }
            stopping {
                pending_deliveries_of_a_deleted_webhook_end_in_steps,
                pending_deliveries_of_a_deleted_account_end,
                what_has_ended_already_stays_as_it_is,
            }
            retries {
                a_test_is_kept_with_its_body,
                tests_are_found_apart_from_what_else_waits,
                a_test_of_a_missing_webhook_is_refused,
                a_pending_delivery_is_made_due_now,
                a_failed_delivery_begins_its_schedule_anew,
                a_succeeded_delivery_becomes_a_new_one,
                a_retry_needs_its_webhook,
            }
            lists {
                a_delivery_is_shown_with_what_it_carries,
                another_account_sees_no_delivery,
                deliveries_are_listed_newest_first,
                pages_neither_miss_nor_repeat_while_rows_are_added,
                each_filter_chooses,
                deliveries_of_a_deleted_webhook_are_still_listed,
                deliveries_of_an_event_are_found,
                a_store_that_works_says_so,
            }
            event_lists {
                events_are_listed_in_the_order_of_storing,
                an_account_without_events_has_an_empty_list,
                each_filter_of_events_chooses,
                an_event_is_found_at_its_place,
                what_is_stored_later_lies_behind_the_last_place,
                a_page_of_events_keeps_to_its_bytes,
                what_a_filter_leaves_out_is_passed_over,
                what_retention_took_away_is_passed_over,
                pages_of_events_neither_miss_nor_repeat_while_rows_are_added,
                who_follows_sees_each_event_once,
            }
            once {
                an_answer_comes_back_byte_for_byte,
                a_write_is_done_once,
                of_many_at_once_one_is_done,
                a_write_does_what_its_call_does,
                a_refusal_is_an_answer_too,
                an_answer_that_is_not_to_be_kept_leaves_the_key_free,
                owners_share_no_keys,
                an_answer_ends_after_its_time,
                an_answer_that_has_ended_is_taken_away,
                a_deleted_account_leaves_no_answer,
                a_write_that_fails_keeps_no_answer,
            }
            once_events {
                events_are_kept_with_their_answer,
                a_key_twice_in_one_group_is_answered_once,
                a_kept_answer_wins_over_a_taken_id,
                a_stale_version_is_judged_before_a_kept_answer,
                what_is_not_stored_keeps_no_answer,
                a_key_is_one_for_events_and_other_writes,
            }
            jobs {
                a_job_is_shown_as_it_was_made,
                jobs_are_listed_newest_first_in_pages,
                a_job_needs_an_active_webhook,
                so_many_jobs_of_an_account_run_at_once,
                a_cancelled_job_leaves_the_rest,
                running_jobs_go_on_behind_a_job,
            }
            recover {
                what_failed_is_pending_again,
                only_events_of_the_time_are_recovered,
                what_was_never_made_is_made_by_the_filters_of_today,
                all_sends_what_succeeded_anew,
                each_event_is_recovered_once,
                a_recovery_is_done_in_bounded_steps,
                fresh_events_never_wait_behind_much_of_a_recovery,
                a_recovery_waits_while_its_webhook_is_not_active,
                a_recovery_of_a_deleted_webhook_fails,
                a_recovery_of_a_deleted_account_ends,
                tests_have_no_part_in_a_recovery,
                what_is_promised_is_not_missing,
            }
            retention {
                what_is_old_goes_and_what_is_young_stays,
                an_own_id_is_free_again,
                it_goes_step_by_step,
                what_is_on_its_way_keeps_its_event,
                what_waits_for_nobody_goes_with_its_event,
                what_is_promised_keeps_its_event,
                deliveries_made_later_go_with_their_event,
                tests_go_as_well,
                ended_jobs_go_and_running_ones_stay,
                deliveries_of_a_deleted_webhook_go_too,
                pages_go_on_while_rows_go,
                a_deleted_account_leaves_nothing,
                a_deleted_accounts_keys_stay_dead,
            }
        }
    };
    ($make:path; $($group:ident { $($promise:ident),+ $(,)? })+) => {
        $(mod $group {
            $(#[tokio::test]
            async fn $promise() {
                let store = $make().await;
                $crate::conformance::$group::$promise(&*store).await;
            })+
        })+
    };
}
