//! Webhooks for which something is pending: a step along the index of the queue for each of them, whatever waits.

use std::sync::LazyLock;

use postrider_model::id::{AccountId, WebhookId};
use postrider_model::slot::{Slot, SlotSet};
use postrider_model::time::Timestamp;
use postrider_ports::store::{Waiting, WaitingAsk};
use rustc_hash::FxHashSet;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::deliveries::slot_column;
use crate::fault::Outcome;
use crate::marks::Of;
use crate::param::{Array, Nullable};
use crate::position::{SERVER, XMIN};
use crate::queue::TURN;
use crate::store::PostgresStore;

/// Webhooks that are read from where their fresh rows begin, in one answer: those with the most to step over.
const SKIPPED_MAX: usize = 128;

/// A place in the order of the index, before all that waits for a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    slot: i16,
    account: Uuid,
    webhook: Uuid,
}

/// A stretch of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    /// All webhooks behind the first and before the second.
    Between(Key, Key),
    /// One webhook, whose fresh rows begin at this transaction.
    One(Key, i64),
}

impl Stretch {
    const fn named(&self) -> Option<Key> {
        match self {
            Self::One(key, _) => Some(*key),
            Self::Between(..) => None,
        }
    }
}

/// Walks each stretch from one webhook to the next. Written so that rows come in the order of the index, and no more are read than asked for.
static WALK: LazyLock<String> = LazyLock::new(|| {
    let next = |behind: &str| {
        format!(
            "SELECT q.slot, q.account, q.webhook FROM postrider.queue q
             WHERE (q.slot, q.account, q.webhook) > ({behind}.slot, {behind}.account, {behind}.webhook)
               AND (q.slot, q.account, q.webhook) < (r.end_slot, r.end_account, r.end_webhook) AND r.begin IS NULL
             ORDER BY q.slot, q.account, q.webhook LIMIT 1"
        )
    };
    let of_webhook = "q.slot = w.slot AND q.account = w.account AND q.webhook = w.webhook";
    format!(
        "SELECT w.account, w.webhook, least(fresh.due, (SELECT q.due FROM postrider.queue q WHERE {of_webhook} AND {TURN} > 0
                                                        ORDER BY {TURN}, q.major, q.minor LIMIT 1)) AS due,
                fresh.major, (SELECT {XMIN}), (SELECT {SERVER})
         FROM unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::smallint[], $5::uuid[], $6::uuid[], $7::bigint[])
              AS r (slot, account, webhook, end_slot, end_account, end_webhook, begin)
         CROSS JOIN LATERAL (
             SELECT r.slot, r.account, r.webhook, CASE WHEN (SELECT {SERVER}) = $8 THEN r.begin ELSE 0 END AS begin
             WHERE r.begin IS NOT NULL
             UNION ALL
             (WITH RECURSIVE walk AS (
                 ({first})
                 UNION ALL
                 SELECT n.* FROM walk CROSS JOIN LATERAL ({next}) AS n
             )
             SELECT walk.*, 0 FROM walk)
         ) AS w
         CROSS JOIN LATERAL (SELECT FROM postrider.webhooks h
                             WHERE h.account = w.account AND h.id = w.webhook AND h.deleted_at IS NULL OFFSET 0) AS webhook
         CROSS JOIN LATERAL (SELECT FROM postrider.accounts a WHERE a.id = w.account AND a.deleted_at IS NULL OFFSET 0) AS account
         LEFT JOIN LATERAL (SELECT q.due, q.major FROM postrider.queue q WHERE {of_webhook} AND {TURN} = 0 AND q.major >= w.begin
                            ORDER BY q.major, q.minor LIMIT 1) AS fresh ON true
         LIMIT $9",
        first = next("r"),
        next = next("walk"),
    )
});

/// The webhooks of some slots for which something is pending, in the order of slots.
pub(crate) async fn waiting(store: &PostgresStore, ask: &WaitingAsk) -> Outcome<Vec<Waiting>> {
    let after = ask.after.map_or(Key::start(0), Key::of);
    let is_asked = |of: &Of| ask.slots.contains(Slot::of(of.1)) && Key::of(*of) > after;
    let (server, farthest) = store.inner.marks.farthest(SKIPPED_MAX, is_asked);
    let skipped = farthest.iter().map(|(of, begin)| (Key::of(*of), *begin));
    let stretches = stretches(&ask.slots, ask.after, skipped);
    if stretches.is_empty() {
        return Ok(Vec::new());
    }
    let rows = read(store, &stretches, (server, ask.limit)).await?;
    let mut found = Vec::with_capacity(rows.len());
    let mut begins = Vec::with_capacity(rows.len());
    let mut seen_on = server;
    for row in &rows {
        let (account, webhook): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
        let of = (AccountId::from_u128(account.as_u128()), WebhookId::from_u128(webhook.as_u128()));
        begins.push((of, store.inner.positions.begin(row.try_get(3)?, row.try_get(4)?)));
        seen_on = row.try_get(5)?;
        if let Some(due) = row.try_get::<_, Option<i64>>(2)? {
            let (account, webhook) = of;
            let due = Timestamp::from_millis(due);
            found.push(Waiting { account, webhook, due });
        }
    }
    // All was read: what was named and did not come is deleted.
    if found.len() < ask.limit {
        let seen: FxHashSet<Of> = begins.iter().map(|(of, _)| *of).collect();
        let named: FxHashSet<Key> = stretches.iter().filter_map(Stretch::named).collect();
        let gone = farthest.into_iter().map(|(of, _)| of);
        let gone = gone.filter(|of| named.contains(&Key::of(*of)) && !seen.contains(of));
        store.inner.marks.forget(gone);
    }
    store.inner.marks.learn(seen_on, begins);
    found.truncate(ask.limit);
    Ok(found)
}

async fn read(store: &PostgresStore, stretches: &[Stretch], (server, limit): (i64, usize)) -> Outcome<Vec<Row>> {
    let ends = |stretch: &Stretch| match stretch {
        Stretch::Between(first, end) => (*first, *end, None),
        Stretch::One(key, begin) => (*key, *key, Some(*begin)),
    };
    let slots: Array<i16> = stretches.iter().map(|one| ends(one).0.slot).collect();
    let accounts: Array<Uuid> = stretches.iter().map(|one| ends(one).0.account).collect();
    let webhooks: Array<Uuid> = stretches.iter().map(|one| ends(one).0.webhook).collect();
    let end_slots: Array<i16> = stretches.iter().map(|one| ends(one).1.slot).collect();
    let end_accounts: Array<Uuid> = stretches.iter().map(|one| ends(one).1.account).collect();
    let end_webhooks: Array<Uuid> = stretches.iter().map(|one| ends(one).1.webhook).collect();
    let begins: Nullable<i64> = stretches.iter().map(|one| ends(one).2).collect();
    // Those that are read by their names come even where nothing waits for them.
    let named = begins.0.iter().flatten().count();
    let limit = i64::try_from(limit.saturating_add(named)).unwrap_or(i64::MAX);
    let conn = store.inner.pools.hot().await?;
    conn.query(
        &WALK,
        &[
            &slots,
            &accounts,
            &webhooks,
            &end_slots,
            &end_accounts,
            &end_webhooks,
            &begins,
            &server,
            &limit,
        ],
    )
    .await
}

impl Key {
    fn of((account, webhook): Of) -> Self {
        Self {
            slot: slot_column(webhook),
            account: Uuid::from_u128(account.as_u128()),
            webhook: Uuid::from_u128(webhook.as_u128()),
        }
    }

    const fn start(slot: i16) -> Self {
        Self {
            slot,
            account: Uuid::nil(),
            webhook: Uuid::nil(),
        }
    }
}

/// What is to be read, in the order of the index: slots that follow each other are one stretch, parted by the webhooks that are skipped to.
/// What lies before `after` is left out.
fn stretches(slots: &SlotSet, after: Option<Of>, skipped: impl Iterator<Item = (Key, i64)>) -> Vec<Stretch> {
    let after = after.map_or(Key::start(0), Key::of);
    let mut skipped: Vec<(Key, i64)> = skipped.filter(|(key, _)| *key > after).collect();
    skipped.sort_unstable();
    let mut skipped = skipped.into_iter().peekable();
    let mut stretches = Vec::new();
    for (first, end) in ranges(slots, after) {
        let mut from = first;
        while let Some((key, begin)) = skipped.next_if(|(key, _)| *key < end) {
            if key > first {
                stretches.extend([Stretch::Between(from, key), Stretch::One(key, begin)]);
                from = key;
            }
        }
        stretches.push(Stretch::Between(from, end));
    }
    stretches
}

/// Where slots that follow each other begin and end.
fn ranges(slots: &SlotSet, after: Key) -> Vec<(Key, Key)> {
    let number = |slot: Slot| i16::try_from(slot.number()).unwrap_or(i16::MAX);
    let mut ranges: Vec<(Key, Key)> = Vec::new();
    for slot in slots.iter().map(number).filter(|slot| *slot >= after.slot) {
        let end = Key::start(slot.saturating_add(1));
        match ranges.last_mut() {
            Some(range) if range.1.slot == slot => range.1 = end,
            _ => ranges.push((Key::start(slot).max(after), end)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u16]) -> SlotSet {
        numbers.iter().map(|number| Slot::from_number(*number).unwrap()).collect()
    }

    fn slots(stretches: &[Stretch]) -> Vec<(i16, i16)> {
        let of = |stretch: &Stretch| match stretch {
            Stretch::Between(first, end) => (first.slot, end.slot),
            Stretch::One(key, _) => (key.slot, key.slot),
        };
        stretches.iter().map(of).collect()
    }

    #[test]
    fn slots_that_follow_each_other_are_one_stretch() {
        let of = |set: &SlotSet| slots(&stretches(set, None, std::iter::empty()));
        assert_eq!(of(&SlotSet::ALL), [(0, 1024)]);
        assert_eq!(of(&set(&[0, 1, 5, 1023])), [(0, 2), (5, 6), (1023, 1024)]);
        assert!(of(&SlotSet::EMPTY).is_empty());
    }

    #[test]
    fn a_page_goes_on_behind_a_webhook() {
        let of = (AccountId::from_u128(7), WebhookId::from_u128(9));
        let key = Key::of(of);
        let all = stretches(&SlotSet::ALL, Some(of), [(key, 5)].into_iter());
        assert_eq!(
            all,
            [Stretch::Between(key, Key::start(1024))],
            "not once more, even where it is skipped to"
        );
        let behind = set(&[u16::try_from(key.slot).unwrap() + 1]);
        let others = stretches(&behind, Some(of), std::iter::empty());
        assert_eq!(others, [Stretch::Between(Key::start(key.slot + 1), Key::start(key.slot + 2))]);
    }

    #[test]
    fn webhooks_that_are_skipped_to_part_a_stretch() {
        let key = |slot, webhook| Key {
            webhook: Uuid::from_u128(webhook),
            ..Key::start(slot)
        };
        let skipped = [(key(6, 2), 60), (key(2, 9), 20), (key(2, 3), 30)];
        let found = stretches(&set(&[2, 3, 7]), None, skipped.into_iter());
        let expected = [
            Stretch::Between(Key::start(2), key(2, 3)),
            Stretch::One(key(2, 3), 30),
            Stretch::Between(key(2, 3), key(2, 9)),
            Stretch::One(key(2, 9), 20),
            Stretch::Between(key(2, 9), Key::start(4)),
            Stretch::Between(Key::start(7), Key::start(8)),
        ];
        assert_eq!(found, expected, "and what is of no slot that was asked for is left out");
    }
}
