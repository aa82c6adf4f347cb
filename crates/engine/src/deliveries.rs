//! What callers ask of deliveries: a test, a retry, whether they are being sent.

use bytes::Bytes;
use postrider_model::delivery::{Delivery, DeliveryRecord, Progress, Status};
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::id::{AccountId, DeliveryId, EventId, TestEventId, WebhookId};
use postrider_model::name::EventName;
use postrider_model::queue::{Position, Queued};
use postrider_ports::StoreError;
use postrider_ports::store::RetryAsk;
use tokio::sync::oneshot;

use crate::Engine;
use crate::dispatch::Message;

impl Engine {
    /// A test for a webhook, as it will wait and be shown once `Write::CreateTest` has made it.
    pub fn draft_test(&self, account: AccountId, webhook: WebhookId, name: EventName, data: &str) -> DeliveryRecord {
        let (now, random) = (self.inner.parts.clock.wall(), &self.inner.parts.random);
        let event_id = EventId::Test(TestEventId::new(now, random.bits()));
        let resource = Resource {
            id: webhook.to_string(),
            resource_type: "webhook".to_owned(),
        };
        let event = Event::new(account, event_id, EventDraft { name, resource, data }, now);
        DeliveryRecord {
            delivery: Delivery {
                id: DeliveryId::new(now, random.bits()),
                account,
                webhook,
                event: None,
                status: Status::Pending { due: now },
                progress: Progress::new(now),
                created_at: now,
                modified_at: now,
            },
            payload: event.body,
            attempts: Vec::new(),
        }
    }

    /// What to ask of `Write::RetryDelivery` for an attempt of a delivery now.
    pub fn draft_retry(&self, account: AccountId, delivery: DeliveryId) -> RetryAsk {
        let now = self.inner.parts.clock.wall();
        RetryAsk {
            account,
            delivery,
            fresh: DeliveryId::new(now, self.inner.parts.random.bits()),
            now,
        }
    }

    /// A delivery of the account that is being sent by this node at this moment.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn being_sent(&self, account: AccountId, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        if !self.in_progress(&[id]).await.contains(&true) {
            return Ok(None);
        }
        self.inner.parts.store.delivery(account, id).await
    }

    /// Which of these are being sent by this node, or were and are not recorded yet. As many answers as ids.
    pub async fn in_progress(&self, ids: &[DeliveryId]) -> Vec<bool> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::InProgress(ids.to_vec(), answer)).await;
        answered.await.unwrap_or_else(|_| vec![false; ids.len()])
    }

    /// How many outcomes are recorded so far. Asked before the store is: the sweep may find a delivery there, and send it first.
    pub(crate) async fn mark(&self) -> u64 {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Mark(answer)).await;
        answered.await.unwrap_or_default()
    }

    /// To the head of its lane, unless it was recorded since `mark`.
    pub(crate) async fn hurry(&self, queued: Queued, mark: u64) -> Result<(), StoreError> {
        if let Some(target) = self.inner.directory.target(queued.account, queued.webhook).await? {
            self.send(Message::Urgent(queued, target.lane(), mark)).await;
        }
        Ok(())
    }
}

/// How a test waits in its lane: it goes to the head.
pub(crate) fn queued_test(delivery: &Delivery, body: Bytes) -> Queued {
    Queued {
        delivery: delivery.id,
        account: delivery.account,
        webhook: delivery.webhook,
        event: None,
        progress: delivery.progress,
        due: delivery.created_at,
        is_urgent: true,
        position: Position::default(),
        body,
    }
}
