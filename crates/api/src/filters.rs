//! The filters of lists.

use std::time::Duration;

use postrider_model::delivery::Status;
use postrider_model::id::{EventId, WebhookId};
use postrider_model::limits::RESOURCE_CHARS_MAX;
use postrider_model::time::Timestamp;
use postrider_ports::store::{DeliveryFilter, StatusFilter, TimeRange};

use crate::fault::{Bad, Faults};
use crate::query::Query;
use crate::rules;

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
    let status = query.take("status", faults, status);
    let webhook = query.take("webhook", faults, |text| Ok(text.parse::<WebhookId>().ok()));
    let event = query.take("event", faults, |text| Ok(text.parse::<EventId>().ok()));
    let name = query.take("name", faults, rules::event_name_pattern);
    let resource_id = query.take("resource[id]", faults, |text| {
        rules::bounded(text, 1, RESOURCE_CHARS_MAX).map(|()| text.to_owned())
    });
    let created = time_range("created", query, faults);
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

/// The status as the store knows it, and whether what is pending is to be in progress.
fn status(text: &str) -> Result<(StatusFilter, Option<bool>), Bad> {
    match text {
        "pending" => Ok((StatusFilter::Pending, Some(false))),
        "in_progress" => Ok((StatusFilter::Pending, Some(true))),
        "succeeded" => Ok((StatusFilter::Succeeded, None)),
        "failed" => Ok((StatusFilter::Failed, None)),
        _ => Err(Bad::new("unknown_value", "must be one of pending, in_progress, succeeded, failed")),
    }
}

/// Reads `name[gt]`, `name[gte]`, `name[lt]` and `name[lte]`; all that are given hold.
pub(crate) fn time_range(name: &str, query: &mut Query, faults: &mut Faults) -> TimeRange {
    let mut bound = |operator: &str, later: Duration| -> Option<Timestamp> {
        let moment = query.take(&format!("{name}[{operator}]"), faults, rules::moment)?;
        Some(moment + later)
    };
    let (after, from) = (bound("gt", TICK), bound("gte", Duration::ZERO));
    let (until, through) = (bound("lt", Duration::ZERO), bound("lte", TICK));
    TimeRange {
        from: after.max(from),
        until: [until, through].into_iter().flatten().min(),
    }
}
