//! Promises about the feed of changes.

use postrider_model::account::AccountChange;
use postrider_model::key::{KeyOwner, TokenHash};
use postrider_model::webhook::WebhookChange;
use postrider_ports::Store;
use postrider_ports::registry::{Changed, WebhookEdit};

use super::fixture::{account, at, sender, webhook};
use super::keys::new_key;

pub async fn the_feed_begins_where_it_stands(store: &dyn Store) {
    sender(store).await;
    let start = store.changes(None).await.unwrap();
    assert!(start.changes.is_empty(), "what was before is not told");
    let still = store.changes(Some(start.through)).await.unwrap();
    assert_eq!(still, start, "nothing happened meanwhile");
}

pub async fn the_feed_tells_what_changed(store: &dyn Store) {
    let mut through = store.changes(None).await.unwrap().through;
    let mut told = async |what: Changed| {
        let changes = store.changes(Some(through)).await.unwrap();
        assert!(
            changes.changes.iter().any(|told| told.changed == what),
            "{what:?} is missing in {changes:?}"
        );
        assert!(changes.through > through);
        through = changes.through;
        assert!(store.changes(Some(through)).await.unwrap().changes.is_empty(), "told twice");
    };
    let account = account(store).await;
    told(Changed::Account(account)).await;
    store.change_account(account, AccountChange::default(), at(1)).await.unwrap();
    told(Changed::Account(account)).await;
    let hook = webhook(store, account).await;
    told(Changed::Webhook(account, hook)).await;
    let edit = WebhookEdit::Change(WebhookChange::default());
    store.edit_webhook(account, hook, edit, at(2)).await.unwrap();
    told(Changed::Webhook(account, hook)).await;
    store.delete_webhook(account, hook, at(3)).await.unwrap();
    told(Changed::Webhook(account, hook)).await;
    store
        .create_key(new_key(KeyOwner::Account(account)), TokenHash::of("ptr_one"))
        .await
        .unwrap();
    told(Changed::Account(account)).await;
    let key = new_key(KeyOwner::Operator);
    store.create_key(key.clone(), TokenHash::of("ptrop_one")).await.unwrap();
    told(Changed::OperatorKeys).await;
    store.delete_key(key.owner, key.id).await.unwrap();
    told(Changed::OperatorKeys).await;
    store.delete_account(account, at(4)).await.unwrap();
    told(Changed::Account(account)).await;
}
