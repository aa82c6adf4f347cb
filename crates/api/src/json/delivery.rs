//! A delivery as it is shown.

use postrider_model::delivery::{DeliveryRecord, Status};
use postrider_model::id::{DeliveryId, EventId, WebhookId};
use postrider_model::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::attempt::AttemptJson;
use crate::description::schema::field;

/// Every status that is shown.
pub(crate) const STATUSES: [&str; 4] = ["pending", "in_progress", "succeeded", "failed"];

/// One event on its way to one webhook.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub(crate) struct DeliveryJson<'a> {
    /// The same on every attempt, as `Webhook-Id` says it.
    #[schemars(schema_with = "field::delivery_id")]
    id: DeliveryId,
    /// The id of the webhook that it goes to.
    #[schemars(schema_with = "field::webhook_id")]
    webhook: WebhookId,
    /// The id of the event; null for a test.
    #[schemars(schema_with = "field::event_id_or_null")]
    event: Option<&'a EventId>,
    /// Where it stands. `in_progress` is known to the node that sends it: another may show `pending`.
    #[schemars(schema_with = "field::delivery_status")]
    status: &'static str,
    /// Null unless it failed. `exhausted`: every attempt of the schedule failed. `expired`: its turn came too late. `webhook_deleted`: its
    /// webhook was deleted while it waited.
    #[schemars(schema_with = "field::failed_reason_or_null")]
    failed_reason: Option<&'static str>,
    /// The event as it goes over the wire; null where what the store holds is no JSON.
    #[schemars(schema_with = "field::object_or_null")]
    payload: Option<&'a RawValue>,
    /// When it succeeded; null where it did not.
    #[schemars(schema_with = "field::moment_or_null")]
    succeeded_at: Option<Timestamp>,
    /// When it failed for good; null where it did not.
    #[schemars(schema_with = "field::moment_or_null")]
    failed_at: Option<Timestamp>,
    /// The earliest time of the next attempt, not a promise; null where none is to come.
    #[schemars(schema_with = "field::moment_or_null")]
    next_attempt_at: Option<Timestamp>,
    /// Oldest first.
    attempts: Vec<AttemptJson<'a>>,
    /// When it was made.
    #[schemars(schema_with = "field::moment")]
    created_at: Timestamp,
    /// When it last changed.
    #[schemars(schema_with = "field::moment")]
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
