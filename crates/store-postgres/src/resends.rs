//! What some events have to a webhook already: deliveries, and what large fan-outs still promise.

use postrider_model::delivery::{FailedReason, Status};
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::time::Timestamp;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::codec::Reader;
use crate::conn::Conn;
use crate::deliveries::{FAILED, SUCCEEDED};
use crate::event_reads::{Head, IdRange};
use crate::fault::Outcome;
use crate::param::Array;
use crate::position::columns;

/// The deliveries of some events to a webhook, oldest first. Their times are left out.
#[derive(Default)]
pub(crate) struct Resends {
    /// At most one entry for each event that a step looks at.
    by_event: FxHashMap<Uuid, Vec<(DeliveryId, Status)>>,
}

impl Resends {
    /// Reads them for events that stand one after another.
    pub(crate) async fn read(conn: &Conn, (account, webhook): (AccountId, WebhookId), events: &[Head]) -> Outcome<Self> {
        let mut all = Self::default();
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Ok(all);
        };
        let keys: Array<Uuid> = events.iter().map(|head| head.key).collect();
        let owner = Uuid::from_u128(account.as_u128());
        // First what is promised: what goes to the queue between the two reads is in both.
        let promised = conn
            .query(
                "SELECT event, pairs FROM postrider.fanouts WHERE account = $1 AND event = ANY($2)",
                &[&owner, &keys],
            )
            .await?;
        let beside = IdRange::beside(&keys.0);
        let (from, through) = (columns(first.position).0, columns(last.position).0);
        // In one snapshot, for a delivery may go from one place to the other. Those that an event was stored with are of its transaction.
        let rows = conn
            .query(
                "SELECT event, delivery, 0::smallint AS status, major, minor FROM postrider.queue
                 WHERE account = $1 AND major BETWEEN $4 AND $5 AND webhook = $3 AND event = ANY($2) AND NOT is_later
                 UNION ALL
                 SELECT event, delivery, 0::smallint, major, minor FROM postrider.queue
                 WHERE account = $1 AND event = ANY($2) AND is_later AND webhook = $3
                 UNION ALL
                 SELECT event, id, status, major, minor FROM postrider.deliveries
                 WHERE account = $1 AND webhook = $3 AND major BETWEEN $4 AND $5 AND event = ANY($2) AND NOT is_later
                 AND id BETWEEN $6 AND $7
                 UNION ALL
                 SELECT event, id, status, major, minor FROM postrider.deliveries
                 WHERE account = $1 AND event = ANY($2) AND is_later AND webhook = $3 AND id >= $6
                 ORDER BY major, minor",
                &[
                    &owner,
                    &keys,
                    &Uuid::from_u128(webhook.as_u128()),
                    &from,
                    &through,
                    &beside.first,
                    &beside.last,
                ],
            )
            .await?;
        for row in &rows {
            all.add(row.try_get(0)?, (row.try_get(1)?, status_of(row.try_get(2)?)));
        }
        for row in &promised {
            let mut pairs = Reader(row.try_get(1)?);
            while !pairs.0.is_empty() {
                let delivery = Uuid::from_bytes(pairs.array()?);
                if u128::from_be_bytes(pairs.array()?) == webhook.as_u128() {
                    // It is on its way as well.
                    all.add(row.try_get(0)?, (delivery, status_of(0)));
                }
            }
        }
        Ok(all)
    }

    fn add(&mut self, event: Uuid, (delivery, status): (Uuid, Status)) {
        let delivery = DeliveryId::from_u128(delivery.as_u128());
        self.by_event.entry(event).or_default().push((delivery, status));
    }

    /// Those of one event.
    pub(crate) fn of(&self, event: Uuid) -> &[(DeliveryId, Status)] {
        self.by_event.get(&event).map_or(&[], Vec::as_slice)
    }
}

fn status_of(column: i16) -> Status {
    let at = Timestamp::default();
    match column {
        SUCCEEDED => Status::Succeeded { at },
        FAILED => Status::Failed {
            at,
            reason: FailedReason::Exhausted,
        },
        _ => Status::Pending { due: at },
    }
}
