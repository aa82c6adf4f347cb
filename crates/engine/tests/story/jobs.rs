//! Recoveries: what is sent again, in what order, and that each of it is sent once.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_lanes::RetrySchedule;
use postrider_model::id::{DeliveryId, JobId, WebhookId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_ports::once::{Once, Write, Written};
use postrider_ports::store::JobMade;
use postrider_ports::{Clock as _, Store as _};

use crate::world::{ACCOUNT, Does, World};

const LATER: Duration = Duration::from_secs(40);

/// One retry only, so that what fails has failed soon.
async fn world() -> World {
    World::with(|settings| settings.lanes.schedule = RetrySchedule::new([Duration::from_secs(10)])).await
}

async fn recover(world: &World, webhook: WebhookId, number: u128, what: RecoverWhat) -> JobId {
    let (id, now) = (JobId::from_u128(number), world.clock.wall());
    let job = Job {
        id,
        account: ACCOUNT,
        kind: JobKind::Recover,
        webhook: Some(webhook),
        status: JobStatus::Running,
        done: 0,
        total: None,
        error: None,
        ended_at: None,
        created_at: now,
        modified_at: now,
    };
    let recovery = Recovery {
        webhook,
        since: now - Duration::from_secs(24 * 3_600),
        until: now,
        what,
    };
    let made = world.engine.write(Write::CreateJob(job, recovery), None).await;
    assert!(matches!(made, Ok(Once::Done(Written::Job(JobMade::Made)))));
    id
}

async fn job(world: &World, id: JobId) -> Job {
    world.store.job(ACCOUNT, id).await.unwrap().unwrap()
}

/// A webhook for which so many events have failed for good.
async fn failed(world: &World, count: usize) -> WebhookId {
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    for chunk in vec!["order.filled"; count].chunks(500) {
        world.post(chunk).await.unwrap();
    }
    world.pass(LATER).await;
    let sent = world.sent().len();
    assert_eq!((sent, world.succeeded()), (count * 2, 0));
    world.let_it(webhook, Does::Succeed);
    webhook
}

/// How often each delivery was sent behind the first `skipped` attempts; fails where one was sent twice.
fn sent_once(world: &World, skipped: usize) -> BTreeSet<DeliveryId> {
    let sent: Vec<_> = world.sent().iter().skip(skipped).map(|outgoing| outgoing.delivery).collect();
    let once: BTreeSet<_> = sent.iter().copied().collect();
    assert_eq!(sent.len(), once.len(), "each is sent once");
    once
}

#[tokio::test]
async fn what_failed_is_sent_again_once() {
    let world = world().await;
    let webhook = failed(&world, 40).await;
    let id = recover(&world, webhook, 7, RecoverWhat::Failed).await;
    world.pass(LATER).await;
    assert_eq!(sent_once(&world, 80).len(), 40);
    assert_eq!((world.succeeded(), world.statuses().len()), (40, 40));
    let job = job(&world, id).await;
    assert_eq!((job.status, job.done, job.total), (JobStatus::Succeeded, 40, Some(40)));
    assert_eq!(world.engine.counters().jobs_running.get(), 0);
}

#[tokio::test]
async fn what_was_never_made_is_made() {
    let world = world().await;
    world.post(&["order.filled"; 10]).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let webhook = world.webhook(2, &[]).await;
    recover(&world, webhook, 7, RecoverWhat::Missing).await;
    world.pass(LATER).await;
    assert_eq!((sent_once(&world, 0).len(), world.succeeded()), (10, 10));
    recover(&world, webhook, 8, RecoverWhat::Missing).await;
    world.pass(LATER).await;
    assert_eq!(world.sent().len(), 10, "nothing is missing any more");
    recover(&world, webhook, 9, RecoverWhat::All).await;
    world.pass(LATER).await;
    assert_eq!((sent_once(&world, 0).len(), world.succeeded()), (20, 20), "new deliveries of all");
}

#[tokio::test]
async fn a_cancelled_job_leaves_the_rest() {
    let world = world().await;
    let webhook = failed(&world, 600).await;
    world.let_it(webhook, Does::TakeFor(Duration::from_secs(20)));
    let id = recover(&world, webhook, 7, RecoverWhat::Failed).await;
    world.settle().await;
    let cancelled = world.engine.cancel_job(ACCOUNT, id).await.unwrap().unwrap();
    assert_eq!(cancelled.status, JobStatus::Cancelled);
    assert!((1..600).contains(&cancelled.done), "{}", cancelled.done);
    world.let_it(webhook, Does::Succeed);
    world.pass(Duration::from_secs(300)).await;
    assert_eq!(
        world.succeeded() as u64,
        cancelled.done,
        "what it had done goes out, the rest does not"
    );
    assert_eq!(world.engine.cancel_job(ACCOUNT, id).await.unwrap().unwrap(), cancelled);
    assert_eq!(world.engine.cancel_job(ACCOUNT, JobId::from_u128(1)).await, Ok(None));
}

#[tokio::test]
async fn a_restart_in_the_middle_repeats_nothing_and_leaves_nothing_out() {
    let mut world = world().await;
    let webhook = failed(&world, 600).await;
    world.let_it(webhook, Does::TakeFor(Duration::from_secs(5)));
    let id = recover(&world, webhook, 7, RecoverWhat::Failed).await;
    world.settle().await;
    world.let_it(webhook, Does::Succeed);
    let before = job(&world, id).await;
    assert_eq!(before.status, JobStatus::Running);
    assert!(before.done < 600, "{}", before.done);
    world.start_again().await;
    world.pass(LATER).await;
    let job = job(&world, id).await;
    assert_eq!((job.status, job.done), (JobStatus::Succeeded, 600));
    assert_eq!((world.succeeded(), world.statuses().len()), (600, 600));
}

#[tokio::test]
async fn a_fresh_event_does_not_wait_behind_a_recovery() {
    let world = world().await;
    let webhook = failed(&world, 1_500).await;
    // A receiver that takes its time, so that the recovery takes long.
    world.let_it(webhook, Does::TakeFor(Duration::from_millis(500)));
    recover(&world, webhook, 7, RecoverWhat::Failed).await;
    world.pass(Duration::from_millis(200)).await;
    let fresh = world.post(&["order.filled"]).await.unwrap().remove(0).event.id.clone();
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(world.succeeded(), 1_501);
    let sent = world.sent();
    let place = sent
        .iter()
        .skip(3_000)
        .position(|outgoing| outgoing.event.as_ref() == Some(&fresh))
        .unwrap();
    assert!(place < 500, "it was sent behind {place} of 1,500");
}

#[tokio::test]
async fn a_recovery_waits_while_its_webhook_is_switched_off_and_others_go_on() {
    let world = world().await;
    let webhook = failed(&world, 10).await;
    let other = world.webhook(3, &[]).await;
    let change = |is_active| postrider_model::webhook::WebhookChange {
        is_active: Some(is_active),
        ..Default::default()
    };
    let edit = |is_active| postrider_ports::registry::WebhookEdit::Change(change(is_active));
    let id = recover(&world, webhook, 7, RecoverWhat::Failed).await;
    world.engine.edit_webhook(ACCOUNT, webhook, edit(false)).await.unwrap();
    recover(&world, other, 8, RecoverWhat::Missing).await;
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(job(&world, id).await.status, JobStatus::Running);
    assert_eq!(world.succeeded(), 10, "those of the other");
    world.engine.edit_webhook(ACCOUNT, webhook, edit(true)).await.unwrap();
    world.pass(LATER).await;
    assert_eq!((job(&world, id).await.status, world.succeeded()), (JobStatus::Succeeded, 20));
}

#[tokio::test]
async fn a_store_that_is_gone_for_a_while_is_waited_for() {
    let world = world().await;
    let webhook = failed(&world, 300).await;
    let id = recover(&world, webhook, 7, RecoverWhat::Failed).await;
    world.store.refuse_writes(6);
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(job(&world, id).await.status, JobStatus::Succeeded);
    assert_eq!((world.succeeded(), world.statuses().len()), (300, 300));
}
