//! The filters of lists.

use std::time::Duration;

use postrider_model::delivery::Status;
use postrider_model::id::{EventId, MadeEventId, WebhookId};
use postrider_model::time::Timestamp;
use postrider_ports::store::{DeliveryFilter, EventFilter, StatusFilter, TimeRange};
use schemars::Schema;

use crate::description::schema;
use crate::fault::{Bad, Faults};
use crate::json::delivery::STATUSES;
use crate::page;
use crate::query::Query;
use crate::rules::{self, IdOf, Rule};

/// Times are kept in milliseconds: the first moment behind one is this much later.
const TICK: Duration = Duration::from_millis(1);

/// Which deliveries a list shows.
pub(crate) struct Wanted {
    /// What the store can tell.
    pub(crate) filter: DeliveryFilter,
    /// Of the pending ones: those in progress, or those that are not; `None` for both.
    in_progress: Option<bool>,
}

impl Wanted {
    /// What the store cannot tell: whether a pending delivery is in progress.
    pub(crate) fn shows(&self, status: Status, is_in_progress: bool) -> bool {
        let is_in_progress = is_in_progress && !status.is_final();
        self.in_progress.is_none_or(|wanted| wanted == is_in_progress)
    }
}

/// Reads the filters of deliveries; `None` where they can match nothing: a text that is no id names nothing that there is.
pub(crate) fn deliveries(of_path: Option<WebhookId>, query: &mut Query, faults: &mut Faults) -> Option<Wanted> {
    let status = query.take("status", faults, OfStatus, "Only those of this status.");
    let webhook = query.take(
        "webhook",
        faults,
        IdOf::<WebhookId>::new(WebhookId::PREFIX),
        "Only those to the webhook of this id.",
    );
    let event = query.take(
        "event",
        faults,
        IdOf::<EventId>::new(MadeEventId::PREFIX),
        "Only those of the event of this id.",
    );
    let name = query.take(
        "name",
        faults,
        rules::NamePattern,
        "Only those of events of this name, or of all that `order.*` stands for.",
    );
    let resource_id = query.take(
        "resource[id]",
        faults,
        rules::ResourcePart("o-1001"),
        "Only those of events about the resource of this id.",
    );
    let created = created(query, faults);
    let matches_nothing =
        webhook == Some(None) || event == Some(None) || matches!((of_path, webhook), (Some(path), Some(Some(given))) if path != given);
    let (status, in_progress) = status.map_or((None, None), |(status, in_progress)| (Some(status), in_progress));
    (!matches_nothing).then_some(Wanted {
        filter: DeliveryFilter {
            webhook: of_path.or(webhook.flatten()),
            status,
            event: event.flatten(),
            name,
            resource_id,
            created,
        },
        in_progress,
    })
}

/// Reads the filters of events.
pub(crate) fn events(query: &mut Query, faults: &mut Faults) -> EventFilter {
    EventFilter {
        name: query.take(
            "name",
            faults,
            rules::NamePattern,
            "Only those of this name, or of all that `order.*` stands for.",
        ),
        resource_id: query.take(
            "resource[id]",
            faults,
            rules::ResourcePart("o-1001"),
            "Only those about the resource of this id.",
        ),
        resource_type: query.take(
            "resource[type]",
            faults,
            rules::ResourcePart("order"),
            "Only those about resources of this type.",
        ),
        created: created(query, faults),
    }
}

/// What the list of deliveries reads.
pub(crate) fn describe_deliveries(query: &mut Query, faults: &mut Faults) {
    page::describe(query, faults);
    deliveries(None, query, faults);
}

/// The status as the store knows it, and whether what is pending is to be in progress.
struct OfStatus;

impl Rule for OfStatus {
    type Out = (StatusFilter, Option<bool>);

    fn judge(&self, text: &str) -> Result<Self::Out, Bad> {
        match text {
            "pending" => Ok((StatusFilter::Pending, Some(false))),
            "in_progress" => Ok((StatusFilter::Pending, Some(true))),
            "succeeded" => Ok((StatusFilter::Succeeded, None)),
            "failed" => Ok((StatusFilter::Failed, None)),
            _ => Err(Bad::new("unknown_value", format!("must be one of {}", STATUSES.join(", ")))),
        }
    }

    fn schema(&self) -> Schema {
        schema::one_of(STATUSES)
    }
}

/// Reads `created[gt]`, `created[gte]`, `created[lt]` and `created[lte]`; all that are given hold.
pub(crate) fn created(query: &mut Query, faults: &mut Faults) -> TimeRange {
    let mut bound = |name: &str, later: Duration, what: &'static str| -> Option<Timestamp> {
        let moment = query.take(name, faults, rules::Moment, what)?;
        Some(moment + later)
    };
    let after = bound("created[gt]", TICK, "Only those made after this moment.");
    let from = bound("created[gte]", Duration::ZERO, "Only those made at this moment or after it.");
    let until = bound("created[lt]", Duration::ZERO, "Only those made before this moment.");
    let through = bound("created[lte]", TICK, "Only those made at this moment or before it.");
    TimeRange {
        from: after.max(from),
        until: [until, through].into_iter().flatten().min(),
    }
}
