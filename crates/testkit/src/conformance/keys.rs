//! Promises about keys.

use postrider_model::id::{AccountId, KeyId};
use postrider_model::key::{Key, KeyChange, KeyOwner, Scope, Scopes, TokenHash};
use postrider_ports::Store;
use postrider_ports::registry::AccountVersion;

use super::fixture::{START, account, at, bits, page, version};

/// A key that is not stored yet.
pub(super) fn new_key(owner: KeyOwner) -> Key {
    Key {
        id: KeyId::new(START, bits()),
        owner,
        name: "ci".to_owned(),
        hint: "aB3x".to_owned(),
        scopes: Scopes::of_account(),
        created_at: START,
        expires_at: Some(at(3_600)),
        last_used_at: None,
    }
}

pub async fn a_key_is_found_by_its_token_alone(store: &dyn Store) {
    let id = account(store).await;
    let of_account = new_key(KeyOwner::Account(id));
    let of_operator = new_key(KeyOwner::Operator);
    store.create_key(of_account.clone(), TokenHash::of("ptr_one")).await.unwrap();
    store.create_key(of_operator.clone(), TokenHash::of("ptrop_two")).await.unwrap();
    let found = store.find_key(TokenHash::of("ptr_one")).await;
    assert_eq!(found, Ok(Some((of_account.clone(), version(store, id).await))));
    assert_eq!(store.find_key_by_id(of_account.id).await, found);
    let found = store.find_key(TokenHash::of("ptrop_two")).await;
    assert_eq!(found, Ok(Some((of_operator.clone(), AccountVersion::default()))));
    assert_eq!(store.find_key_by_id(of_operator.id).await, found);
    assert_eq!(store.find_key_by_id(KeyId::new(START, bits())).await, Ok(None));
    assert_eq!(store.find_key(TokenHash::of("ptr_three")).await, Ok(None));
}

pub async fn a_key_is_seen_by_its_owner_alone(store: &dyn Store) {
    let (one, other) = (account(store).await, account(store).await);
    let key = new_key(KeyOwner::Account(one));
    store.create_key(key.clone(), TokenHash::of("ptr_one")).await.unwrap();
    assert_eq!(store.key(key.owner, key.id).await, Ok(Some(key.clone())));
    for owner in [KeyOwner::Account(other), KeyOwner::Operator] {
        assert_eq!(store.key(owner, key.id).await, Ok(None));
        assert_eq!(store.change_key(owner, key.id, KeyChange::default()).await, Ok(None));
        assert_eq!(store.delete_key(owner, key.id).await, Ok(false));
        assert!(store.list_keys(owner, page(10, None)).await.unwrap().rows.is_empty());
    }
}

pub async fn a_change_of_a_key_leaves_the_rest(store: &dyn Store) {
    let mut key = new_key(KeyOwner::Operator);
    store.create_key(key.clone(), TokenHash::of("ptrop_one")).await.unwrap();
    let scopes: Scopes = [Scope::EventsRead].into_iter().collect();
    let change = KeyChange {
        name: Some("new".to_owned()),
        scopes: Some(scopes),
        expires_at: None,
    };
    key.name = "new".to_owned();
    key.scopes = scopes;
    assert_eq!(store.change_key(key.owner, key.id, change).await, Ok(Some(key.clone())));
    let endless = KeyChange {
        expires_at: Some(None),
        ..KeyChange::default()
    };
    key.expires_at = None;
    assert_eq!(store.change_key(key.owner, key.id, endless).await, Ok(Some(key.clone())));
    assert_eq!(store.key(key.owner, key.id).await, Ok(Some(key)));
}

pub async fn a_deleted_key_is_gone(store: &dyn Store) {
    let key = new_key(KeyOwner::Operator);
    let hash = TokenHash::of("ptrop_one");
    store.create_key(key.clone(), hash).await.unwrap();
    assert_eq!(store.delete_key(key.owner, key.id).await, Ok(true));
    assert_eq!(store.delete_key(key.owner, key.id).await, Ok(false));
    assert_eq!(store.find_key(hash).await, Ok(None));
    assert_eq!(store.key(key.owner, key.id).await, Ok(None));
}

pub async fn keys_are_listed_newest_first_in_pages(store: &dyn Store) {
    let owner = KeyOwner::Account(account(store).await);
    let mut made = Vec::new();
    for number in 0..5 {
        let key = new_key(owner);
        made.push(key.id);
        store.create_key(key, TokenHash::of(&format!("ptr_{number}"))).await.unwrap();
    }
    store
        .create_key(new_key(KeyOwner::Operator), TokenHash::of("ptrop_one"))
        .await
        .unwrap();
    made.reverse();
    let first = store.list_keys(owner, page(2, None)).await.unwrap();
    let rest = store.list_keys(owner, page(5, first.next)).await.unwrap();
    let ids: Vec<KeyId> = first.rows.iter().chain(&rest.rows).map(|key| key.id).collect();
    assert_eq!(ids, made);
    assert_eq!(rest.next, None);
}

pub async fn a_key_of_a_missing_account_is_refused(store: &dyn Store) {
    let key = new_key(KeyOwner::Account(AccountId::new(START, bits())));
    assert_eq!(store.create_key(key, TokenHash::of("ptr_one")).await, Ok(false));
    assert_eq!(store.find_key(TokenHash::of("ptr_one")).await, Ok(None));
}

pub async fn a_touch_raises_no_version(store: &dyn Store) {
    let id = account(store).await;
    let key = new_key(KeyOwner::Account(id));
    store.create_key(key.clone(), TokenHash::of("ptr_one")).await.unwrap();
    let before = version(store, id).await;
    let unknown = KeyId::new(START, bits());
    assert_eq!(store.touch_keys(vec![(key.id, at(60)), (unknown, at(60))]).await, Ok(()));
    assert_eq!(version(store, id).await, before);
    let touched = store.key(key.owner, key.id).await.unwrap().unwrap();
    assert_eq!(touched.last_used_at, Some(at(60)));
}
