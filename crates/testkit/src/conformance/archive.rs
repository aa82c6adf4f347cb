//! Promises about reading a store out and filling one, for the stores that can.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::account::AccountChange;
use postrider_model::delivery::Change;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::job::RecoverWhat;
use postrider_model::key::{Key, KeyOwner, TokenHash};
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_model::name::EventNamePattern;
use postrider_model::queue::Position;
use postrider_model::secret::SigningSecret;
use postrider_model::webhook::Rotation;
use postrider_ports::archive::{Archive, Kind, Moved, PAGE_BYTES_MAX, Placed, Record};
use postrider_ports::once::{KeptAnswer, Write};
use postrider_ports::registry::WebhookEdit;
use postrider_ports::store::{DeliveryFilter, EventFilter, RetryAsk};
use postrider_ports::{Store, StoreError};

use super::fixture::{
    START, account, acknowledged, at, bits, deliver, due_ids, event, event_like, fail, listed, new_account, new_webhook, own_event, page,
    record, refused, sender, stored, succeed, switch, test_of, to, webhook,
};
use super::jobs::{job, recovery, step, steps};
use super::keys::new_key;
use super::once::{answer, answer_key, keep, kept_body};

/// Makes stores for tests.
#[allow(async_fn_in_trait, reason = "of tests, whose futures need not be sent anywhere")]
pub trait Archives {
    /// What they are.
    type Kind: Store + Archive;
    /// One of them, open.
    type Opened: Deref<Target = Self::Kind>;

    /// A new, empty one.
    async fn empty(&self) -> Self::Opened;

    /// The same, as a server opens it that starts later.
    async fn open_again(&self, store: Self::Opened) -> Self::Opened;
}

/// What `fill` put into a store.
pub struct Filled {
    /// Its account with the most.
    pub account: AccountId,
    /// A webhook that deliveries wait for.
    pub webhook: WebhookId,
    /// One that is not active.
    pub paused: WebhookId,
    /// The token of one of its keys.
    pub token: &'static str,
}

/// Something of everything that a store can hold, and each in every state that outlives a restart.
pub async fn fill(store: &dyn Store) -> Filled {
    let (owner, webhook) = sender(store).await;
    registry(store, owner, webhook).await;
    let paused = history(store, owner, webhook).await;
    fan_outs(store, owner, webhook).await;
    jobs(store, owner, webhook).await;
    answers(store, owner).await;
    leftovers(store).await;
    Filled {
        account: owner,
        webhook,
        paused,
        token: "ptr_one",
    }
}

async fn registry(store: &dyn Store, owner: AccountId, webhook: WebhookId) {
    let other = new_account(Some("customer-7"));
    let id = other.id;
    store.create_account(other).await.unwrap();
    let inactive = AccountChange {
        name: Some("Closed \u{2603}".to_owned()),
        is_active: Some(false),
        ..AccountChange::default()
    };
    store.change_account(id, inactive, at(3)).await.unwrap();
    let of_account = new_key(KeyOwner::Account(owner));
    store.create_key(of_account.clone(), TokenHash::of("ptr_one")).await.unwrap();
    store.touch_keys(vec![(of_account.id, at(9))]).await.unwrap();
    let endless = Key {
        expires_at: None,
        ..new_key(KeyOwner::Operator)
    };
    store.create_key(endless, TokenHash::of("ptrop_two")).await.unwrap();
    for seconds in [5, 6] {
        let rotation = Rotation {
            secret: SigningSecret::from_bytes(&[u8::try_from(seconds).unwrap(); 24]).unwrap(),
            grace: Duration::from_secs(3_600),
        };
        store
            .edit_webhook(owner, webhook, WebhookEdit::Rotate(rotation), at(seconds))
            .await
            .unwrap();
    }
    let mut picky = new_webhook(owner);
    picky.description = None;
    picky.event_names = ["order.*", "user.created"]
        .map(|name| EventNamePattern::parse(name).unwrap())
        .to_vec();
    let ill = Health::Ill { failures: 3, since: at(4) };
    store.create_webhook(picky.clone(), 10).await.unwrap();
    store
        .store_health(vec![(owner, webhook, Health::Well), (owner, picky.id, ill)])
        .await
        .unwrap();
}

/// Deliveries of all sorts; the webhook that is not active.
async fn history(store: &dyn Store, owner: AccountId, first: WebhookId) -> WebhookId {
    let second = webhook(store, owner).await;
    stored(store, owner, vec![to(&event(owner, START), &[])]).await;
    stored(
        store,
        owner,
        vec![to(&own_event(owner, "own-1", "{\"a\":[1,2.50,\"\u{e9}\"]}"), &[first, second])],
    )
    .await;
    let other = event_like(
        owner,
        postrider_model::id::EventId::new(at(1), bits()),
        ("user.created", "u 1", "{}"),
        at(1),
    );
    stored(store, owner, vec![to(&other, &[second]), to(&event(owner, at(1)), &[first])]).await;

    let made = deliver(store, owner, first, at(2)).await.1;
    succeed(store, (owner, made), 1, at(3)).await;
    let second_try = deliver(store, owner, first, at(2)).await.1;
    fail(store, (owner, second_try), 1, at(3), Some(at(4))).await;
    succeed(store, (owner, second_try), 2, at(5)).await;
    let tried = deliver(store, owner, first, at(2)).await.1;
    fail(store, (owner, tried), 1, at(3), Some(at(40))).await;
    fail(store, (owner, tried), 2, at(40), Some(at(4_000))).await;
    let exhausted = deliver(store, owner, first, at(2)).await.1;
    fail(store, (owner, exhausted), 1, at(3), None).await;
    let expired = deliver(store, owner, first, at(2)).await.1;
    record(store, (owner, expired), Change::Expired, None, at(50)).await;
    let wordy = deliver(store, owner, first, at(2)).await.1;
    let mut acknowledged = acknowledged(1);
    acknowledged.response.clone_from(&refused(1).response);
    record(store, (owner, wordy), Change::Succeeded { number: 1 }, Some(acknowledged), at(3)).await;
    // Failed, and pending once more by its owner's wish; the schedule of it begins anew.
    let again = deliver(store, owner, first, at(2)).await.1;
    fail(store, (owner, again), 1, at(3), None).await;
    let ask = RetryAsk {
        account: owner,
        delivery: again,
        fresh: DeliveryId::new(at(6), bits()),
        now: at(6),
    };
    store.retry_delivery(ask).await.unwrap();

    for is_tried in [false, true] {
        let test = test_of(owner, first);
        let body = Bytes::from_static(b"{\"id\":\"evt_test_00000000000000000000000001\"}");
        store.create_test(test.clone(), body).await.unwrap();
        if is_tried {
            fail(store, (owner, test.id), 1, at(7), None).await;
        }
    }
    let paused = webhook(store, owner).await;
    deliver(store, owner, paused, at(8)).await;
    switch(store, owner, paused, false).await;
    let (third, alone) = sender(store).await;
    deliver(store, third, alone, at(8)).await;
    paused
}

/// A large fan-out, of which a little was made.
async fn fan_outs(store: &dyn Store, owner: AccountId, webhook: WebhookId) {
    for event in [own_event(owner, "wide", "{}"), event(owner, at(9))] {
        let mut new = to(&event, &[]);
        for _ in 0..=TRANSACTION_ROWS_MAX {
            new.deliveries.extend(to(&event, &[webhook]).deliveries);
        }
        stored(store, owner, vec![new]).await;
    }
    store.expand_fanouts(10).await.unwrap();
}

/// One that is counting, one at work, one that was cancelled and one that is done.
async fn jobs(store: &dyn Store, owner: AccountId, webhook: WebhookId) {
    job(store, owner, recovery(webhook, RecoverWhat::Failed)).await;
    let begun = job(store, owner, recovery(webhook, RecoverWhat::Failed)).await;
    step(store, begun, 3, 101).await;
    let cancelled = job(store, owner, recovery(webhook, RecoverWhat::All)).await;
    store.cancel_job(owner, cancelled, at(102)).await.unwrap();
    let (other, its) = sender(store).await;
    let delivery = deliver(store, other, its, at(9)).await.1;
    fail(store, (other, delivery), 1, at(10), None).await;
    let done = job(store, other, recovery(its, RecoverWhat::Failed)).await;
    steps(store, done, 10, 103).await;
}

async fn answers(store: &dyn Store, owner: AccountId) {
    let secret = KeptAnswer {
        is_secret: true,
        ..answer("{\"secret\":\"whsec_x\"}")
    };
    for (owner, key, answer) in [
        (KeyOwner::Operator, "o \u{e9}", answer("{}")),
        (KeyOwner::Account(owner), "Z", secret),
        (KeyOwner::Account(owner), "a", answer("")),
    ] {
        let at = answer_key(owner, key);
        store.write_once(Write::Nothing, keep(&at, START, answer)).await.unwrap();
    }
}

/// What the background has not done yet: of a deleted webhook, and of a deleted account.
async fn leftovers(store: &dyn Store) {
    // Nothing of this one is left but its grave.
    let owner = account(store).await;
    store.delete_account(owner, at(11)).await.unwrap();
    while store.erase_deleted(1_000).await.unwrap() {}
    for is_account in [false, true] {
        let (owner, webhook) = sender(store).await;
        for seconds in [10, 11] {
            deliver(store, owner, webhook, at(seconds)).await;
        }
        if is_account {
            store.delete_account(owner, at(12)).await.unwrap();
        } else {
            store.delete_webhook(owner, webhook, at(12)).await.unwrap();
        }
    }
}

/// What moves have to say of themselves.
fn moved() -> Moved {
    Moved {
        from: "one".to_owned(),
        kind: Kind::Accounts,
        next: Vec::new(),
        records: 0,
        is_done: false,
    }
}

/// All of a kind, in pages of so many.
async fn read(store: &dyn Archive, kind: Kind, records_max: usize) -> Vec<Placed> {
    let mut found = Vec::new();
    let mut next = Some(Vec::new());
    while let Some(from) = next {
        let page = store.read_page(kind, from, records_max).await.unwrap();
        assert!(page.records.len() <= records_max, "{} of {records_max}", page.records.len());
        found.extend(page.records);
        next = page.next;
    }
    found
}

/// All of a record, its secrets too.
fn shape(placed: &Placed) -> String {
    match &placed.record {
        Record::Account {
            account,
            version,
            deleted_at,
            is_erased,
        } => format!("{account:?} {version} {deleted_at:?} {is_erased}"),
        Record::Key { key, hash } => format!("{key:?} {:?}", hash.as_bytes()),
        Record::Webhook { webhook, deleted_at } => {
            let secrets: Vec<&[u8]> = webhook.secrets.iter().map(|secret| secret.secret.as_bytes()).collect();
            format!("{webhook:?} {secrets:?} {deleted_at:?}")
        }
        Record::Event { event, deliveries } => format!("{event:?} {deliveries:?}"),
        Record::Delivery(kept) => format!("{kept:?}"),
        Record::Fanout {
            account,
            event,
            chunk,
            created_at,
            pairs,
        } => format!("{account:?} {event:?} {chunk} {created_at:?} {pairs:?}"),
        Record::Stopping { account, webhook } => format!("{account:?} {webhook:?}"),
        Record::Job(kept) => format!("{kept:?}"),
        Record::Answer { at, ends_at, kept } => format!("{at:?} {ends_at:?} {kept:?} {:?}", kept.answer.body),
    }
}

async fn shapes(store: &dyn Archive, kind: Kind, records_max: usize) -> Vec<String> {
    read(store, kind, records_max).await.iter().map(shape).collect()
}

/// All that can be read out of a store.
///
/// # Errors
/// Those of reading.
pub async fn everything(store: &dyn Archive) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let mut next = Some(Vec::new());
        while let Some(from) = next {
            let page = store.read_page(kind, from, 1_000).await?;
            found.extend(page.records.iter().map(shape));
            next = page.next;
        }
    }
    Ok(found)
}

/// What tells of damage in a store that was filled with this.
pub async fn damage(store: &dyn Archive, whole: &[String]) -> String {
    match everything(store).await {
        Err(error) => error.to_string(),
        Ok(found) if found != whole => "records".to_owned(),
        Ok(_) => store.first_fault().await.unwrap().unwrap_or_else(|| "nothing".to_owned()),
    }
}

/// Moves everything from one to the other.
pub async fn move_all(one: &dyn Archive, other: &dyn Archive) {
    let last = one.standing().await.unwrap().last;
    other.begin_filling(moved(), last).await.unwrap();
    for kind in Kind::ALL {
        for page in read(one, kind, 1_000).await.chunks(1_000) {
            let moved = Moved { kind, ..moved() };
            other.write_page(Arc::new(page.to_vec()), moved).await.unwrap();
        }
    }
}

pub async fn what_is_read_out_fills_another(stores: &impl Archives) {
    let (one, other) = (stores.empty().await, stores.empty().await);
    let (one, other) = (&*one, &*other);
    fill(one).await;
    move_all(one, other).await;
    for kind in Kind::ALL {
        let shapes = [shapes(one, kind, 1_000).await, shapes(other, kind, 1_000).await];
        assert!(!shapes[0].is_empty(), "{kind:?} were tried");
        assert!(shapes[0] == shapes[1], "{kind:?} are the same");
    }
    assert_eq!(one.first_fault().await, Ok(None));
    assert_eq!(other.first_fault().await, Ok(None));
    other.finish_filling().await.unwrap();
    assert_eq!(other.first_fault().await, Ok(None));
}

/// All that lists, look-ups and lanes see of a store.
async fn seen(store: &dyn Store, filled: &Filled) -> Vec<String> {
    let Filled {
        account, webhook, paused, ..
    } = *filled;
    let mut seen = Vec::new();
    for webhook in [None, Some(webhook), Some(paused)] {
        let filter = DeliveryFilter {
            webhook,
            ..DeliveryFilter::default()
        };
        seen.push(format!("{:?}", listed(store, account, &filter, 50).await));
    }
    for webhook in [webhook, paused] {
        seen.push(format!("{:?}", due_ids(store, account, webhook, at(5_000)).await));
    }
    let events = store
        .events_behind(account, EventFilter::default(), Position::default(), 100)
        .await
        .unwrap();
    seen.push(format!("{:?}", events.rows));
    let accounts = store.list_accounts(page(100, None)).await.unwrap();
    seen.push(format!("{:?}", accounts.rows));
    let jobs = store.list_jobs(account, page(100, None)).await.unwrap();
    seen.push(format!("{:?} {:?}", jobs.rows, store.running_jobs(None, 10).await));
    let webhooks = store.list_webhooks(account, page(100, None)).await.unwrap();
    seen.push(format!("{:?}", webhooks.rows));
    seen.push(format!("{:?}", store.find_key(TokenHash::of(filled.token)).await));
    seen.push(format!(
        "{:?}",
        kept_body(store, &answer_key(KeyOwner::Account(account), "Z")).await
    ));
    seen
}

pub async fn a_filled_store_works_like_the_first(stores: &impl Archives) {
    let (one, other) = (stores.empty().await, stores.empty().await);
    let filled = fill(&*one).await;
    move_all(&*one, &*other).await;
    other.finish_filling().await.unwrap();
    // Its places begin above those that were brought.
    let other = stores.open_again(other).await;
    let (one, other) = (&*one, &*other);
    assert_eq!(seen(one, &filled).await, seen(other, &filled).await);
    // What was under way goes on, to the same end.
    let mut ends = Vec::new();
    for store in [one as &dyn Store, other] {
        while store.expand_fanouts(TRANSACTION_ROWS_MAX).await.unwrap().more {}
        while store.stop_deleted(1_000, at(200)).await.unwrap() {}
        while store.erase_deleted(1_000).await.unwrap() {}
        let end = seen(store, &filled).await;
        let new = deliver(store, filled.account, filled.webhook, at(201)).await.1;
        let newest = listed(store, filled.account, &DeliveryFilter::default(), 200).await[0];
        assert_eq!(newest, new, "what is new comes behind all that was moved");
        ends.push(end);
    }
    assert!(ends[0] == ends[1], "they end alike");
    assert_eq!(one.first_fault().await, Ok(None));
    assert_eq!(other.first_fault().await, Ok(None));
}

pub async fn pages_of_any_size_hold_the_same(stores: &impl Archives) {
    let one = stores.empty().await;
    let one = &*one;
    fill(one).await;
    for kind in Kind::ALL {
        let all = shapes(one, kind, 100_000).await;
        for records_max in [1, 3, 500] {
            // One by one is slow where there are thousands.
            if records_max > 1 || all.len() < 500 {
                assert!(shapes(one, kind, records_max).await == all, "{kind:?} in pages of {records_max}");
            }
        }
    }
}

pub async fn a_page_holds_so_many_bytes(stores: &impl Archives) {
    let one = stores.empty().await;
    let one = &*one;
    let (owner, webhook) = sender(one).await;
    let data = format!("\"{}\"", "x".repeat(PAGE_BYTES_MAX / 40));
    for number in 0..90u32 {
        let id = postrider_model::id::EventId::new(at(1), bits());
        let event = event_like(owner, id, ("a.b", "r", if number < 60 { &data } else { "{}" }), at(1));
        stored(one, owner, vec![to(&event, &[webhook])]).await;
        let answer = answer(if number < 60 { &data } else { "" });
        let place = answer_key(KeyOwner::Account(owner), &format!("{number}"));
        one.write_once(Write::Nothing, keep(&place, START, answer)).await.unwrap();
    }
    for (kind, count) in [(Kind::History, 180), (Kind::Answers, 90)] {
        let mut next = Some(Vec::new());
        let (mut pages, mut records) = (0, 0);
        while let Some(from) = next {
            let page = one.read_page(kind, from, 100_000).await.unwrap();
            let bytes: usize = page.records.iter().map(|placed| placed.record.bytes()).sum();
            assert!(bytes < PAGE_BYTES_MAX * 11 / 10, "{bytes} bytes");
            pages += 1;
            records += page.records.len();
            next = page.next;
        }
        assert_eq!(records, count, "{kind:?} in {pages} pages");
        assert!(pages >= 2);
    }
}

pub async fn a_filling_says_how_far_it_is(stores: &impl Archives) {
    let (one, other) = (stores.empty().await, stores.empty().await);
    let (one, other) = (&*one, &*other);
    fill(one).await;
    let standing = other.standing().await.unwrap();
    assert!(standing.is_empty && standing.moved.is_none() && standing.users.is_empty());
    other.begin_filling(moved(), one.standing().await.unwrap().last).await.unwrap();
    assert_eq!(other.standing().await.unwrap().moved, Some(moved()));
    let far = Moved {
        kind: Kind::Keys,
        next: vec![0, 1, 255],
        records: 7,
        ..moved()
    };
    let page = read(one, Kind::Accounts, 100).await;
    other.write_page(Arc::new(page), far.clone()).await.unwrap();
    let standing = other.standing().await.unwrap();
    assert_eq!((standing.moved, standing.is_empty), (Some(far), false));
    other.finish_filling().await.unwrap();
    assert_eq!(other.standing().await.unwrap().moved, None);
}

pub async fn a_page_is_written_whole_or_not_at_all(stores: &impl Archives) {
    let (one, other) = (stores.empty().await, stores.empty().await);
    let (one, other) = (&*one, &*other);
    fill(one).await;
    other.begin_filling(moved(), one.standing().await.unwrap().last).await.unwrap();
    let mut page = read(one, Kind::Accounts, 100).await;
    // A delivery whose event did not come before it.
    let history = read(one, Kind::History, 100).await;
    let lost = |placed: &&Placed| matches!(&placed.record, Record::Delivery(kept) if matches!(kept.delivery.event, Some(postrider_model::id::EventId::Own(_))));
    page.push(history.iter().find(lost).unwrap().clone());
    let failed = other.write_page(Arc::new(page), Moved { records: 7, ..moved() }).await;
    assert!(matches!(failed, Err(StoreError::Corrupt { .. })), "{failed:?}");
    assert_eq!(other.standing().await.unwrap().moved, Some(moved()));
    assert!(read(other, Kind::Accounts, 100).await.is_empty());
}
