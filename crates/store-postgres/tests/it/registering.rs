//! Accounts, keys and webhooks that many nodes change at once, and the feed that tells of it.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_model::account::{Account, AccountChange};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::Webhook;
use postrider_ports::registry::{AccountChanged, AccountMade, Changed, Told, WebhookMade};
use postrider_ports::store::Retire;
use postrider_ports::{Registry, Store as _, StoreError};
use postrider_store_postgres::{CHANGES_KEPT_MAX, PostgresStore, connect};
use tokio::task::JoinSet;

use crate::connections::Other;
use crate::support::{Fresh, options};

const START: Timestamp = Timestamp::from_millis(1_760_000_000_000);
const SECRET: &[u8; 32] = b"a secret of thirty-two letters!!";

pub(crate) fn account(number: u128) -> Account {
    Account {
        id: AccountId::new(START, number << 64),
        external_id: None,
        name: "Acme".to_owned(),
        is_active: true,
        created_at: START,
        modified_at: START,
    }
}

fn webhook(account: AccountId, number: u128) -> Webhook {
    Webhook {
        id: WebhookId::new(START, number << 64),
        account,
        url: WebhookUrl::parse("https://hooks.example.com/", &UrlPolicy::default()).unwrap(),
        description: None,
        is_active: true,
        event_names: Vec::new(),
        secrets: vec![WebhookSecret {
            secret: SigningSecret::from_bytes(SECRET).unwrap(),
            expires_at: None,
        }],
        health: Health::Unproven,
        created_at: START,
        modified_at: START,
    }
}

/// Several nodes on one database.
async fn nodes(fresh: &Fresh, count: usize) -> Vec<PostgresStore> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(connect(options(fresh.database.url())).await.unwrap());
    }
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_take_one_external_id_one_gets_it() {
    let fresh = Fresh::empty().await;
    let named = |number| Account {
        external_id: Some("cust-1".to_owned()),
        ..account(number)
    };
    let mut calls = JoinSet::new();
    for (number, node) in (1..).zip(nodes(&fresh, 6).await) {
        calls.spawn(async move { (number, node.create_account(named(number)).await) });
    }
    let mut made = None;
    let mut found = BTreeSet::new();
    for (number, answer) in calls.join_all().await {
        match answer.unwrap() {
            AccountMade::Made => assert_eq!(made.replace(number), None, "two have it"),
            AccountMade::Exists(first) => drop(found.insert(first.id)),
        }
    }
    let first = named(made.expect("one has it"));
    assert_eq!(found, BTreeSet::from([first.id]));

    assert_eq!(fresh.delete_account(first.id, START).await, Ok(true));
    let mut calls = JoinSet::new();
    for (number, node) in (11..).zip(nodes(&fresh, 6).await) {
        assert_eq!(fresh.create_account(account(number)).await, Ok(AccountMade::Made));
        let take = AccountChange {
            external_id: Some(Some("cust-1".to_owned())),
            ..AccountChange::default()
        };
        calls.spawn(async move { node.change_account(account(number).id, take, START).await });
    }
    let answers: Vec<AccountChanged> = calls.join_all().await.into_iter().map(Result::unwrap).collect();
    let taken = answers.iter().filter(|answer| **answer == AccountChanged::ExternalIdTaken).count();
    assert_eq!(taken, 5, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_webhooks_holds_whoever_makes_them() {
    let fresh = Fresh::empty().await;
    let account = account(1);
    fresh.create_account(account.clone()).await.unwrap();
    let mut calls = JoinSet::new();
    for (number, node) in (1..).zip(nodes(&fresh, 8).await) {
        calls.spawn(async move { node.create_webhook(webhook(account.id, number), 3).await.unwrap() });
    }
    let answers = calls.join_all().await;
    let made = answers.iter().filter(|answer| **answer == WebhookMade::Made).count();
    assert_eq!(made, 3, "{answers:?}");
    let snapshot = fresh.account_snapshot(account.id).await.unwrap().unwrap();
    assert_eq!((snapshot.webhooks.len(), snapshot.version.0), (3, 4));
}

#[tokio::test]
async fn secrets_are_sealed_for_their_place() {
    let fresh = Fresh::empty().await;
    let account = account(1);
    fresh.create_account(account.clone()).await.unwrap();
    let (one, other) = (webhook(account.id, 1), webhook(account.id, 2));
    for webhook in [&one, &other] {
        fresh.create_webhook(webhook.clone(), 10).await.unwrap();
    }
    let text = std::str::from_utf8(SECRET).unwrap();
    let seen = format!("SELECT count(*) FROM postrider.webhooks WHERE position('{text}'::bytea IN secrets) > 0");
    assert_eq!(fresh.database.psql(&seen), "0");
    fresh
        .database
        .psql("UPDATE postrider.webhooks SET secrets = (SELECT secrets FROM postrider.webhooks ORDER BY id LIMIT 1)");
    assert!(fresh.webhook(account.id, one.id).await.is_ok());
    let moved = fresh.webhook(account.id, other.id).await;
    assert!(matches!(moved, Err(StoreError::Seal(_))), "{moved:?}");
    assert_eq!(fresh.delete_webhook(account.id, one.id, START).await, Ok(true));
    let empty = "SELECT count(*) FROM postrider.webhooks WHERE length(secrets) = 0";
    assert_eq!(fresh.database.psql(empty), "1", "they go at once");
}

async fn told(store: &dyn Registry, through: u64) -> (Vec<Told>, u64) {
    let changes = store.changes(Some(through)).await.unwrap();
    (changes.changes, changes.through)
}

#[tokio::test]
async fn a_change_of_a_write_that_began_earlier_is_told_too() {
    let fresh = Fresh::empty().await;
    let start = fresh.changes(None).await.unwrap().through;
    let slow = Other::of(&fresh.database.url()).await;
    let (late, soon) = (account(1), account(2));
    let row = format!("SELECT pg_current_xact_id()::text::bigint, '{:032x}', 0", late.id.as_u128());
    slow.run(&format!(
        "BEGIN; INSERT INTO postrider.changes (major, account, at) SELECT major, account::uuid, at FROM ({row}) AS row (major, account, at)"
    ))
    .await;
    fresh.create_account(soon.clone()).await.unwrap();

    let (first, through) = told(&fresh.store, start).await;
    let says = |lines: &[Told]| lines.iter().map(|told| told.changed).collect::<Vec<_>>();
    assert_eq!(says(&first), [Changed::Account(soon.id)]);
    let (again, through) = told(&fresh.store, through).await;
    assert_eq!(again, first, "the same line, known by its number");
    slow.run("COMMIT").await;
    let (both, through) = told(&fresh.store, through).await;
    assert_eq!(says(&both), [Changed::Account(late.id), Changed::Account(soon.id)]);
    assert_eq!(both[1], first[0]);
    assert_eq!(told(&fresh.store, through).await, (Vec::new(), through));
}

#[tokio::test]
async fn who_comes_too_late_to_the_feed_is_told_of_everything() {
    let fresh = Fresh::empty().await;
    let start = fresh.changes(None).await.unwrap().through;
    for number in 1..=3 {
        fresh.create_account(account(number)).await.unwrap();
    }
    let middle = fresh.changes(None).await.unwrap().through;
    fresh.database.psql(&format!(
        "INSERT INTO postrider.changes (major, at) SELECT pg_current_xact_id()::text::bigint, 0 FROM generate_series(1, {CHANGES_KEPT_MAX})"
    ));
    let count = || {
        fresh
            .database
            .psql("SELECT count(*) FROM postrider.changes")
            .parse::<u64>()
            .unwrap()
    };
    let mut changes = 0;
    while count() > CHANGES_KEPT_MAX {
        fresh.change_account(account(1).id, AccountChange::default(), START).await.unwrap();
        changes += 1;
        assert!(changes < 1_000, "nothing is taken away");
    }
    let (lines, through) = told(&fresh.store, start).await;
    let says: Vec<Changed> = lines.iter().map(|told| told.changed).collect();
    let mut expected = vec![Changed::OperatorKeys];
    expected.extend((1..=3).map(|number| Changed::Account(account(number).id)));
    assert_eq!(says, expected);
    let numbers: BTreeSet<u64> = lines.iter().map(|told| told.place).collect();
    assert_eq!(numbers.len(), lines.len(), "each has a number of its own");
    assert!(through > middle);
    assert_eq!(told(&fresh.store, through).await.0, []);
    fresh.change_account(account(2).id, AccountChange::default(), START).await.unwrap();
    let (next, _) = told(&fresh.store, through).await;
    assert!(
        matches!(next[..], [Told { changed: Changed::Account(id), .. }] if id == account(2).id),
        "{next:?}"
    );
}

#[tokio::test]
async fn who_was_cut_off_for_longer_than_the_feed_tells_is_told_of_everything() {
    let fresh = Fresh::empty().await;
    let (kept, deleted) = (account(1), account(2));
    for account in [&kept, &deleted] {
        fresh.create_account(account.clone()).await.unwrap();
    }
    let start = fresh.changes(None).await.unwrap().through;
    fresh.change_account(kept.id, AccountChange::default(), START).await.unwrap();
    assert_eq!(fresh.delete_account(deleted.id, START).await, Ok(true));
    assert_eq!(fresh.store.erase_deleted(100).await, Ok(false));
    let middle = fresh.changes(None).await.unwrap().through;
    let hours = |hours: u64| START + Duration::from_secs(hours * 3_600);
    fresh
        .database
        .psql(&format!("UPDATE postrider.changes SET at = {}", START.as_millis()));
    let old = "SELECT count(*) FROM postrider.changes";
    let expected = [kept.id, deleted.id].map(Changed::Account);
    let says = async || -> Vec<Changed> { told(&fresh.store, start).await.0.iter().map(|told| told.changed).collect() };
    let mut steps = 0;
    while fresh.database.psql(old) != "0" {
        let step = Retire {
            before: START,
            now: hours(2),
            rows_max: 1,
        };
        fresh.store.retire(step).await.unwrap();
        let says = says().await;
        assert!(expected.iter().all(|one| says.contains(one)), "{says:?}");
        steps += 1;
        assert!(steps < 10);
    }
    assert_eq!(says().await, [&[Changed::OperatorKeys], &expected[..]].concat());
    assert_eq!(told(&fresh.store, middle).await.0, [], "who has heard of all is told nothing");
}
