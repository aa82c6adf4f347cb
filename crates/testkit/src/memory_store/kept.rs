//! Answers that are kept under idempotency keys.

use postrider_model::limits::IDEMPOTENCY_KEPT;
use postrider_model::time::Timestamp;
use postrider_ports::StoreError;
use postrider_ports::once::{AnswerKey, Keep, Kept, Once, Write, Written};

use super::tables::{KeptRow, Tables};

impl Tables {
    pub(super) fn kept_answer(&self, at: &AnswerKey, now: Timestamp) -> Option<Kept> {
        let row = self.kept.get(at).filter(|row| now < row.ends_at)?;
        Some(row.kept.clone())
    }

    /// Keeps the answer of what was written, where there is one to keep.
    pub(super) fn keep(&mut self, keep: &Keep, written: &Written) {
        let Some(answer) = (keep.render)(written) else { return };
        let row = KeptRow {
            ends_at: keep.now + IDEMPOTENCY_KEPT,
            kept: Kept {
                fingerprint: keep.fingerprint,
                answer,
            },
        };
        self.kept.insert(keep.at.clone(), row);
    }

    pub(super) fn write_once(&mut self, write: Write, keep: &Keep) -> Result<Once, StoreError> {
        if let Some(kept) = self.kept_answer(&keep.at, keep.now) {
            return Ok(Once::Kept(kept));
        }
        let written = self.carry_out(write)?;
        self.keep(keep, &written);
        Ok(Once::Done(written))
    }

    fn carry_out(&mut self, write: Write) -> Result<Written, StoreError> {
        Ok(match write {
            Write::Nothing => Written::Nothing,
            Write::CreateAccount(account) => Written::Account(self.create_account(account)),
            Write::CreateKey(key, hash) => Written::Key(self.create_key(key, hash)),
            Write::CreateWebhook(webhook, webhooks_max) => Written::Webhook(self.create_webhook(webhook, webhooks_max)),
            Write::EditWebhook { webhook, edit, now } => Written::Edited(self.edit_webhook(webhook, edit, now)),
            Write::CreateTest(delivery, body) => Written::Test(self.create_test(delivery, body)?),
            Write::RetryDelivery(ask) => Written::Retried(self.retry(ask)),
            Write::CreateJob(job, recovery) => Written::Job(self.create_job(job, recovery)),
        })
    }
}
