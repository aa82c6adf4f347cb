use std::sync::Arc;

use postrider_lanes::input::Standing;
use postrider_model::account::Account;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::name::{EventName, EventNamePattern};
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::Webhook;
use postrider_ports::registry::{AccountSnapshot, AccountVersion};

use super::AccountEntry;

const ACCOUNT: AccountId = AccountId::from_u128(1);
const NOW: Timestamp = Timestamp::from_millis(1_000);

fn webhook(number: u128, url: &str, names: &[&str]) -> Webhook {
    Webhook {
        id: WebhookId::from_u128(number),
        account: ACCOUNT,
        url: WebhookUrl::parse(url, &UrlPolicy::default()).unwrap(),
        description: None,
        is_active: true,
        event_names: names.iter().map(|name| EventNamePattern::parse(name).unwrap()).collect(),
        secrets: Vec::new(),
        health: Health::Unproven,
        created_at: NOW,
        modified_at: NOW,
    }
}

fn entry(is_active: bool, webhooks: Vec<Webhook>) -> AccountEntry {
    AccountEntry::new(AccountSnapshot {
        version: AccountVersion(1),
        account: Account {
            id: ACCOUNT,
            external_id: None,
            name: "Acme".to_owned(),
            is_active,
            created_at: NOW,
            modified_at: NOW,
        },
        webhooks: webhooks.into_iter().map(Arc::new).collect(),
    })
}

fn wanting(names: &[&[&str]]) -> AccountEntry {
    let numbered = (0..).zip(names);
    entry(
        true,
        numbered
            .map(|(number, names)| webhook(number, "https://a.example.com/", names))
            .collect(),
    )
}

fn found(entry: &AccountEntry, name: &str) -> Vec<u128> {
    let name = EventName::parse(name).unwrap();
    entry.wanting(&name).iter().map(|target| target.webhook.id.as_u128()).collect()
}

#[test]
fn who_names_nothing_wants_all() {
    let entry = wanting(&[&[], &["order.filled"]]);
    assert_eq!(found(&entry, "order.filled"), [0, 1]);
    assert_eq!(found(&entry, "anything"), [0]);
}

#[test]
fn a_stem_wants_what_is_behind_its_dot_at_any_depth() {
    let entry = wanting(&[&["order.*"], &["order.item.*"], &["order"], &["ord.*"]]);
    assert_eq!(found(&entry, "order.filled"), [0]);
    assert_eq!(found(&entry, "order.item.added"), [0, 1]);
    assert_eq!(found(&entry, "order.item"), [0]);
    assert_eq!(found(&entry, "order"), [2]);
    assert_eq!(found(&entry, "orders.filled"), [0; 0]);
}

#[test]
fn who_wants_it_for_several_reasons_gets_it_once() {
    let entry = wanting(&[&["order.filled", "order.*", "order.filled"], &["order.item.*", "order.*"]]);
    assert_eq!(found(&entry, "order.filled"), [0, 1]);
    assert_eq!(found(&entry, "order.item.added"), [0, 1]);
}

#[test]
fn it_finds_the_same_as_asking_each_webhook() {
    let patterns = ["a", "a.b", "a.*", "a.b.*", "b", "b.*", "a.b.c", "a-b.*"];
    let names = ["a", "a.b", "a.b.c", "a.c", "b", "b.a", "a-b.c", "ab", "c.a.b"];
    // Every set of up to three patterns.
    let mut sets: Vec<Vec<&str>> = vec![Vec::new()];
    for one in patterns {
        for other in patterns {
            sets.push(vec![one, other]);
        }
    }
    let sets: Vec<&[&str]> = sets.iter().map(Vec::as_slice).collect();
    let entry = wanting(&sets);
    for name in names {
        let parsed = EventName::parse(name).unwrap();
        let webhooks = entry.targets().iter().map(|target| &target.webhook);
        let expected: Vec<u128> = webhooks
            .filter(|webhook| webhook.wants(&parsed))
            .map(|webhook| webhook.id.as_u128())
            .collect();
        assert_eq!(found(&entry, name), expected, "{name}");
    }
}

#[test]
fn who_is_switched_off_wants_nothing_and_is_paused() {
    let mut off = webhook(0, "https://a.example.com/", &[]);
    off.is_active = false;
    let entry = entry(true, vec![off, webhook(1, "https://a.example.com/", &[])]);
    assert_eq!(found(&entry, "order"), [1]);
    let standings: Vec<_> = entry.targets().iter().map(|target| target.standing()).collect();
    assert_eq!(standings, [Standing::Paused, Standing::Active]);
}

#[test]
fn all_webhooks_of_a_suspended_account_are_paused() {
    let entry = entry(false, vec![webhook(0, "https://a.example.com/", &[])]);
    assert_eq!(entry.targets()[0].lane().standing, Standing::Paused);
}

#[test]
fn webhooks_of_one_host_and_port_share_a_host() {
    let urls = [
        "https://a.example.com/1",
        "https://a.example.com/2",
        "https://a.example.com:8443/1",
        "https://b.example.com/1",
    ];
    let entry = entry(true, (0..).zip(urls).map(|(number, url)| webhook(number, url, &[])).collect());
    let hosts: Vec<_> = entry.targets().iter().map(|target| target.lane().host).collect();
    assert_eq!(hosts[0], hosts[1]);
    assert!(hosts[0] != hosts[2] && hosts[0] != hosts[3] && hosts[2] != hosts[3]);
}

#[test]
fn what_is_learned_of_a_receiver_goes_to_its_lane() {
    let entry = wanting(&[&[]]);
    entry.targets()[0].learn(Health::Well);
    assert_eq!(entry.targets()[0].lane().health, Health::Well);
}
