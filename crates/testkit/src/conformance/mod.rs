//! One suite for every store: each promise of `ports::Store` and `ports::Registry` is a function named as a sentence.
//!
//! ```text
//! conformance::exercise(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a promise that is not kept ends the test"
)]

mod accounts;
mod changes;
mod event_lists;
mod events;
mod fanouts;
mod fixture;
mod jobs;
mod keys;
mod lists;
mod once;
mod once_events;
mod outcomes;
mod queue;
mod recover;
mod retention;
mod retries;
mod stopping;
mod webhooks;

use std::sync::Arc;

use postrider_ports::Store;

/// Runs a promise on a new store, and says its name, so that a failure is told with it.
macro_rules! promises {
    ($make:expr, $($promise:path),+ $(,)?) => {
        $(
            eprintln!("promise: {}", stringify!($promise));
            $promise(&*$make().await).await;
        )+
    };
}

/// Holds a store to every promise; `make` gives a new, empty one each time.
pub async fn exercise(make: impl AsyncFn() -> Arc<dyn Store>) {
    registry(&make).await;
    storing(&make).await;
    sending(&make).await;
    reading(&make).await;
    jobs(&make).await;
    retention(&make).await;
    writing_once(&make).await;
}

async fn registry(make: &impl AsyncFn() -> Arc<dyn Store>) {
    promises!(
        make,
        accounts::an_account_is_found_by_either_id,
        accounts::an_external_id_belongs_to_one_account,
        accounts::a_change_of_an_account_leaves_the_rest,
        accounts::a_deleted_account_takes_its_keys_and_webhooks_along,
        accounts::accounts_are_listed_newest_first_in_pages,
        accounts::every_change_raises_the_version,
        accounts::a_snapshot_shows_what_its_version_says,
        keys::a_key_is_found_by_its_token_alone,
        keys::a_key_is_seen_by_its_owner_alone,
        keys::a_change_of_a_key_leaves_the_rest,
        keys::a_deleted_key_is_gone,
        keys::keys_are_listed_newest_first_in_pages,
        keys::a_key_of_a_missing_account_is_refused,
        keys::a_touch_raises_no_version,
        webhooks::a_webhook_comes_back_as_it_was_given,
        webhooks::an_account_has_at_most_so_many_webhooks,
        webhooks::a_change_of_a_webhook_leaves_the_rest,
        webhooks::a_rotation_keeps_the_older_secret_for_its_grace,
        webhooks::a_sixth_secret_is_refused,
        webhooks::another_account_sees_no_webhook,
        webhooks::a_deleted_webhook_is_not_found,
        webhooks::webhooks_are_listed_newest_first_in_pages,
        webhooks::health_is_kept_and_raises_no_version,
        changes::the_feed_begins_where_it_stands,
        changes::the_feed_tells_what_changed,
    );
}

async fn storing(make: &impl AsyncFn() -> Arc<dyn Store>) {
    promises!(
        make,
        events::a_stored_event_comes_back_byte_for_byte,
        events::an_event_that_no_webhook_wants_is_stored,
        events::positions_follow_the_commits,
        events::an_own_id_again_is_a_repeat,
        events::an_own_id_with_other_content_is_taken,
        events::an_own_id_twice_in_one_request_is_judged_there,
        events::an_own_id_belongs_to_its_account,
        events::a_stale_version_is_refused_and_nothing_is_stored,
        events::an_unknown_account_is_refused,
        events::a_batch_is_all_or_none,
        events::one_request_never_fails_another,
        events::another_account_sees_no_event,
        fanouts::a_large_fan_out_is_expanded_in_steps,
        fanouts::an_expansion_without_work_says_so,
        fanouts::an_expanded_delivery_of_a_deleted_webhook_ends,
    );
}

async fn sending(make: &impl AsyncFn() -> Arc<dyn Store>) {
    promises!(
        make,
        queue::a_new_delivery_is_due_at_once,
        queue::what_is_due_first_comes_first,
        queue::fetch_due_passes_over_what_is_known,
        queue::fetch_due_keeps_to_its_limits,
        queue::fetch_due_tells_when_the_next_is_due,
        queue::fetch_due_answers_each_ask,
        queue::an_answer_says_up_to_where_it_has_seen,
        queue::waiting_tells_each_webhook_once,
        queue::waiting_goes_on_behind_a_webhook,
        queue::waiting_tells_those_of_its_slots_alone,
        queue::one_delivery_is_read_as_it_waits,
        outcomes::an_outcome_is_compare_and_set_on_its_attempt,
        outcomes::a_success_wins_over_a_stale_failure,
        outcomes::a_success_ends_a_delivery_for_good,
        outcomes::a_failure_makes_it_due_again_later,
        outcomes::a_failure_without_a_next_attempt_exhausts_it,
        outcomes::an_expired_delivery_ends_without_an_attempt,
        outcomes::an_outcome_of_an_unknown_delivery_is_superseded,
        outcomes::an_attempt_comes_back_as_it_was_recorded,
        outcomes::outcomes_of_one_group_are_judged_in_order,
        stopping::pending_deliveries_of_a_deleted_webhook_end_in_steps,
        stopping::pending_deliveries_of_a_deleted_account_end,
        stopping::what_has_ended_already_stays_as_it_is,
        retries::a_test_is_kept_with_its_body,
        retries::tests_are_found_apart_from_what_else_waits,
        retries::a_test_of_a_missing_webhook_is_refused,
        retries::a_pending_delivery_is_made_due_now,
        retries::a_failed_delivery_begins_its_schedule_anew,
        retries::a_succeeded_delivery_becomes_a_new_one,
        retries::a_retry_needs_its_webhook,
    );
}

async fn reading(make: &impl AsyncFn() -> Arc<dyn Store>) {
    promises!(
        make,
        lists::a_delivery_is_shown_with_what_it_carries,
        lists::another_account_sees_no_delivery,
        lists::deliveries_are_listed_newest_first,
        lists::pages_neither_miss_nor_repeat_while_rows_are_added,
        lists::each_filter_chooses,
        lists::deliveries_of_a_deleted_webhook_are_still_listed,
        lists::deliveries_of_an_event_are_found,
        lists::a_store_that_works_says_so,
        event_lists::events_are_listed_in_the_order_of_storing,
        event_lists::an_account_without_events_has_an_empty_list,
        event_lists::each_filter_of_events_chooses,
        event_lists::an_event_is_found_at_its_place,
        event_lists::what_is_stored_later_lies_behind_the_last_place,
        event_lists::a_page_of_events_keeps_to_its_bytes,
        event_lists::what_a_filter_leaves_out_is_passed_over,
        event_lists::what_retention_took_away_is_passed_over,
        event_lists::pages_of_events_neither_miss_nor_repeat_while_rows_are_added,
        event_lists::who_follows_sees_each_event_once,
    );
}

async fn writing_once(make: &impl AsyncFn() -> Arc<dyn Store>) {
    promises!(
        make,
        once::an_answer_comes_back_byte_for_byte,
        once::a_write_is_done_once,
        once::of_many_at_once_one_is_done,
        once::a_write_does_what_its_call_does,
        once::a_refusal_is_an_answer_too,
        once::an_answer_that_is_not_to_be_kept_leaves_the_key_free,
        once::owners_share_no_keys,
        once::an_answer_ends_after_its_time,
        once::an_answer_that_has_ended_is_taken_away,
        once::a_deleted_account_leaves_no_answer,
        once::a_write_that_fails_keeps_no_answer,
        once_events::events_are_kept_with_their_answer,
        once_events::a_key_twice_in_one_group_is_answered_once,
        once_events::a_kept_answer_wins_over_a_taken_id,
        once_events::a_stale_version_is_judged_before_a_kept_answer,
        once_events::what_is_not_stored_keeps_no_answer,
        once_events::a_key_is_one_for_events_and_other_writes,
    );
}

async fn jobs(make: &impl AsyncFn() -> Arc<dyn Store>) {
    promises!(
        make,
        jobs::a_job_is_shown_as_it_was_made,
        jobs::jobs_are_listed_newest_first_in_pages,
        jobs::a_job_needs_an_active_webhook,
        jobs::so_many_jobs_of_an_account_run_at_once,
        jobs::a_cancelled_job_leaves_the_rest,
        jobs::running_jobs_go_on_behind_a_job,
        recover::what_failed_is_pending_again,
        recover::only_events_of_the_time_are_recovered,
        recover::what_was_never_made_is_made_by_the_filters_of_today,
        recover::all_sends_what_succeeded_anew,
        recover::each_event_is_recovered_once,
        recover::a_recovery_is_done_in_bounded_steps,
        recover::fresh_events_never_wait_behind_much_of_a_recovery,
        recover::a_recovery_waits_while_its_webhook_is_not_active,
        recover::a_recovery_of_a_deleted_webhook_fails,
        recover::a_recovery_of_a_deleted_account_ends,
        recover::tests_have_no_part_in_a_recovery,
        recover::what_is_promised_is_not_missing,
    );
}

async fn retention(make: &impl AsyncFn() -> Arc<dyn Store>) {
    promises!(
        make,
        retention::what_is_old_goes_and_what_is_young_stays,
        retention::an_own_id_is_free_again,
        retention::it_goes_in_bounded_steps,
        retention::what_is_on_its_way_keeps_its_event,
        retention::what_waits_for_nobody_goes_with_its_event,
        retention::what_is_promised_keeps_its_event,
        retention::deliveries_made_later_go_with_their_event,
        retention::tests_go_as_well,
        retention::ended_jobs_go_and_running_ones_stay,
        retention::deliveries_of_a_deleted_webhook_go_too,
        retention::pages_go_on_while_rows_go,
        retention::a_deleted_account_leaves_nothing,
        retention::a_deleted_accounts_keys_stay_dead,
    );
}
