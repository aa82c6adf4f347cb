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

/// Webhooks that are read from where their fresh rows begin, in one answer: about as many as a page of the sweep has. The others are stepped
/// through, with all that has ended.
const SKIPPED_MAX: usize = 1_000;

/// A place in the order of the index, before all that waits for a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    slot: i16,
    account: Uuid,
    webhook: Uuid,
}

/// A stretch of the index. Where it ends is told of one column, with equality of all before it: a scan that is to end by two columns ends by
/// the first of them alone, and steps over all between, ended or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    /// All webhooks behind this one, in its slot and the following up to this one.
    Slots(Key, i16),
    /// All webhooks behind this one in its slot, of accounts before this one.
    Accounts(Key, Uuid),
    /// All webhooks of this one's account and slot behind it, before this one.
    Webhooks(Key, Uuid),
    /// One webhook, whose fresh rows begin at this transaction.
    One(Key, i64),
}

impl Stretch {
    const fn kind(&self) -> i16 {
        match self {
            Self::Slots(..) => SLOTS,
            Self::Accounts(..) => ACCOUNTS,
            Self::Webhooks(..) => WEBHOOKS,
            Self::One(..) => ONE,
        }
    }

    /// The webhook that it begins behind, or is.
    const fn first(&self) -> Key {
        match self {
            Self::Slots(key, _) | Self::Accounts(key, _) | Self::Webhooks(key, _) | Self::One(key, _) => *key,
        }
    }
}

/// Kinds of stretches, as the statement has them.
const SLOTS: i16 = 0;
const ACCOUNTS: i16 = 1;
const WEBHOOKS: i16 = 2;
const ONE: i16 = 3;

/// Walks each stretch from one webhook to the next. Written so that rows come in the order of the index, and no more are read than asked for.
static WALK: LazyLock<String> = LazyLock::new(|| {
    let next = |behind: &str| {
        format!(
            "(SELECT q.slot, q.account, q.webhook FROM postrider.queue q
              WHERE r.kind = {SLOTS} AND (q.slot, q.account, q.webhook) > ({behind}.slot, {behind}.account, {behind}.webhook)
                AND q.slot <= r.end_slot
              ORDER BY q.slot, q.account, q.webhook LIMIT 1)
             UNION ALL
             (SELECT q.slot, q.account, q.webhook FROM postrider.queue q
              WHERE r.kind = {ACCOUNTS} AND q.slot = r.slot AND (q.account, q.webhook) > ({behind}.account, {behind}.webhook)
                AND q.account < r.until
              ORDER BY q.account, q.webhook LIMIT 1)
             UNION ALL
             (SELECT q.slot, q.account, q.webhook FROM postrider.queue q
              WHERE r.kind = {WEBHOOKS} AND q.slot = r.slot AND q.account = r.account AND q.webhook > {behind}.webhook
                AND q.webhook < r.until
              ORDER BY q.webhook LIMIT 1)"
        )
    };
    let of_webhook = "q.slot = w.slot AND q.account = w.account AND q.webhook = w.webhook";
    format!(
        "SELECT w.account, w.webhook, least(fresh.due, (SELECT q.due FROM postrider.queue q WHERE {of_webhook} AND {TURN} > 0
                                                        ORDER BY {TURN}, q.major, q.minor LIMIT 1)) AS due,
                fresh.major, (SELECT {XMIN}), (SELECT {SERVER})
         FROM unnest($1::smallint[], $2::smallint[], $3::uuid[], $4::uuid[], $5::smallint[], $6::uuid[], $7::bigint[])
              AS r (kind, slot, account, webhook, end_slot, until, begin)
         CROSS JOIN LATERAL (
             SELECT r.slot, r.account, r.webhook, CASE WHEN (SELECT {SERVER}) = $8 THEN r.begin ELSE 0 END AS begin
             WHERE r.kind = {ONE}
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
    let key = |of: &Of| Some(Key::of(*of)).filter(|key| ask.slots.contains(Slot::of(of.1)) && *key > after);
    let (server, skipped) = store.inner.marks.lowest(SKIPPED_MAX, key);
    let stretches = stretches(&ask.slots, ask.after, skipped.iter().map(|(_, key, begin)| (*key, *begin)));
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
        let gone = skipped.into_iter().map(|(of, ..)| of).filter(|of| !seen.contains(of));
        store.inner.marks.forget(gone);
    }
    store.inner.marks.learn(seen_on, begins);
    found.truncate(ask.limit);
    Ok(found)
}

async fn read(store: &PostgresStore, stretches: &[Stretch], (server, limit): (i64, usize)) -> Outcome<Vec<Row>> {
    let each = || stretches.iter();
    let kinds: Array<i16> = each().map(Stretch::kind).collect();
    let slots: Array<i16> = each().map(|one| one.first().slot).collect();
    let accounts: Array<Uuid> = each().map(|one| one.first().account).collect();
    let webhooks: Array<Uuid> = each().map(|one| one.first().webhook).collect();
    let end_slot = |one: &Stretch| match one {
        Stretch::Slots(_, slot) => Some(*slot),
        _ => None,
    };
    let end = |one: &Stretch| match one {
        Stretch::Accounts(_, end) | Stretch::Webhooks(_, end) => Some(*end),
        _ => None,
    };
    let begin = |one: &Stretch| match one {
        Stretch::One(_, begin) => Some(*begin),
        _ => None,
    };
    let end_slots: Nullable<i16> = each().map(end_slot).collect();
    let ends: Nullable<Uuid> = each().map(end).collect();
    let begins: Nullable<i64> = each().map(begin).collect();
    // Those that are read by their names come even where nothing waits for them.
    let named = begins.0.iter().flatten().count();
    let limit = i64::try_from(limit.saturating_add(named)).unwrap_or(i64::MAX);
    let conn = store.inner.pools.hot().await?;
    conn.query(
        &WALK,
        &[&kinds, &slots, &accounts, &webhooks, &end_slots, &ends, &begins, &server, &limit],
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
    for (first, last) in ranges(slots, after) {
        let mut from = first;
        while let Some((key, begin)) = skipped.next_if(|(key, _)| key.slot <= last) {
            if key > first {
                between(from, key, &mut stretches);
                stretches.push(Stretch::One(key, begin));
                from = key;
            }
        }
        stretches.push(Stretch::Slots(from, last));
    }
    stretches
}

/// All webhooks behind one and before another.
fn between(from: Key, to: Key, stretches: &mut Vec<Stretch>) {
    let mut from = from;
    if from.slot < to.slot {
        stretches.push(Stretch::Slots(from, to.slot - 1));
        from = Key::start(to.slot);
    }
    if from.account < to.account {
        stretches.push(Stretch::Accounts(from, to.account));
        from = Key {
            webhook: Uuid::nil(),
            ..to
        };
    }
    stretches.push(Stretch::Webhooks(from, to.webhook));
}

/// Behind which key slots that follow each other begin, and which is the last of them.
fn ranges(slots: &SlotSet, after: Key) -> Vec<(Key, i16)> {
    let number = |slot: Slot| i16::try_from(slot.number()).unwrap_or(i16::MAX);
    let mut ranges: Vec<(Key, i16)> = Vec::new();
    for slot in slots.iter().map(number).filter(|slot| *slot >= after.slot) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == slot => *last = slot,
            _ => ranges.push((Key::start(slot).max(after), slot)),
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

    #[test]
    fn slots_that_follow_each_other_are_one_stretch() {
        let of = |set: &SlotSet| stretches(set, None, std::iter::empty());
        let slots = |first, last| Stretch::Slots(Key::start(first), last);
        assert_eq!(of(&SlotSet::ALL), [slots(0, 1023)]);
        assert_eq!(of(&set(&[0, 1, 5, 1023])), [slots(0, 1), slots(5, 5), slots(1023, 1023)]);
        assert!(of(&SlotSet::EMPTY).is_empty());
    }

    #[test]
    fn a_page_goes_on_behind_a_webhook() {
        let of = (AccountId::from_u128(7), WebhookId::from_u128(9));
        let key = Key::of(of);
        let all = stretches(&SlotSet::ALL, Some(of), [(key, 5)].into_iter());
        assert_eq!(all, [Stretch::Slots(key, 1023)], "not once more, even where it is skipped to");
        let behind = set(&[u16::try_from(key.slot).unwrap() + 1]);
        let others = stretches(&behind, Some(of), std::iter::empty());
        assert_eq!(others, [Stretch::Slots(Key::start(key.slot + 1), key.slot + 1)]);
    }

    #[test]
    fn webhooks_that_are_skipped_to_part_a_stretch() {
        let uuid = Uuid::from_u128;
        let key = |slot, account, webhook| Key {
            slot,
            account: uuid(account),
            webhook: uuid(webhook),
        };
        let skipped = [(key(6, 1, 2), 60), (key(2, 1, 9), 20), (key(2, 1, 3), 30), (key(3, 2, 4), 40)];
        let found = stretches(&set(&[2, 3, 7]), None, skipped.into_iter());
        let expected = [
            Stretch::Accounts(Key::start(2), uuid(1)),
            Stretch::Webhooks(key(2, 1, 0), uuid(3)),
            Stretch::One(key(2, 1, 3), 30),
            Stretch::Webhooks(key(2, 1, 3), uuid(9)),
            Stretch::One(key(2, 1, 9), 20),
            Stretch::Slots(key(2, 1, 9), 2),
            Stretch::Accounts(Key::start(3), uuid(2)),
            Stretch::Webhooks(key(3, 2, 0), uuid(4)),
            Stretch::One(key(3, 2, 4), 40),
            Stretch::Slots(key(3, 2, 4), 3),
            Stretch::Slots(Key::start(7), 7),
        ];
        assert_eq!(found, expected, "and what is of no slot that was asked for is left out");
    }
}
