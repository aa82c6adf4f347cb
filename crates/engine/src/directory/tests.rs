use std::sync::Arc;

use postrider_model::account::{Account, AccountChange, AccountRef};
use postrider_model::id::{AccountId, KeyId};
use postrider_model::key::{Key, KeyChange, KeyOwner, Scopes, Token, TokenHash};
use postrider_model::time::Timestamp;
use postrider_ports::{Clock as _, Registry as _};
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_store::MemoryStore;

use super::Directory;

const ACCOUNT: AccountId = AccountId::from_u128(1);

struct World {
    store: Arc<MemoryStore>,
    directory: Arc<Directory>,
    now: Timestamp,
}

async fn world() -> World {
    let (store, clock) = (Arc::new(MemoryStore::new()), SimClock::new());
    let now = clock.wall();
    let account = Account {
        id: ACCOUNT,
        external_id: Some("acme".to_owned()),
        name: "before".to_owned(),
        is_active: true,
        created_at: now,
        modified_at: now,
    };
    store.create_account(account).await.unwrap();
    let directory = Arc::new(Directory::new(store.clone(), &clock, &[]));
    World { store, directory, now }
}

impl World {
    async fn rename(&self, name: &str) {
        let change = AccountChange {
            name: Some(name.to_owned()),
            ..AccountChange::default()
        };
        self.store.change_account(ACCOUNT, change, self.now).await.unwrap();
    }

    async fn name(&self) -> String {
        self.directory
            .account(ACCOUNT)
            .await
            .unwrap()
            .unwrap()
            .snapshot
            .account
            .name
            .clone()
    }
}

async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_read_that_began_before_a_change_is_not_kept() {
    for interleaving in 0..6 {
        let world = world().await;
        let directory = Arc::clone(&world.directory);
        let reader = tokio::spawn(async move { directory.account(ACCOUNT).await });
        turns(interleaving).await;
        world.rename("after").await;
        world.directory.forget_account(ACCOUNT);
        reader.await.unwrap().unwrap();
        assert_eq!(world.name().await, "after", "{interleaving} turns");
    }
}

#[tokio::test]
async fn what_is_cached_needs_no_store() {
    let world = world().await;
    world.name().await;
    world.store.refuse_reads(u32::MAX);
    assert_eq!(world.name().await, "before");
    world.directory.forget_account(ACCOUNT);
    assert!(world.directory.account(ACCOUNT).await.is_err());
}

#[tokio::test]
async fn an_external_id_that_was_given_to_another_account_is_looked_up_anew() {
    let world = world().await;
    let acme = AccountRef::External("acme".to_owned());
    assert!(world.directory.resolve(&acme).await.unwrap().is_some());
    let change = AccountChange {
        external_id: Some(None),
        ..AccountChange::default()
    };
    world.store.change_account(ACCOUNT, change, world.now).await.unwrap();
    world.directory.forget_account(ACCOUNT);
    assert!(world.directory.resolve(&acme).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_read_before_its_account_changed_is_read_again() {
    let world = world().await;
    let owner = KeyOwner::Account(ACCOUNT);
    let token = Token::generate(owner, |bytes| bytes.fill(7));
    let key = Key {
        id: KeyId::from_u128(5),
        owner,
        name: "before".to_owned(),
        hint: token.hint(),
        scopes: Scopes::of_account(),
        created_at: world.now,
        expires_at: None,
        last_used_at: None,
    };
    world.store.create_key(key.clone(), TokenHash::of(token.reveal())).await.unwrap();
    world.directory.key(token.reveal()).await.unwrap().unwrap();
    world.directory.key_by_id(key.id).await.unwrap().unwrap();
    let change = KeyChange {
        name: Some("after".to_owned()),
        ..KeyChange::default()
    };
    // Another process changes it; here only the account is read anew, after a stale commit.
    world.store.change_key(owner, key.id, change).await.unwrap();
    world.directory.reload(ACCOUNT).await.unwrap();
    assert_eq!(world.directory.key(token.reveal()).await.unwrap().unwrap().key.name, "after");
    assert_eq!(world.directory.key_by_id(key.id).await.unwrap().unwrap().key.name, "after");
    world.store.delete_key(owner, key.id).await.unwrap();
    world.directory.reload(ACCOUNT).await.unwrap();
    assert!(world.directory.key(token.reveal()).await.unwrap().is_none());
    assert!(world.directory.key_by_id(key.id).await.unwrap().is_none());
}
