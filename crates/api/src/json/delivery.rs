//! A delivery as it is shown.

use postrider_model::delivery::{DeliveryRecord, Status};
use postrider_model::id::{DeliveryId, EventId, WebhookId};
use postrider_model::time::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::attempt::AttemptJson;

#[derive(Serialize)]
pub(crate) struct DeliveryJson<'a> {
    id: DeliveryId,
    webhook: WebhookId,
    event: Option<&'a EventId>,
    status: &'static str,
    failed_reason: Option<&'static str>,
    /// The event as it goes over the wire; null where what the store holds is no JSON.
    payload: Option<&'a RawValue>,
    succeeded_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
    next_attempt_at: Option<Timestamp>,
    attempts: Vec<AttemptJson<'a>>,
    created_at: Timestamp,
    modified_at: Timestamp,
}

impl<'a> DeliveryJson<'a> {
    /// The shape of a delivery; whether it is in progress, only the node that sends it knows.
    pub(crate) fn new(record: &'a DeliveryRecord, is_in_progress: bool) -> Self {
        let delivery = &record.delivery;
        let mut shown = Self {
            id: delivery.id,
            webhook: delivery.webhook,
            event: delivery.event.as_ref(),
            status: "pending",
            failed_reason: None,
            payload: serde_json::from_slice(&record.payload).ok(),
            succeeded_at: None,
            failed_at: None,
            next_attempt_at: None,
            attempts: record.attempts.iter().map(AttemptJson::from).collect(),
            created_at: delivery.created_at,
            modified_at: delivery.modified_at,
        };
        match delivery.status {
            Status::Pending { .. } if is_in_progress => shown.status = "in_progress",
            Status::Pending { due } => shown.next_attempt_at = Some(due),
            Status::Succeeded { at } => {
                shown.status = "succeeded";
                shown.succeeded_at = Some(at);
            }
            Status::Failed { at, reason } => {
                shown.status = "failed";
                shown.failed_at = Some(at);
                shown.failed_reason = Some(reason.as_str());
            }
        }
        shown
    }
}
