//! What callers ask of the engine, and what they write into the book.

use std::time::Duration;

use postrider_engine::{Engine, EventIn, IngestError, Ingested};
use postrider_model::account::{Account, AccountChange};
use postrider_model::event::Resource;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, EventId, JobId, WebhookId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::name::{EventName, EventNamePattern};
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::{Rotation, Webhook};
use postrider_ports::once::{Once, Write, Written};
use postrider_ports::registry::{WebhookEdit, WebhookEdited, WebhookMade};
use postrider_ports::store::Retried;
use postrider_ports::{Clock as _, Random as _, Store as _};

use crate::book::Acknowledged;
use crate::world::Shared;

/// An event as the script wants it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) name: &'static str,
    pub(crate) content: u64,
    pub(crate) own: Option<String>,
}

pub(crate) fn url(host: u64, path: u64) -> WebhookUrl {
    WebhookUrl::parse(&format!("https://h{host}.example.com/{path}"), &UrlPolicy::default()).expect("a url")
}

pub(crate) fn patterns(names: &[&str]) -> Vec<EventNamePattern> {
    names.iter().map(|name| EventNamePattern::parse(name).expect("a pattern")).collect()
}

fn secret(shared: &Shared) -> SigningSecret {
    let mut bytes = [0; 32];
    shared.random.fill(&mut bytes);
    SigningSecret::from_bytes(&bytes).expect("32 bytes")
}

pub(crate) async fn create_account(engine: Engine, shared: Shared) {
    let now = shared.clock.wall();
    let account = Account {
        id: AccountId::new(now, shared.random.bits()),
        external_id: None,
        name: "Simulated".to_owned(),
        is_active: true,
        created_at: now,
        modified_at: now,
    };
    let id = account.id;
    if engine.write(Write::CreateAccount(account), None).await.is_ok() {
        shared.book.account_made(id);
    }
}

pub(crate) async fn create_webhook(engine: Engine, shared: Shared, account: AccountId, made: (WebhookUrl, Vec<EventNamePattern>)) {
    let now = shared.clock.wall();
    let (url, event_names) = made;
    let webhook = Webhook {
        id: WebhookId::new(now, shared.random.bits()),
        account,
        url,
        description: None,
        is_active: true,
        event_names,
        secrets: vec![WebhookSecret {
            secret: secret(&shared),
            expires_at: None,
        }],
        health: Health::Unproven,
        created_at: now,
        modified_at: now,
    };
    let id = webhook.id;
    // Written down first: where the answer is lost it may be there all the same.
    shared.book.webhook_made(account, id);
    shared.receivers.change_begins(account);
    let write = Write::CreateWebhook(webhook, engine.settings().webhooks_per_account);
    if let Ok(Once::Done(Written::Webhook(WebhookMade::Made | WebhookMade::NoAccount))) = engine.write(write, None).await {
        shared.receivers.change_is_known(account);
    }
}

pub(crate) async fn edit_webhook(engine: Engine, shared: Shared, of: (AccountId, WebhookId), edit: WebhookEdit) {
    shared.receivers.change_begins(of.0);
    if let Ok(WebhookEdited::Edited(_) | WebhookEdited::NotFound | WebhookEdited::TooManySecrets(_)) =
        engine.edit_webhook(of.0, of.1, edit).await
    {
        shared.receivers.change_is_known(of.0);
    }
}

pub(crate) async fn rotate(engine: Engine, shared: Shared, of: (AccountId, WebhookId), grace: Duration) {
    let secret = secret(&shared);
    edit_webhook(engine, shared, of, WebhookEdit::Rotate(Rotation { secret, grace })).await;
}

pub(crate) async fn delete_webhook(engine: Engine, shared: Shared, of: (AccountId, WebhookId)) {
    shared.receivers.change_begins(of.0);
    if let Ok(was_there) = engine.delete_webhook(of.0, of.1).await {
        if was_there {
            shared.book.webhook_deleted(of.1);
        }
        shared.receivers.change_is_known(of.0);
    }
}

pub(crate) async fn change_account(engine: Engine, shared: Shared, account: AccountId, is_active: bool) {
    let change = AccountChange {
        is_active: Some(is_active),
        ..AccountChange::default()
    };
    shared.receivers.change_begins(account);
    if engine.change_account(account, change).await.is_ok() {
        shared.receivers.change_is_known(account);
    }
}

pub(crate) async fn delete_account(engine: Engine, shared: Shared, account: AccountId) {
    shared.book.account_given_up(account);
    shared.receivers.change_begins(account);
    if engine.delete_account(account).await.is_ok() {
        shared.receivers.change_is_known(account);
    }
}

pub(crate) async fn test(engine: Engine, shared: Shared, of: (AccountId, WebhookId)) {
    let Some(webhook) = shared.store.look_webhook(of.0, of.1) else {
        return;
    };
    let name = EventName::parse("test.sent").expect("a name");
    let test = engine.draft_test(webhook.account, webhook.id, name, "{}");
    let id = test.delivery.id;
    if let Ok(Once::Done(Written::Test(true))) = engine.write(Write::CreateTest(test.delivery, test.payload), None).await {
        shared.book.test_made(of.0, id);
    }
}

pub(crate) async fn retry(engine: Engine, shared: Shared, of: (AccountId, DeliveryId)) {
    let Some(before) = shared.store.look_delivery(of.1) else { return };
    shared.book.retry_asked(before.webhook, before.event.clone());
    if !matches!(engine.being_sent(of.0, of.1).await, Ok(None)) {
        return;
    }
    let write = Write::RetryDelivery(engine.draft_retry(of.0, of.1));
    match engine.write(write, None).await {
        Ok(Once::Done(Written::Retried(Retried::Due { queued, .. }))) if queued.delivery != of.1 => {
            let is_over = shared.store.look_delivery(of.1).is_some_and(|delivery| delivery.status.is_final());
            if !is_over {
                shared.receivers.violation(format!("{} has a double though it is not over", of.1));
            }
        }
        Ok(Once::Done(Written::Retried(Retried::NotFound))) => shared.receivers.violation(format!("{} was not found for a retry", of.1)),
        Ok(_) | Err(_) => {}
    }
}

pub(crate) async fn recover(engine: Engine, shared: Shared, of: (AccountId, WebhookId), (what, length): (RecoverWhat, Duration)) {
    let now = shared.clock.wall();
    let job = Job {
        id: JobId::new(now, shared.random.bits()),
        account: of.0,
        kind: JobKind::Recover,
        webhook: Some(of.1),
        status: JobStatus::Running,
        done: 0,
        total: None,
        error: None,
        ended_at: None,
        created_at: now,
        modified_at: now,
    };
    let recovery = Recovery {
        webhook: of.1,
        since: now - length,
        until: now,
        what,
    };
    // Written down first: where the answer is lost it may run all the same.
    shared.book.recovery_asked(of.1, what == RecoverWhat::All);
    drop(engine.write(Write::CreateJob(job, recovery), None).await);
}

/// Stops one of the jobs that run.
pub(crate) async fn cancel(engine: Engine, shared: Shared, account: AccountId) {
    if let Ok(jobs) = shared.store.running_jobs(None, 1).await {
        for job in jobs {
            drop(engine.cancel_job(account, job).await);
        }
    }
}

/// Posts events as the API does: it reads the account, refuses a suspended one, and begins anew where the account has changed.
pub(crate) async fn post(engine: Engine, shared: Shared, account: AccountId, drafts: Vec<Draft>) {
    for _ in 0..5 {
        let before = shared.store.look_account(account);
        let Ok(Some(entry)) = engine.account(account).await else { return };
        if !entry.snapshot.account.is_active {
            return;
        }
        let data: Vec<String> = drafts.iter().map(|draft| format!("{{\"content\":{}}}", draft.content)).collect();
        let events = drafts.iter().zip(&data).map(|(draft, data)| event_in(draft, data)).collect();
        match engine.ingest(&entry, events, None).await {
            Ok(ingested) => {
                let after = shared.store.look_account(account);
                let is_same = before.as_ref().map(|account| account.version) == after.map(|account| account.version);
                let webhooks = before.filter(|_| is_same).map(|account| account.webhooks);
                for (draft, ingested) in drafts.iter().zip(ingested) {
                    acknowledge(&shared, account, draft, (&ingested, webhooks.as_deref()));
                }
                return;
            }
            Err(IngestError::KeyChanged) => {}
            Err(IngestError::IdTaken { index }) => return judge_taken(&shared, account, (&drafts, index)),
            Err(_) => return,
        }
    }
}

fn event_in<'a>(draft: &Draft, data: &'a str) -> EventIn<'a> {
    EventIn {
        name: EventName::parse(draft.name).expect("a name"),
        resource: Resource {
            id: "1".to_owned(),
            resource_type: "order".to_owned(),
        },
        data,
        id: draft.own.as_deref().and_then(EventId::own),
    }
}

fn acknowledge(shared: &Shared, account: AccountId, draft: &Draft, (ingested, webhooks): (&Ingested, Option<&[std::sync::Arc<Webhook>]>)) {
    let event = ingested.event.id.clone();
    if draft.own.is_some() {
        let first = shared.book.own(account, &event);
        if first.is_some_and(|content| content != draft.content) {
            shared.receivers.violation(format!("{event} was taken with two contents"));
        }
        if first.is_some() && ingested.is_new {
            shared.receivers.violation(format!("{event} was taken as new twice"));
        }
        shared.book.own_acknowledged(account, event.clone(), draft.content);
    }
    let wanted_by = webhooks.filter(|_| ingested.is_new).map(|webhooks| {
        let wanting = webhooks.iter().filter(|webhook| webhook.wants(&ingested.event.name));
        wanting.map(|webhook| webhook.id).collect()
    });
    shared.book.acknowledged(Acknowledged { account, event, wanted_by });
}

fn judge_taken(shared: &Shared, account: AccountId, (drafts, index): (&[Draft], usize)) {
    let draft = &drafts[index];
    let Some(id) = draft.own.as_deref().and_then(EventId::own) else {
        return shared.receivers.violation("an id of ours was taken".to_owned());
    };
    let is_same = |other: &&Draft| other.own == draft.own && other.content != draft.content;
    let in_request = drafts.iter().take(index).any(|other| is_same(&other));
    let in_store = shared
        .store
        .look_event(account, &id)
        .is_some_and(|event| event.data() != format!("{{\"content\":{}}}", draft.content));
    if !in_request && !in_store {
        shared.receivers.violation(format!("{id} is not taken"));
    }
}

/// When something was long ago.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> Duration {
    now.since(then)
}
