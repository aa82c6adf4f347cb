//! Promises about accounts.

use postrider_model::account::{AccountChange, AccountRef};
use postrider_model::id::AccountId;
use postrider_model::key::{Key, KeyOwner, Scopes, TokenHash};
use postrider_model::webhook::WebhookChange;
use postrider_ports::Store;
use postrider_ports::registry::{AccountChanged, AccountMade, WebhookEdit};

use super::fixture::{account, at, bits, new_account, new_webhook, page, sender, version, webhook};
use super::keys::new_key;

pub async fn an_account_is_found_by_either_id(store: &dyn Store) {
    let made = new_account(Some("cust-1"));
    assert_eq!(store.create_account(made.clone()).await, Ok(AccountMade::Made));
    assert_eq!(store.account(AccountRef::Id(made.id)).await, Ok(Some(made.clone())));
    assert_eq!(store.account(AccountRef::External("cust-1".to_owned())).await, Ok(Some(made)));
    assert_eq!(store.account(AccountRef::Id(AccountId::new(at(0), bits()))).await, Ok(None));
    assert_eq!(store.account(AccountRef::External("cust-2".to_owned())).await, Ok(None));
}

pub async fn an_external_id_belongs_to_one_account(store: &dyn Store) {
    let first = new_account(Some("cust-1"));
    let second = new_account(Some("cust-2"));
    store.create_account(first.clone()).await.unwrap();
    store.create_account(second.clone()).await.unwrap();
    let again = new_account(Some("cust-1"));
    assert_eq!(store.create_account(again.clone()).await, Ok(AccountMade::Exists(first.clone())));
    assert_eq!(store.account(AccountRef::Id(again.id)).await, Ok(None));

    let take = AccountChange {
        external_id: Some(Some("cust-1".to_owned())),
        ..AccountChange::default()
    };
    let taken = store.change_account(second.id, take.clone(), at(1)).await;
    assert_eq!(taken, Ok(AccountChanged::ExternalIdTaken));
    let own = store.change_account(first.id, take.clone(), at(1)).await.unwrap();
    assert!(matches!(own, AccountChanged::Changed(_)), "its own id is no other's: {own:?}");

    assert_eq!(store.delete_account(first.id, at(2)).await, Ok(true));
    let freed = store.change_account(second.id, take, at(3)).await.unwrap();
    assert!(
        matches!(freed, AccountChanged::Changed(_)),
        "a deleted account holds no id: {freed:?}"
    );
}

pub async fn a_change_of_an_account_leaves_the_rest(store: &dyn Store) {
    let made = new_account(Some("cust-1"));
    store.create_account(made.clone()).await.unwrap();
    let rename = AccountChange {
        name: Some("New".to_owned()),
        ..AccountChange::default()
    };
    let suspend = AccountChange {
        external_id: Some(None),
        is_active: Some(false),
        ..AccountChange::default()
    };
    let mut expected = made.clone();
    expected.name = "New".to_owned();
    expected.modified_at = at(1);
    let changed = store.change_account(made.id, rename, at(1)).await;
    assert_eq!(changed, Ok(AccountChanged::Changed(expected.clone())));
    expected.external_id = None;
    expected.is_active = false;
    expected.modified_at = at(2);
    let changed = store.change_account(made.id, suspend.clone(), at(2)).await;
    assert_eq!(changed, Ok(AccountChanged::Changed(expected.clone())));
    assert_eq!(store.account(AccountRef::Id(made.id)).await, Ok(Some(expected)));
    assert_eq!(store.account(AccountRef::External("cust-1".to_owned())).await, Ok(None));
    let missing = store.change_account(AccountId::new(at(0), bits()), suspend, at(3)).await;
    assert_eq!(missing, Ok(AccountChanged::NotFound));
}

pub async fn a_deleted_account_takes_its_keys_and_webhooks_along(store: &dyn Store) {
    let (id, hook) = sender(store).await;
    let key = new_key(KeyOwner::Account(id));
    let hash = TokenHash::of("ptr_one");
    assert_eq!(store.create_key(key.clone(), hash).await, Ok(true));

    assert_eq!(store.delete_account(id, at(1)).await, Ok(true));
    assert_eq!(store.delete_account(id, at(2)).await, Ok(false), "it is gone already");
    assert_eq!(store.account(AccountRef::Id(id)).await, Ok(None));
    assert!(store.account_snapshot(id).await.unwrap().is_none());
    assert_eq!(store.find_key(hash).await, Ok(None));
    assert_eq!(store.key(key.owner, key.id).await, Ok(None));
    assert!(store.webhook(id, hook).await.unwrap().is_none());
    assert!(store.list_webhooks(id, page(10, None)).await.unwrap().rows.is_empty());
    let changed = store.change_account(id, AccountChange::default(), at(3)).await;
    assert_eq!(changed, Ok(AccountChanged::NotFound));
}

pub async fn accounts_are_listed_newest_first_in_pages(store: &dyn Store) {
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(account(store).await);
    }
    store.delete_account(made.remove(2), at(1)).await.unwrap();
    made.reverse();
    let first = store.list_accounts(page(3, None)).await.unwrap();
    account(store).await;
    let rest = store.list_accounts(page(3, first.next)).await.unwrap();
    let ids: Vec<AccountId> = first.rows.iter().chain(&rest.rows).map(|account| account.id).collect();
    assert_eq!(ids, made);
    assert_eq!(first.rows.len(), 3);
    assert_eq!(rest.next, None, "the last page leads no further");
}

pub async fn every_change_raises_the_version(store: &dyn Store) {
    let id = account(store).await;
    let mut last = version(store, id).await;
    let mut rose = async |what: &str| {
        let now = version(store, id).await;
        assert!(now > last, "{what} did not raise the version");
        last = now;
    };
    store.change_account(id, AccountChange::default(), at(1)).await.unwrap();
    rose("a change of the account").await;
    let hook = webhook(store, id).await;
    rose("a new webhook").await;
    let edit = WebhookEdit::Change(WebhookChange::default());
    store.edit_webhook(id, hook, edit, at(2)).await.unwrap();
    rose("a change of a webhook").await;
    store.delete_webhook(id, hook, at(3)).await.unwrap();
    rose("the end of a webhook").await;
    let key: Key = new_key(KeyOwner::Account(id));
    store.create_key(key.clone(), TokenHash::of("ptr_one")).await.unwrap();
    rose("a new key").await;
    let change = postrider_model::key::KeyChange {
        scopes: Some(Scopes::default()),
        ..Default::default()
    };
    store.change_key(key.owner, key.id, change).await.unwrap();
    rose("a change of a key").await;
    store.delete_key(key.owner, key.id).await.unwrap();
    rose("the end of a key").await;
}

pub async fn a_snapshot_shows_what_its_version_says(store: &dyn Store) {
    let made = new_account(None);
    store.create_account(made.clone()).await.unwrap();
    let other = account(store).await;
    webhook(store, other).await;
    let kept = webhook(store, made.id).await;
    let gone = webhook(store, made.id).await;
    store.delete_webhook(made.id, gone, at(1)).await.unwrap();
    let mut switched_off = new_webhook(made.id);
    switched_off.is_active = false;
    store.create_webhook(switched_off.clone(), 1_000).await.unwrap();

    let snapshot = store.account_snapshot(made.id).await.unwrap().unwrap();
    assert_eq!(snapshot.account, made);
    let mut ids: Vec<_> = snapshot.webhooks.iter().map(|webhook| webhook.id).collect();
    ids.sort();
    let mut expected = vec![kept, switched_off.id];
    expected.sort();
    assert_eq!(ids, expected);
    assert!(store.account_snapshot(AccountId::new(at(0), bits())).await.unwrap().is_none());
}
