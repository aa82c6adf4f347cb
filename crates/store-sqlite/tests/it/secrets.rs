//! Nothing secret can be read in the files.

use std::time::Duration;

use crate::support::{Folder, NOW, Sender, bits, new_webhook};
use postrider_model::id::KeyId;
use postrider_model::key::{Key, KeyOwner, Scopes, TokenHash};
use postrider_model::secret::SigningSecret;
use postrider_model::webhook::Rotation;
use postrider_ports::Registry as _;
use postrider_ports::registry::{WebhookEdit, WebhookEdited};
use postrider_ports::{StoreError, error};

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn no_secret_is_in_the_bytes_of_the_files() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let first = b"the-first-secret-of-this-webhook".as_slice();
    let second = b"the-second-secret-that-took-over".as_slice();
    let mut webhook = new_webhook(sender.account, first);
    webhook.description = Some("what anybody may read".to_owned());
    let id = webhook.id;
    store.create_webhook(webhook, 10).await.unwrap();
    let rotation = Rotation {
        secret: SigningSecret::from_bytes(second).unwrap(),
        grace: Duration::from_secs(60),
    };
    let edited = store
        .edit_webhook(sender.account, id, WebhookEdit::Rotate(rotation), NOW)
        .await
        .unwrap();
    assert!(matches!(edited, WebhookEdited::Edited(_)), "{edited:?}");
    let token = "ptr_0123456789abcdefghijklmnopqrstuvwxyzABCD012345";
    let key = Key {
        id: KeyId::new(NOW, bits()),
        owner: KeyOwner::Account(sender.account),
        name: "ci".to_owned(),
        hint: "2345".to_owned(),
        scopes: Scopes::of_account(),
        created_at: NOW,
        expires_at: None,
        last_used_at: None,
    };
    store.create_key(key, TokenHash::of(token)).await.unwrap();

    let revealed: Vec<String> = [first, second]
        .into_iter()
        .map(|bytes| SigningSecret::from_bytes(bytes).unwrap().reveal().to_string())
        .collect();
    for name in ["postrider.db", "postrider.db-wal"] {
        let bytes = std::fs::read(folder.path(name)).unwrap();
        for secret in [first, second, token.as_bytes(), revealed[0].as_bytes(), revealed[1].as_bytes()] {
            assert!(!contains(&bytes, secret), "{name} has a secret");
        }
        // The search itself finds what is there.
        assert!(name == "postrider.db" || contains(&bytes, b"what anybody may read"));
    }
    let found = store.webhook(sender.account, id).await.unwrap().unwrap();
    let secrets: Vec<&[u8]> = found.secrets.iter().map(|secret| secret.secret.as_bytes()).collect();
    assert_eq!(secrets, [second, first]);
}

#[tokio::test]
async fn a_sealed_secret_opens_in_its_own_row_alone() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let other = new_webhook(sender.account, &[9; 32]);
    let other_id = other.id;
    store.create_webhook(other, 10).await.unwrap();
    let conn = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    conn.execute(
        "UPDATE webhooks SET secrets = (SELECT secrets FROM webhooks WHERE id = ?1) WHERE id = ?2",
        [sender.webhook.as_u128().to_be_bytes(), other_id.as_u128().to_be_bytes()],
    )
    .unwrap();
    let told = store.webhook(sender.account, other_id).await.unwrap_err();
    assert!(matches!(told, error::StoreError::Seal(_)), "{told:?}");
    let in_order: Result<_, StoreError> = store.webhook(sender.account, sender.webhook).await;
    assert!(in_order.is_ok());
}

#[tokio::test]
async fn a_deleted_webhook_leaves_no_secret() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    store.delete_webhook(sender.account, sender.webhook, NOW).await.unwrap();
    let conn = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    let length: i64 = conn
        .query_row("SELECT sum(length(secrets)) FROM webhooks", [], |row| row.get(0))
        .unwrap();
    assert_eq!(length, 0);
}
