//! Writes that requests ask for: the store first, then the caches and lanes of this node, then the answer. Where a request has an
//! idempotency key, its answer is kept in the transaction of the write.

use postrider_model::id::{AccountId, WebhookId};
use postrider_model::key::KeyOwner;
use postrider_model::queue::Queued;
use postrider_ports::StoreError;
use postrider_ports::once::{Keep, Once, Write, Written};
use postrider_ports::registry::WebhookEdited;
use postrider_ports::store::{JobMade, Retried};

use crate::Engine;
use crate::deliveries::queued_test;
use crate::feed::Touched;

/// Whom a write concerns on this node, known before it is made.
enum Concerns {
    Nobody,
    Keys(KeyOwner),
    NewWebhook(AccountId),
    Webhook(AccountId, WebhookId),
    /// A test, and how many outcomes had been recorded before it.
    Test(Box<Queued>, u64),
    /// How many outcomes had been recorded before.
    Retry(u64),
    Jobs,
}

impl Engine {
    /// Does a write. With `keep` its answer is kept in the same transaction, and nothing is done where one stands under the key already.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn write(&self, write: Write, keep: Option<Keep>) -> Result<Once, StoreError> {
        let concerns = self.concerns(&write).await;
        let once = match keep {
            Some(keep) => self.inner.parts.store.write_once(write, keep).await?,
            None => Once::Done(self.write_plainly(write).await?),
        };
        if let Once::Done(written) = &once {
            if !matches!(written, Written::Nothing) {
                self.wake_others();
            }
            self.hand_on(concerns, written).await?;
        }
        Ok(once)
    }

    async fn concerns(&self, write: &Write) -> Concerns {
        match write {
            Write::Nothing | Write::CreateAccount(_) => Concerns::Nobody,
            Write::CreateKey(key, _) => Concerns::Keys(key.owner),
            Write::CreateWebhook(webhook, _) => Concerns::NewWebhook(webhook.account),
            Write::EditWebhook {
                webhook: (account, webhook),
                ..
            } => Concerns::Webhook(*account, *webhook),
            Write::CreateTest(delivery, body) => Concerns::Test(Box::new(queued_test(delivery, body.clone())), self.mark().await),
            Write::RetryDelivery(_) => Concerns::Retry(self.mark().await),
            Write::CreateJob(..) => Concerns::Jobs,
        }
    }

    async fn write_plainly(&self, write: Write) -> Result<Written, StoreError> {
        let store = &self.inner.parts.store;
        Ok(match write {
            Write::Nothing => Written::Nothing,
            Write::CreateAccount(account) => Written::Account(store.create_account(account).await?),
            Write::CreateKey(key, hash) => Written::Key(store.create_key(key, hash).await?),
            Write::CreateWebhook(webhook, webhooks_max) => Written::Webhook(store.create_webhook(webhook, webhooks_max).await?),
            Write::EditWebhook { webhook, edit, now } => {
                let (account, webhook) = webhook;
                Written::Edited(store.edit_webhook(account, webhook, edit, now).await?)
            }
            Write::CreateTest(delivery, body) => Written::Test(store.create_test(delivery, body).await?),
            Write::RetryDelivery(ask) => Written::Retried(store.retry_delivery(ask).await?),
            Write::CreateJob(job, recovery) => Written::Job(store.create_job(job, recovery).await?),
        })
    }

    async fn hand_on(&self, concerns: Concerns, written: &Written) -> Result<(), StoreError> {
        match (concerns, written) {
            (Concerns::Keys(owner), _) => self.forget_keys(owner),
            (Concerns::NewWebhook(account), _) => {
                self.inner.directory.forget_account(account);
            }
            (Concerns::Webhook(account, webhook), Written::Edited(WebhookEdited::Edited(_))) => {
                self.tell(account, Touched::Webhook(webhook)).await?;
            }
            (Concerns::Test(queued, mark), Written::Test(true)) => self.hurry(*queued, mark).await?,
            (Concerns::Retry(mark), Written::Retried(Retried::Due { queued, .. })) => self.hurry(queued.clone(), mark).await?,
            (Concerns::Jobs, Written::Job(JobMade::Made)) => self.wake_jobs(),
            _ => {}
        }
        Ok(())
    }
}
