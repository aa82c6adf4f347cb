//! Recovery on a file: over segments of the history, restarts between all steps, and steps at the same time.

use std::sync::Arc;
use std::time::Duration;

use postrider_model::delivery::Change;
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::id::{DeliveryId, EventId, JobId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::name::EventName;
use postrider_model::time::Timestamp;
use postrider_ports::Store as _;
use postrider_ports::store::{JobMade, JobNext, JobStep, NewEvent, OutcomeRecord, Submission};
use postrider_store_sqlite::SqliteStore;

use crate::support::{Folder, NOW, Sender, bits};

fn later(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

/// Events of these times in one request, each with a delivery that fails.
async fn fail_events(store: &SqliteStore, sender: &Sender, times: &[Timestamp]) -> Vec<DeliveryId> {
    let events: Vec<NewEvent> = times.iter().map(|at| event_of(sender, *at)).collect();
    let ids: Vec<DeliveryId> = events.iter().map(|event| event.deliveries[0].0).collect();
    let request = Submission {
        account: sender.account,
        version: sender.version,
        events,
        keep: None,
    };
    store.commit_events(vec![request]).await.unwrap();
    let outcomes = ids.iter().map(|delivery| OutcomeRecord {
        account: sender.account,
        delivery: *delivery,
        change: Change::AttemptFailed { number: 1, next: None },
        attempt: None,
        at: NOW,
    });
    store.record_outcomes(outcomes.collect()).await.unwrap();
    ids
}

fn event_of(sender: &Sender, at: Timestamp) -> NewEvent {
    let draft = EventDraft {
        name: EventName::parse("order.created").unwrap(),
        resource: Resource {
            id: "ord_1".to_owned(),
            resource_type: "order".to_owned(),
        },
        data: "{}",
    };
    NewEvent {
        event: Arc::new(Event::new(sender.account, EventId::new(at, bits()), draft, at)),
        deliveries: vec![(DeliveryId::new(at, bits()), sender.webhook)],
    }
}

async fn job(store: &SqliteStore, sender: &Sender, (since, until): (Timestamp, Timestamp)) -> JobId {
    let id = JobId::new(NOW, bits());
    let job = Job {
        id,
        account: sender.account,
        kind: JobKind::Recover,
        webhook: Some(sender.webhook),
        status: JobStatus::Running,
        done: 0,
        total: None,
        error: None,
        ended_at: None,
        created_at: NOW,
        modified_at: NOW,
    };
    let recovery = Recovery {
        webhook: sender.webhook,
        since,
        until,
        what: RecoverWhat::Failed,
    };
    assert_eq!(store.create_job(job, recovery).await, Ok(JobMade::Made));
    id
}

fn step_of(job: JobId, rows_max: usize) -> JobStep {
    JobStep {
        job,
        rows_max,
        fresh: (0..rows_max).map(|_| DeliveryId::new(NOW, bits())).collect(),
        now: NOW,
    }
}

/// Acknowledges all that is due, and tells what that was.
async fn drain(store: &SqliteStore, sender: &Sender) -> Vec<DeliveryId> {
    let due = sender.due(store).await;
    let outcomes = due.iter().map(|delivery| OutcomeRecord {
        change: Change::Succeeded { number: 2 },
        ..sender.acknowledged(*delivery)
    });
    store.record_outcomes(outcomes.collect()).await.unwrap();
    due
}

/// Steps to the end; the receiver takes all that comes.
async fn finish(store: &SqliteStore, sender: &Sender, job: JobId) -> Vec<DeliveryId> {
    let mut sent = Vec::new();
    loop {
        let next = store.step_job(step_of(job, 200)).await.unwrap().next;
        sent.extend(drain(store, sender).await);
        if next == JobNext::Ended {
            return sent;
        }
    }
}

#[tokio::test]
async fn a_recovery_survives_a_restart_at_every_step() {
    let folder = Folder::new();
    let mut store = folder.open();
    let sender = Sender::new(&store).await;
    let mut expected = Vec::new();
    for second in 0..6 {
        // Two segments of the history, and a rest.
        expected.extend(fail_events(&store, &sender, &vec![later(second); 900]).await);
    }
    let id = job(&store, &sender, (NOW, later(100))).await;
    let mut sent = Vec::new();
    loop {
        let next = store.step_job(step_of(id, 120)).await.unwrap().next;
        drop(store);
        store = folder.open();
        sent.extend(drain(&store, &sender).await);
        if next == JobNext::Ended {
            break;
        }
    }
    assert_eq!(sent.len(), expected.len());
    assert!(sent == expected, "oldest first, each once");
    let ended = store.job(sender.account, id).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.done, ended.total), (JobStatus::Succeeded, 5_400, Some(5_400)));
}

#[tokio::test]
async fn events_are_found_however_the_clock_was_set() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let mut wanted = Vec::new();
    // The clock goes ahead for an hour, and is set right again.
    for seconds in [0, 5_000, 10, 7_200, 20, 30] {
        let made = fail_events(&store, &sender, &vec![later(seconds); 1_000]).await;
        let noise = fail_events(&store, &sender, &vec![later(100_000 + seconds); 1_200]).await;
        assert_eq!(noise.len(), 1_200);
        if (10..6_000).contains(&seconds) {
            wanted.extend(made);
        }
    }
    let id = job(&store, &sender, (later(10), later(6_000))).await;
    let sent = finish(&store, &sender, id).await;
    assert!(sent == wanted, "{} of {}", sent.len(), wanted.len());
}

#[tokio::test]
async fn segments_of_unknown_times_are_looked_into() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let mut wanted = Vec::new();
    for _ in 0..6 {
        wanted.extend(fail_events(&store, &sender, &vec![later(5); 900]).await);
    }
    drop(store);
    // As a file looks that an older version has filled.
    let conn = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    let changed = conn.execute("UPDATE segments SET oldest = NULL, newest = NULL", []).unwrap();
    assert!(changed > 0, "there are segments");
    drop(conn);
    let store = folder.open();
    let id = job(&store, &sender, (later(5), later(6))).await;
    assert!(finish(&store, &sender, id).await == wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_at_the_same_time_send_nothing_twice() {
    let folder = Folder::new();
    let store = Arc::new(folder.open());
    let sender = Sender::new(&store).await;
    let mut expected = fail_events(&store, &sender, &vec![later(1); 600]).await;
    // Two jobs for the same events, each stepped by two at once.
    let jobs = [
        job(&store, &sender, (NOW, later(100))).await,
        job(&store, &sender, (NOW, later(100))).await,
    ];
    let mut sent = Vec::new();
    for _ in 0..1_000 {
        let steps: Vec<_> = jobs
            .iter()
            .chain(&jobs)
            .map(|job| {
                let (store, step) = (Arc::clone(&store), step_of(*job, 50));
                tokio::spawn(async move { store.step_job(step).await.unwrap().next })
            })
            .collect();
        let mut is_over = true;
        for step in steps {
            is_over &= step.await.unwrap() == JobNext::Ended;
        }
        sent.extend(drain(&store, &sender).await);
        if is_over {
            break;
        }
    }
    sent.sort();
    expected.sort();
    assert!(sent == expected, "{} of {}", sent.len(), expected.len());
}
