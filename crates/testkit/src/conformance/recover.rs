//! Promises about what a recovery sends again.

use bytes::Bytes;
use postrider_model::delivery::{Progress, Status};
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::job::{JobStatus, RECOVER_WAITING_MAX, RecoverWhat, Recovery};
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_model::name::EventNamePattern;
use postrider_model::webhook::WebhookChange;
use postrider_ports::Store;
use postrider_ports::registry::WebhookEdit;
use postrider_ports::store::{DeliveryFilter, JobNext};

use super::fixture::{
    account, at, bits, deliver, due, due_ids, event, event_like, fail, listed, sender, shown, stored, succeed, switch, test_of, to, webhook,
};
use super::jobs::{job, recovery, shown_job, step, steps};

const fn of_webhook(webhook: WebhookId) -> DeliveryFilter {
    DeliveryFilter {
        webhook: Some(webhook),
        status: None,
        event: None,
        name: None,
        resource_id: None,
        created: postrider_ports::store::TimeRange { from: None, until: None },
    }
}

/// Recovers, and tells how many deliveries were sent again.
async fn recovered(store: &dyn Store, account: AccountId, recovery: Recovery) -> u64 {
    let id = job(store, account, recovery).await;
    assert_eq!(steps(store, id, 10, 200).await, JobNext::Ended);
    let job = shown_job(store, account, id).await;
    assert_eq!((job.status, job.error), (JobStatus::Succeeded, None));
    assert_eq!(job.total, Some(job.done), "what was announced was done");
    assert_eq!((job.ended_at, job.modified_at), (Some(at(200)), at(200)));
    job.done
}

async fn failed_delivery(store: &dyn Store, account: AccountId, webhook: WebhookId, seconds: u64) -> DeliveryId {
    let (_, id) = deliver(store, account, webhook, at(seconds)).await;
    fail(store, (account, id), 1, at(seconds), None).await;
    id
}

async fn succeeded_delivery(store: &dyn Store, account: AccountId, webhook: WebhookId, seconds: u64) -> DeliveryId {
    let (_, id) = deliver(store, account, webhook, at(seconds)).await;
    succeed(store, (account, id), 1, at(seconds)).await;
    id
}

pub async fn what_failed_is_pending_again(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let second = failed_delivery(store, account, webhook, 20).await;
    let first = failed_delivery(store, account, webhook, 10).await;
    let done = succeeded_delivery(store, account, webhook, 30).await;
    let through = due(store, account, webhook, at(99)).await.through;
    let id = job(store, account, recovery(webhook, RecoverWhat::Failed)).await;
    let mut queued = Vec::new();
    while shown_job(store, account, id).await.status == JobStatus::Running {
        queued.extend(step(store, id, 10, 200).await.queued);
    }
    assert!(!queued.is_empty());
    for (of, to, position) in queued {
        assert_eq!((of, to), (account, webhook));
        assert!(position > through, "a read from before has not seen it");
        assert!(
            position <= due(store, account, webhook, at(200)).await.through,
            "a read from now has"
        );
    }
    let rows = due(store, account, webhook, at(200)).await.rows;
    let ids: Vec<DeliveryId> = rows.iter().map(|row| row.delivery).collect();
    assert_eq!(ids, [second, first], "in the order in which they were stored");
    for row in rows {
        let progress = Progress {
            attempts: 1,
            schedule_base: 1,
            schedule_began_at: at(200),
        };
        assert_eq!((row.progress, row.due, row.is_urgent), (progress, at(200), false));
    }
    assert_eq!(shown(store, account, first).await.delivery.status, Status::Pending { due: at(200) });
    assert!(shown(store, account, done).await.delivery.status.is_final());
    assert_eq!(shown_job(store, account, id).await.done, 2);
    assert_eq!(
        recovered(store, account, recovery(webhook, RecoverWhat::Failed)).await,
        0,
        "what is pending is on its way"
    );
}

pub async fn only_events_of_the_time_are_recovered(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    // Stored in another order than that of their times.
    let mut made = Vec::new();
    for seconds in [30, 10, 40, 20] {
        made.push((seconds, failed_delivery(store, account, webhook, seconds).await));
    }
    let within = Recovery {
        since: at(20),
        until: at(40),
        ..recovery(webhook, RecoverWhat::Failed)
    };
    assert_eq!(recovered(store, account, within).await, 2);
    let expected: Vec<DeliveryId> = made
        .iter()
        .filter(|(seconds, _)| [20, 30].contains(seconds))
        .map(|(_, id)| *id)
        .collect();
    assert_eq!(due_ids(store, account, webhook, at(200)).await, expected);
}

pub async fn what_was_never_made_is_made_by_the_filters_of_today(store: &dyn Store) {
    let owner = account(store).await;
    let name = |name: &'static str, seconds| event_like(owner, EventId::new(at(seconds), bits()), (name, "ord_1", "{}"), at(seconds));
    let (wanted, other) = (name("order.created", 1), name("user.made", 2));
    stored(store, owner, vec![to(&wanted, &[]), to(&other, &[])]).await;
    // The webhook comes later than the events.
    let webhook = webhook(store, owner).await;
    failed_delivery(store, owner, webhook, 3).await;
    succeeded_delivery(store, owner, webhook, 4).await;
    let change = WebhookChange {
        event_names: Some(vec![EventNamePattern::parse("order.*").unwrap()]),
        ..WebhookChange::default()
    };
    store
        .edit_webhook(owner, webhook, WebhookEdit::Change(change), at(5))
        .await
        .unwrap();
    assert_eq!(recovered(store, owner, recovery(webhook, RecoverWhat::Missing)).await, 1);
    let rows = due(store, owner, webhook, at(200)).await.rows;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].event.clone(), rows[0].body.clone()),
        (Some(wanted.id.clone()), wanted.body.clone())
    );
    assert_eq!(
        (rows[0].progress, rows[0].due, rows[0].is_urgent),
        (Progress::new(at(200)), at(200), false)
    );
    let record = shown(store, owner, rows[0].delivery).await;
    assert_eq!(
        (record.delivery.created_at, record.delivery.event),
        (at(200), Some(wanted.id.clone()))
    );
    let of_event = DeliveryFilter {
        event: Some(wanted.id.clone()),
        ..DeliveryFilter::default()
    };
    assert_eq!(listed(store, owner, &of_event, 10).await, [rows[0].delivery]);
    assert_eq!(listed(store, owner, &of_webhook(webhook), 10).await[0], rows[0].delivery);
    assert_eq!(
        recovered(store, owner, recovery(webhook, RecoverWhat::Missing)).await,
        0,
        "now it is there"
    );
}

pub async fn all_sends_what_succeeded_anew(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let failed = failed_delivery(store, account, webhook, 1).await;
    let succeeded = succeeded_delivery(store, account, webhook, 2).await;
    let (_, pending) = deliver(store, account, webhook, at(3)).await;
    let missing = event(account, at(4));
    stored(store, account, vec![to(&missing, &[])]).await;
    assert_eq!(recovered(store, account, recovery(webhook, RecoverWhat::All)).await, 3);
    let all = listed(store, account, &of_webhook(webhook), 10).await;
    assert_eq!(all.len(), 5, "two are new");
    assert!(
        shown(store, account, succeeded).await.delivery.status.is_final(),
        "the old one stays as it is"
    );
    let mut waiting = due_ids(store, account, webhook, at(200)).await;
    let mut expected = vec![failed, pending, all[0], all[1]];
    waiting.sort();
    expected.sort();
    assert_eq!(waiting, expected);
    let bodies: Vec<Bytes> = [
        shown(store, account, all[1]).await.payload,
        shown(store, account, succeeded).await.payload,
    ]
    .into();
    assert_eq!(bodies[0], bodies[1], "oldest first");
    assert_eq!(shown(store, account, all[0]).await.payload, missing.body);
}

pub async fn each_event_is_recovered_once(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let twice = event(account, at(1));
    let new = to(&twice, &[webhook, webhook]);
    let ids: Vec<DeliveryId> = new.deliveries.iter().map(|(id, _)| *id).collect();
    stored(store, account, vec![new]).await;
    fail(store, (account, ids[0]), 1, at(2), None).await;
    assert_eq!(
        recovered(store, account, recovery(webhook, RecoverWhat::All)).await,
        0,
        "one is on its way"
    );
    succeed(store, (account, ids[1]), 1, at(2)).await;
    assert_eq!(
        recovered(store, account, recovery(webhook, RecoverWhat::Failed)).await,
        0,
        "one came through"
    );
    assert_eq!(recovered(store, account, recovery(webhook, RecoverWhat::All)).await, 1);
    assert_eq!(due_ids(store, account, webhook, at(200)).await.len(), 1);
}

pub async fn a_recovery_is_done_in_bounded_steps(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (noise, its) = sender(store).await;
    let mut expected = Vec::new();
    for seconds in 0..25 {
        expected.push(failed_delivery(store, account, webhook, seconds).await);
        succeeded_delivery(store, account, webhook, seconds).await;
        failed_delivery(store, noise, its, seconds).await;
    }
    let id = job(store, account, recovery(webhook, RecoverWhat::Failed)).await;
    assert_eq!(shown_job(store, account, id).await.total, None);
    let mut done = 0;
    loop {
        let answer = step(store, id, 2, 200).await;
        let job = shown_job(store, account, id).await;
        assert!(job.done <= done + 2, "a step is bounded");
        assert!(job.total.is_none_or(|total| total == 25), "{:?} are to be done", job.total);
        assert!(job.done == 0 || job.total.is_some(), "it is counted before the work begins");
        done = job.done;
        if answer.next == JobNext::Ended {
            break;
        }
        assert_eq!((answer.next, job.status), (JobNext::More, JobStatus::Running));
    }
    assert_eq!(due_ids(store, account, webhook, at(200)).await, expected);
    assert!(due_ids(store, noise, its, at(200)).await.is_empty());
    let ended = shown_job(store, account, id).await;
    assert_eq!((ended.done, ended.total), (25, Some(25)));
    assert_eq!(step(store, id, 2, 300).await.next, JobNext::Ended);
    assert_eq!(shown_job(store, account, id).await, ended, "what has ended stays as it is");
}

pub async fn fresh_events_never_wait_behind_much_of_a_recovery(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let many = 2 * RECOVER_WAITING_MAX + 10;
    for chunk in 0..many / 2 {
        let events = [event(account, at(1)), event(account, at(1))];
        assert!(chunk < many);
        stored(store, account, events.iter().map(|event| to(event, &[])).collect()).await;
    }
    let id = job(store, account, recovery(webhook, RecoverWhat::Missing)).await;
    let mut sent = 0;
    for round in 0..3 {
        let next = steps(store, id, 100, 200 + round).await;
        let waiting = due_ids(store, account, webhook, at(300)).await;
        assert!(waiting.len() <= RECOVER_WAITING_MAX, "{} wait", waiting.len());
        sent += waiting.len();
        assert_eq!(next, if round < 2 { JobNext::Later } else { JobNext::Ended });
        assert_eq!(shown_job(store, account, id).await.done, sent as u64);
        for delivery in waiting {
            succeed(store, (account, delivery), 1, at(300)).await;
        }
    }
    assert_eq!(sent, many);
}

pub async fn a_recovery_waits_while_its_webhook_is_not_active(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let delivery = failed_delivery(store, account, webhook, 1).await;
    let id = job(store, account, recovery(webhook, RecoverWhat::Failed)).await;
    switch(store, account, webhook, false).await;
    assert_eq!(steps(store, id, 10, 200).await, JobNext::Later);
    assert_eq!(shown_job(store, account, id).await.status, JobStatus::Running);
    assert!(shown(store, account, delivery).await.delivery.status.is_final());
    switch(store, account, webhook, true).await;
    assert_eq!(steps(store, id, 10, 201).await, JobNext::Ended);
    assert_eq!(due_ids(store, account, webhook, at(201)).await, [delivery]);
}

pub async fn a_recovery_of_a_deleted_webhook_fails(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    failed_delivery(store, account, webhook, 1).await;
    let id = job(store, account, recovery(webhook, RecoverWhat::Failed)).await;
    store.delete_webhook(account, webhook, at(150)).await.unwrap();
    let answer = step(store, id, 10, 200).await;
    assert_eq!((answer.queued, answer.next), (None, JobNext::Ended));
    let job = shown_job(store, account, id).await;
    assert_eq!((job.status, job.done, job.ended_at), (JobStatus::Failed, 0, Some(at(200))));
    assert_eq!(job.error.as_deref(), Some("the webhook was deleted"));
    assert_eq!(store.running_jobs(None, 10).await, Ok(vec![]));
}

pub async fn a_recovery_of_a_deleted_account_ends(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let id = job(store, account, recovery(webhook, RecoverWhat::Failed)).await;
    store.delete_account(account, at(150)).await.unwrap();
    assert_eq!(step(store, id, 10, 200).await.next, JobNext::Ended);
    assert_eq!(store.running_jobs(None, 10).await, Ok(vec![]));
}

pub async fn tests_have_no_part_in_a_recovery(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let test = test_of(account, webhook);
    store.create_test(test.clone(), Bytes::from_static(b"{}")).await.unwrap();
    fail(store, (account, test.id), 1, at(1), None).await;
    assert_eq!(recovered(store, account, recovery(webhook, RecoverWhat::All)).await, 0);
    assert!(shown(store, account, test.id).await.delivery.status.is_final());
}

pub async fn what_is_promised_is_not_missing(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let other = super::fixture::webhook(store, account).await;
    let event = event(account, at(1));
    let mut webhooks = vec![other; TRANSACTION_ROWS_MAX];
    webhooks.push(webhook);
    stored(store, account, vec![to(&event, &webhooks)]).await;
    assert_eq!(recovered(store, account, recovery(webhook, RecoverWhat::All)).await, 0);
    while store.expand_fanouts(2_000).await.unwrap().more {}
    assert_eq!(recovered(store, account, recovery(webhook, RecoverWhat::All)).await, 0);
    let waiting = due_ids(store, account, webhook, at(200)).await;
    assert_eq!(waiting.len(), 1);
    succeed(store, (account, waiting[0]), 1, at(201)).await;
    assert_eq!(
        recovered(store, account, recovery(webhook, RecoverWhat::Missing)).await,
        0,
        "it was made in a step"
    );
    assert_eq!(recovered(store, account, recovery(webhook, RecoverWhat::All)).await, 1);
}
