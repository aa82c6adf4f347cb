//! Promises about webhooks.

use std::time::Duration;

use postrider_model::health::Health;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::limits::SECRETS_MAX;
use postrider_model::name::EventNamePattern;
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::{Rotation, Webhook, WebhookChange};
use postrider_ports::Store;
use postrider_ports::registry::{WebhookEdit, WebhookEdited, WebhookMade};

use super::fixture::{START, account, at, bits, new_webhook, page, sender, version, webhook};

/// A webhook has no equality of its own: every field is compared.
fn assert_same(found: &Webhook, expected: &Webhook) {
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    // Secrets print as ***.
    assert_eq!(found.secrets, expected.secrets);
}

fn rotation(byte: u8, grace: u64) -> WebhookEdit {
    WebhookEdit::Rotate(Rotation {
        secret: SigningSecret::from_bytes(&[byte; 32]).unwrap(),
        grace: Duration::from_secs(grace),
    })
}

async fn edited(store: &dyn Store, of: (AccountId, WebhookId), edit: WebhookEdit, seconds: u64) -> Webhook {
    match store.edit_webhook(of.0, of.1, edit, at(seconds)).await.unwrap() {
        WebhookEdited::Edited(webhook) => (*webhook).clone(),
        other => panic!("not edited: {other:?}"),
    }
}

async fn found(store: &dyn Store, account: AccountId, webhook: WebhookId) -> Webhook {
    (*store.webhook(account, webhook).await.unwrap().expect("the webhook is there")).clone()
}

pub async fn a_webhook_comes_back_as_it_was_given(store: &dyn Store) {
    let account = account(store).await;
    for (description, names, health) in [
        (None, &[][..], Health::Unproven),
        (Some(""), &["order.*"][..], Health::Well),
        (
            Some("línea\n2"),
            &["order.*", "user.made"][..],
            Health::Ill { failures: 7, since: at(5) },
        ),
    ] {
        let mut webhook = new_webhook(account);
        webhook.description = description.map(str::to_owned);
        webhook.event_names = names.iter().map(|name| EventNamePattern::parse(name).unwrap()).collect();
        webhook.health = health;
        webhook.secrets.push(WebhookSecret {
            secret: SigningSecret::from_bytes(&[9; 24]).unwrap(),
            expires_at: Some(at(60)),
        });
        assert_eq!(store.create_webhook(webhook.clone(), 1_000).await, Ok(WebhookMade::Made));
        assert_same(&found(store, account, webhook.id).await, &webhook);
    }
}

pub async fn an_account_has_at_most_so_many_webhooks(store: &dyn Store) {
    let account = account(store).await;
    assert_eq!(store.create_webhook(new_webhook(account), 2).await, Ok(WebhookMade::Made));
    let second = new_webhook(account);
    assert_eq!(store.create_webhook(second.clone(), 2).await, Ok(WebhookMade::Made));
    assert_eq!(store.create_webhook(new_webhook(account), 2).await, Ok(WebhookMade::TooMany));
    store.delete_webhook(account, second.id, at(1)).await.unwrap();
    assert_eq!(store.create_webhook(new_webhook(account), 2).await, Ok(WebhookMade::Made));
    let nobody = AccountId::new(START, bits());
    assert_eq!(store.create_webhook(new_webhook(nobody), 2).await, Ok(WebhookMade::NoAccount));
}

pub async fn a_change_of_a_webhook_leaves_the_rest(store: &dyn Store) {
    let (account, id) = sender(store).await;
    let mut expected = found(store, account, id).await;
    let change = WebhookChange {
        url: Some(WebhookUrl::parse("https://other.example.com/", &UrlPolicy::default()).unwrap()),
        description: Some(None),
        is_active: Some(false),
        event_names: None,
    };
    expected = change.clone().apply(expected, at(1));
    assert_same(&edited(store, (account, id), WebhookEdit::Change(change), 1).await, &expected);
    let names = WebhookChange {
        event_names: Some(vec![EventNamePattern::parse("a.*").unwrap()]),
        ..WebhookChange::default()
    };
    expected = names.clone().apply(expected, at(2));
    assert_same(&edited(store, (account, id), WebhookEdit::Change(names), 2).await, &expected);
    assert_same(&found(store, account, id).await, &expected);
}

pub async fn a_rotation_keeps_the_older_secret_for_its_grace(store: &dyn Store) {
    let (account, id) = sender(store).await;
    let older = found(store, account, id).await.secrets[0].secret.clone();
    edited(store, (account, id), rotation(7, 60), 10).await;
    let secrets = found(store, account, id).await.secrets;
    assert_eq!(secrets.len(), 2);
    assert_eq!(secrets[0].secret.as_bytes(), &[7; 32]);
    assert_eq!(secrets[0].expires_at, None);
    assert_eq!(secrets[1].secret, older);
    assert_eq!(secrets[1].expires_at, Some(at(70)));
    edited(store, (account, id), rotation(8, 0), 20).await;
    let secrets = found(store, account, id).await.secrets;
    assert_eq!(secrets.len(), 1, "without a grace the older ones end at once");
    assert_eq!(secrets[0].secret.as_bytes(), &[8; 32]);
}

pub async fn a_sixth_secret_is_refused(store: &dyn Store) {
    let (account, id) = sender(store).await;
    for byte in 1..u8::try_from(SECRETS_MAX).unwrap() {
        edited(store, (account, id), rotation(byte, 3_600), 1).await;
    }
    let refused = store.edit_webhook(account, id, rotation(99, 3_600), at(2)).await.unwrap();
    assert!(matches!(refused, WebhookEdited::TooManySecrets(_)), "{refused:?}");
    assert_eq!(found(store, account, id).await.secrets.len(), SECRETS_MAX);
}

pub async fn another_account_sees_no_webhook(store: &dyn Store) {
    let (_, id) = sender(store).await;
    let other = account(store).await;
    assert!(store.webhook(other, id).await.unwrap().is_none());
    let edit = WebhookEdit::Change(WebhookChange::default());
    let answer = store.edit_webhook(other, id, edit, at(1)).await.unwrap();
    assert!(matches!(answer, WebhookEdited::NotFound), "{answer:?}");
    assert_eq!(store.delete_webhook(other, id, at(1)).await, Ok(false));
    assert!(store.list_webhooks(other, page(10, None)).await.unwrap().rows.is_empty());
}

pub async fn a_deleted_webhook_is_not_found(store: &dyn Store) {
    let (account, id) = sender(store).await;
    assert_eq!(store.delete_webhook(account, id, at(1)).await, Ok(true));
    assert_eq!(store.delete_webhook(account, id, at(2)).await, Ok(false));
    assert!(store.webhook(account, id).await.unwrap().is_none());
    let answer = store.edit_webhook(account, id, rotation(1, 0), at(2)).await.unwrap();
    assert!(matches!(answer, WebhookEdited::NotFound), "{answer:?}");
    assert!(store.list_webhooks(account, page(10, None)).await.unwrap().rows.is_empty());
}

pub async fn webhooks_are_listed_newest_first_in_pages(store: &dyn Store) {
    let account = account(store).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(webhook(store, account).await);
    }
    store.delete_webhook(account, made.remove(3), at(1)).await.unwrap();
    made.reverse();
    let first = store.list_webhooks(account, page(2, None)).await.unwrap();
    webhook(store, account).await;
    let rest = store.list_webhooks(account, page(2, first.next)).await.unwrap();
    let ids: Vec<WebhookId> = first.rows.iter().chain(&rest.rows).map(|webhook| webhook.id).collect();
    assert_eq!(ids, made);
    assert_eq!(rest.next, None);
}

pub async fn health_is_kept_and_raises_no_version(store: &dyn Store) {
    let (account, id) = sender(store).await;
    let before = version(store, account).await;
    let unknown = WebhookId::new(START, bits());
    let ill = Health::Ill { failures: 3, since: at(9) };
    for health in [Health::Well, ill, Health::Unproven] {
        assert_eq!(
            store.store_health(vec![(account, id, health), (account, unknown, health)]).await,
            Ok(())
        );
        assert_eq!(found(store, account, id).await.health, health);
    }
    assert_eq!(version(store, account).await, before);
}
