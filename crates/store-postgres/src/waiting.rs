//! Webhooks for which something is pending: a step along the index of the queue for each of them, whatever waits.

use std::sync::LazyLock;

use postrider_model::id::{AccountId, WebhookId};
use postrider_model::slot::{Slot, SlotSet};
use postrider_model::time::Timestamp;
use postrider_ports::store::{Waiting, WaitingAsk};
use uuid::Uuid;

use crate::deliveries::slot_column;
use crate::fault::Outcome;
use crate::param::Array;
use crate::store::PostgresStore;

/// A range of slots, and the place behind which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: i16,
    last: i16,
    account: Uuid,
    webhook: Uuid,
}

/// Walks each range from one webhook to the next. Written so that rows come in the order of the index, and no more are read than asked for.
static WALK: LazyLock<String> = LazyLock::new(|| {
    let next = |behind: &str| {
        format!(
            "SELECT q.slot, q.account, q.webhook FROM postrider.queue q
             WHERE (q.slot, q.account, q.webhook) > ({behind}.slot, {behind}.account, {behind}.webhook) AND q.slot <= r.last
             ORDER BY q.slot, q.account, q.webhook LIMIT 1"
        )
    };
    let due = |turn: &str| {
        format!(
            "(SELECT q.due FROM postrider.queue q
              WHERE q.slot = w.slot AND q.account = w.account AND q.webhook = w.webhook AND {turn}
              ORDER BY (CASE WHEN q.is_fresh THEN 0::bigint ELSE q.due END), q.major, q.minor LIMIT 1)"
        )
    };
    format!(
        "SELECT w.account, w.webhook, least({fresh}, {others}) AS due
         FROM unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::smallint[]) AS r (slot, account, webhook, last)
         CROSS JOIN LATERAL (
             WITH RECURSIVE walk AS (
                 ({first})
                 UNION ALL
                 SELECT n.* FROM walk CROSS JOIN LATERAL ({next}) AS n
             )
             SELECT * FROM walk
         ) AS w
         CROSS JOIN LATERAL (SELECT FROM postrider.webhooks h
                             WHERE h.account = w.account AND h.id = w.webhook AND h.deleted_at IS NULL OFFSET 0) AS webhook
         CROSS JOIN LATERAL (SELECT FROM postrider.accounts a WHERE a.id = w.account AND a.deleted_at IS NULL OFFSET 0) AS account
         LIMIT $5",
        first = next("r"),
        next = next("walk"),
        fresh = due("(CASE WHEN q.is_fresh THEN 0::bigint ELSE q.due END) = 0"),
        others = due("(CASE WHEN q.is_fresh THEN 0::bigint ELSE q.due END) > 0"),
    )
});

/// The webhooks of some slots for which something is pending, in the order of slots.
pub(crate) async fn waiting(store: &PostgresStore, ask: &WaitingAsk) -> Outcome<Vec<Waiting>> {
    let ranges = ranges(&ask.slots, ask.after);
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    let firsts: Array<i16> = ranges.iter().map(|range| range.first).collect();
    let accounts: Array<Uuid> = ranges.iter().map(|range| range.account).collect();
    let webhooks: Array<Uuid> = ranges.iter().map(|range| range.webhook).collect();
    let lasts: Array<i16> = ranges.iter().map(|range| range.last).collect();
    let limit = i64::try_from(ask.limit).unwrap_or(i64::MAX);
    let conn = store.inner.pools.hot().await?;
    let rows = conn.query(&WALK, &[&firsts, &accounts, &webhooks, &lasts, &limit]).await?;
    rows.iter()
        .map(|row| {
            let (account, webhook): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
            Ok(Waiting {
                account: AccountId::from_u128(account.as_u128()),
                webhook: WebhookId::from_u128(webhook.as_u128()),
                due: Timestamp::from_millis(row.try_get(2)?),
            })
        })
        .collect()
}

/// Slots that follow each other are one range; what lies before `after` is left out.
fn ranges(slots: &SlotSet, after: Option<(AccountId, WebhookId)>) -> Vec<Range> {
    let number = |slot: Slot| i16::try_from(slot.number()).unwrap_or(i16::MAX);
    let begin = after.map_or(0, |(_, webhook)| slot_column(webhook));
    let mut ranges: Vec<Range> = Vec::new();
    for slot in slots.iter().map(number).filter(|slot| *slot >= begin) {
        match ranges.last_mut() {
            Some(range) if range.last + 1 == slot => range.last = slot,
            _ => ranges.push(Range {
                first: slot,
                last: slot,
                account: Uuid::nil(),
                webhook: Uuid::nil(),
            }),
        }
    }
    if let (Some((account, webhook)), Some(range)) = (after, ranges.first_mut())
        && range.first == begin
    {
        range.account = Uuid::from_u128(account.as_u128());
        range.webhook = Uuid::from_u128(webhook.as_u128());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u16]) -> SlotSet {
        numbers.iter().map(|number| Slot::from_number(*number).unwrap()).collect()
    }

    fn bounds(ranges: &[Range]) -> Vec<(i16, i16)> {
        ranges.iter().map(|range| (range.first, range.last)).collect()
    }

    #[test]
    fn slots_that_follow_each_other_are_one_range() {
        assert_eq!(bounds(&ranges(&SlotSet::ALL, None)), [(0, 1023)]);
        assert_eq!(bounds(&ranges(&set(&[0, 1, 5, 1023]), None)), [(0, 1), (5, 5), (1023, 1023)]);
        assert!(ranges(&SlotSet::EMPTY, None).is_empty());
    }

    #[test]
    fn a_page_goes_on_behind_a_webhook() {
        let (account, webhook) = (AccountId::from_u128(7), WebhookId::from_u128(9));
        let slot = slot_column(webhook);
        let all = ranges(&SlotSet::ALL, Some((account, webhook)));
        assert_eq!(bounds(&all), [(slot, 1023)]);
        assert_eq!((all[0].account, all[0].webhook), (Uuid::from_u128(7), Uuid::from_u128(9)));
        let behind = set(&[u16::try_from(slot).unwrap() + 1]);
        let others = ranges(&behind, Some((account, webhook)));
        assert_eq!(others[0].account, Uuid::nil(), "its slot is not asked for any more");
    }
}
