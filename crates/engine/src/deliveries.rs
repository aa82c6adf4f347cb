//! What callers ask of deliveries: a test, a retry, whether they are being sent.

use std::sync::Arc;

use postrider_model::delivery::{Delivery, Progress, Status};
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::id::{AccountId, DeliveryId, EventId, TestEventId};
use postrider_model::name::EventName;
use postrider_model::queue::{Position, Queued};
use postrider_model::webhook::Webhook;
use postrider_ports::StoreError;
use postrider_ports::store::{Retried, RetryAsk};
use tokio::sync::oneshot;

use crate::Engine;
use crate::dispatch::{Message, Standpoint};

/// What came of asking for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAnswer {
    /// An attempt of this delivery comes now: the one that was named, or a new one of the same event where that had succeeded.
    Due(DeliveryId),
    /// It is being sent at this moment: nothing was added.
    InProgress(DeliveryId),
    /// The account has no such delivery.
    NotFound,
    /// Its webhook is not active.
    WebhookInactive,
    /// Its webhook is deleted.
    WebhookDeleted,
}

impl Engine {
    /// Sends a test to a webhook, active or not, ahead of what waits. `None` where the webhook is gone.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn test_webhook(&self, webhook: &Arc<Webhook>, name: EventName, data: &str) -> Result<Option<DeliveryId>, StoreError> {
        let (now, random) = (self.inner.parts.clock.wall(), &self.inner.parts.random);
        let event_id = EventId::Test(TestEventId::new(now, random.bits()));
        let resource = Resource {
            id: webhook.id.to_string(),
            resource_type: "webhook".to_owned(),
        };
        let event = Event::new(webhook.account, event_id, EventDraft { name, resource, data }, now);
        let delivery = Delivery {
            id: DeliveryId::new(now, random.bits()),
            account: webhook.account,
            webhook: webhook.id,
            event: None,
            status: Status::Pending { due: now },
            progress: Progress::new(now),
            created_at: now,
            modified_at: now,
        };
        let queued = Queued {
            delivery: delivery.id,
            account: delivery.account,
            webhook: delivery.webhook,
            event: None,
            progress: delivery.progress,
            due: now,
            is_urgent: true,
            position: Position::default(),
            body: event.body.clone(),
        };
        let mark = self.standpoint(queued.delivery).await.mark;
        if !self.inner.parts.store.create_test(delivery, event.body).await? {
            return Ok(None);
        }
        let id = queued.delivery;
        self.hurry(queued, mark).await?;
        Ok(Some(id))
    }

    /// Makes an attempt of a delivery now.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn retry_delivery(&self, account: AccountId, id: DeliveryId) -> Result<RetryAnswer, StoreError> {
        let (now, store) = (self.inner.parts.clock.wall(), &self.inner.parts.store);
        let Standpoint { is_in_flight, mark } = self.standpoint(id).await;
        if is_in_flight && store.delivery(account, id).await?.is_some() {
            return Ok(RetryAnswer::InProgress(id));
        }
        let ask = RetryAsk {
            account,
            delivery: id,
            fresh: DeliveryId::new(now, self.inner.parts.random.bits()),
            now,
        };
        Ok(match store.retry_delivery(ask).await? {
            Retried::Due { queued, .. } => {
                let due = queued.delivery;
                self.hurry(queued, mark).await?;
                RetryAnswer::Due(due)
            }
            Retried::NotFound => RetryAnswer::NotFound,
            Retried::WebhookInactive => RetryAnswer::WebhookInactive,
            Retried::WebhookDeleted => RetryAnswer::WebhookDeleted,
        })
    }

    /// Which of these are being sent by this node, or were and are not recorded yet. As many answers as ids.
    pub async fn in_progress(&self, ids: &[DeliveryId]) -> Vec<bool> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::InProgress(ids.to_vec(), answer)).await;
        answered.await.unwrap_or_else(|_| vec![false; ids.len()])
    }

    /// Where a delivery stands before the store is asked to send it: the sweep may find it there, and send it first.
    async fn standpoint(&self, id: DeliveryId) -> Standpoint {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Ask(id, answer)).await;
        answered.await.unwrap_or_default()
    }

    /// To the head of its lane, unless it was recorded since `mark`.
    async fn hurry(&self, queued: Queued, mark: u64) -> Result<(), StoreError> {
        if let Some(target) = self.inner.directory.target(queued.account, queued.webhook).await? {
            self.send(Message::Urgent(queued, target.lane(), mark)).await;
        }
        Ok(())
    }
}
