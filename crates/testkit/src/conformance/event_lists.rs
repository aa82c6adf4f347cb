//! Promises about lists of events.

use std::sync::Arc;

use bytes::Bytes;
use postrider_model::event::Event;
use postrider_model::id::{AccountId, EventId};
use postrider_model::limits::{BATCH_EVENTS_MAX, PAGE_BYTES_MAX};
use postrider_model::name::EventNamePattern;
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::Store;
use postrider_ports::store::{EventFilter, Retire, StoredEvent, TimeRange};

use super::fixture::{START, account, at, bits, event, event_like, own_event, page, sender, stored, test_of, to};
use crate::random::SeededRandom;

/// Pages that a walk over a list of these tests takes at most.
const PAGES_MAX: usize = 10_000;

fn everything() -> EventFilter {
    EventFilter::default()
}

fn noise(account: AccountId) -> Arc<Event> {
    event(account, at(1_000))
}

fn named(pattern: &str) -> EventFilter {
    EventFilter {
        name: Some(EventNamePattern::parse(pattern).unwrap()),
        ..EventFilter::default()
    }
}

fn ids(events: &[Arc<Event>]) -> Vec<EventId> {
    events.iter().map(|event| event.id.clone()).collect()
}

fn place(stored: &StoredEvent) -> Position {
    match stored {
        StoredEvent::New { position, .. } => *position,
        StoredEvent::Repeated(_) => panic!("the event is not new"),
    }
}

/// Stores events without deliveries in one request, and tells their places.
async fn put(store: &dyn Store, account: AccountId, events: &[Arc<Event>]) -> Vec<Position> {
    let new = events.iter().map(|event| to(event, &[])).collect();
    stored(store, account, new).await.iter().map(place).collect()
}

/// Stores so many events of an account in one request.
async fn some(store: &dyn Store, account: AccountId, count: u64) -> Vec<Arc<Event>> {
    let events: Vec<Arc<Event>> = (0..count).map(|_| event(account, START)).collect();
    put(store, account, &events).await;
    events
}

/// All events that a filter chooses, newest first, page by page.
async fn listed(store: &dyn Store, account: AccountId, filter: &EventFilter, limit: usize) -> Vec<Arc<Event>> {
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let answer = store.list_events(account, filter.clone(), page(limit, after)).await.unwrap();
        assert!(answer.rows.len() <= limit, "a page holds more than was asked for");
        found.extend(answer.rows);
        let Some(next) = answer.next else { return found };
        assert!(after.is_none_or(|after| next < after), "a page leads on");
        after = Some(next);
    }
    panic!("the pages have no end");
}

/// All events behind a place that a filter chooses, oldest first, and where to ask next.
async fn followed(
    store: &dyn Store,
    account: AccountId,
    filter: &EventFilter,
    (mut after, limit): (Position, usize),
) -> (Vec<Arc<Event>>, Position) {
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let answer = store.events_behind(account, filter.clone(), after, limit).await.unwrap();
        assert!(answer.rows.len() <= limit, "more than was asked for");
        found.extend(answer.rows);
        assert!(answer.next >= after, "no answer leads back");
        assert!(!answer.has_more || answer.next > after, "where there is more, an answer leads on");
        after = answer.next;
        if !answer.has_more {
            return (found, after);
        }
    }
    panic!("there is always more");
}

pub async fn events_are_listed_in_the_order_of_storing(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (other, other_webhook) = sender(store).await;
    let mut made = Vec::new();
    for number in 0..9 {
        // Later events may bear earlier times: the order is that of storing.
        let event = event(account, at(100 - number));
        stored(store, account, vec![to(&event, &[webhook, webhook])]).await;
        made.push(event);
        stored(store, other, vec![to(&noise(other), &[other_webhook])]).await;
    }
    for limit in [1, 2, 9, 200] {
        let (oldest_first, _) = followed(store, account, &everything(), (Position::default(), limit)).await;
        assert_eq!(oldest_first, made, "whole, {limit} at a time");
        let mut newest_first = listed(store, account, &everything(), limit).await;
        newest_first.reverse();
        assert_eq!(newest_first, made, "whole, {limit} at a time");
    }
    assert_eq!(listed(store, other, &everything(), 200).await.len(), 9);
}

pub async fn an_account_without_events_has_an_empty_list(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let answer = store.list_events(account, everything(), page(10, None)).await.unwrap();
    assert!(answer.rows.is_empty() && answer.next.is_none(), "{answer:?}");
    let test = test_of(account, webhook);
    assert_eq!(store.create_test(test, Bytes::from_static(b"{}")).await, Ok(true));
    assert!(listed(store, account, &everything(), 10).await.is_empty(), "a test is no event");
    let answer = store.events_behind(account, everything(), Position::default(), 10).await.unwrap();
    assert!(answer.rows.is_empty() && !answer.has_more, "{answer:?}");
    assert_eq!(
        answer.next,
        store.last_position().await.unwrap(),
        "whatever was stored is passed over"
    );
}

pub async fn each_filter_of_events_chooses(store: &dyn Store) {
    let account = account(store).await;
    let make = |name, resource, when: Timestamp| event_like(account, EventId::new(when, bits()), (name, resource, "{}"), when);
    let created = make("order.created", "ord_1", at(10));
    let added = make("order.item.added", "ord_2", at(20));
    let user = make("user.made", "ord_1", at(30));
    put(store, account, &[Arc::clone(&created), Arc::clone(&added), Arc::clone(&user)]).await;
    let within = |from, until| EventFilter {
        created: TimeRange { from, until },
        ..EventFilter::default()
    };
    let about = |id: &str, kind: &str| EventFilter {
        resource_id: Some(id.to_owned()),
        resource_type: Some(kind.to_owned()),
        ..EventFilter::default()
    };
    let cases = [
        (named("order.*"), vec![&created, &added]),
        (named("user.made"), vec![&user]),
        (named("order"), vec![]),
        (about("ord_1", "order"), vec![&created, &user]),
        (about("ord_1", "user"), vec![]),
        (within(Some(at(20)), None), vec![&added, &user]),
        (within(None, Some(at(20))), vec![&created]),
        (within(Some(at(15)), Some(at(25))), vec![&added]),
    ];
    for (filter, expected) in cases {
        let expected: Vec<EventId> = expected.into_iter().map(|event| event.id.clone()).collect();
        let (found, _) = followed(store, account, &filter, (Position::default(), 1)).await;
        assert_eq!(ids(&found), expected, "{filter:?}");
        let mut found = ids(&listed(store, account, &filter, 1).await);
        found.reverse();
        assert_eq!(found, expected, "{filter:?}");
    }
}

pub async fn an_event_is_found_at_its_place(store: &dyn Store) {
    let (one, other) = (account(store).await, account(store).await);
    let events = [event(one, START), own_event(one, "mine", "{}"), event(one, START)];
    let places = put(store, one, &events).await;
    for (event, place) in events.iter().zip(&places) {
        assert_eq!(store.event_position(one, event.id.clone()).await, Ok(Some(*place)));
        assert_eq!(
            store.event_position(other, event.id.clone()).await,
            Ok(None),
            "another account has none"
        );
    }
    assert_eq!(store.event_position(one, EventId::new(START, bits())).await, Ok(None));
    let (found, _) = followed(store, one, &everything(), (places[0], 10)).await;
    assert_eq!(found, events[1..], "behind a place, not from it on");
}

pub async fn what_is_stored_later_lies_behind_the_last_place(store: &dyn Store) {
    let account = account(store).await;
    some(store, account, 3).await;
    let last = store.last_position().await.unwrap();
    let answer = store.events_behind(account, everything(), last, 10).await.unwrap();
    assert!(answer.rows.is_empty() && !answer.has_more, "{answer:?}");
    let later = event(account, START);
    let place = put(store, account, &[Arc::clone(&later)]).await[0];
    assert!(place > last && store.last_position().await.unwrap() >= place);
    let (found, next) = followed(store, account, &everything(), (last, 10)).await;
    assert_eq!(found, [later]);
    let (found, again) = followed(store, account, &everything(), (next, 10)).await;
    assert!(found.is_empty() && again == next, "nothing comes twice");
}

pub async fn a_page_of_events_keeps_to_its_bytes(store: &dyn Store) {
    let account = account(store).await;
    let data = format!("{{\"text\":\"{}\"}}", "x".repeat(250_000));
    let mut made: Vec<Arc<Event>> = (0..40)
        .map(|_| event_like(account, EventId::new(START, bits()), ("order.created", "ord_1", &data), START))
        .collect();
    for part in made.chunks(10) {
        put(store, account, part).await;
    }
    let size = |rows: &[Arc<Event>]| rows.iter().map(|event| event.body.len()).sum::<usize>();
    let first = store.events_behind(account, everything(), Position::default(), 200).await.unwrap();
    assert!(first.has_more && size(&first.rows) <= PAGE_BYTES_MAX && first.rows.len() > 10);
    let (rest, _) = followed(store, account, &everything(), (first.next, 200)).await;
    assert!([first.rows, rest].concat() == made, "all of them, page by page");
    let newest = store.list_events(account, everything(), page(200, None)).await.unwrap();
    assert!(newest.next.is_some() && size(&newest.rows) <= PAGE_BYTES_MAX && newest.rows.len() > 10);
    made.reverse();
    assert!(
        listed(store, account, &everything(), 200).await == made,
        "all of them, page by page"
    );
}

pub async fn what_a_filter_leaves_out_is_passed_over(store: &dyn Store) {
    let account = account(store).await;
    let rare = |place: &str| event_like(account, EventId::new(START, bits()), ("user.made", place, "{}"), START);
    let (first, last) = (rare("first"), rare("last"));
    put(store, account, &[Arc::clone(&first)]).await;
    // More than a search looks at for one page, and more than one segment of a store that keeps such.
    for _ in 0..9 {
        some(store, account, BATCH_EVENTS_MAX as u64).await;
    }
    put(store, account, &[Arc::clone(&last)]).await;
    let (found, _) = followed(store, account, &named("user.*"), (Position::default(), 10)).await;
    assert_eq!(found, [Arc::clone(&first), Arc::clone(&last)]);
    assert_eq!(listed(store, account, &named("user.*"), 10).await, [last, first]);
    assert!(listed(store, account, &named("nobody"), 10).await.is_empty());
}

pub async fn what_retention_took_away_is_passed_over(store: &dyn Store) {
    let account = account(store).await;
    let [old, young] = [at(0), at(100)].map(|time| (0..5).map(|_| event(account, time)).collect::<Vec<_>>());
    put(store, account, &old).await;
    let first = store.list_events(account, everything(), page(2, None)).await.unwrap();
    put(store, account, &young).await;
    let step = Retire {
        before: at(50),
        now: at(100),
        rows_max: 100,
    };
    while store.retire(step).await.unwrap().has_more {}
    let (found, next) = followed(store, account, &everything(), (Position::default(), 2)).await;
    assert_eq!(found, young);
    assert_eq!(next, store.last_position().await.unwrap());
    assert_eq!(listed(store, account, &everything(), 2).await.len(), 5);
    assert_eq!(
        store.event_position(account, old[4].id.clone()).await,
        Ok(None),
        "its place is gone with it"
    );
    let rest = store.list_events(account, everything(), page(10, first.next)).await.unwrap();
    assert!(
        rest.rows.is_empty() && rest.next.is_none(),
        "a walk that began before ends: {rest:?}"
    );
}

pub async fn pages_of_events_neither_miss_nor_repeat_while_rows_are_added(store: &dyn Store) {
    let (one, other) = (account(store).await, account(store).await);
    for seed in 0..8 {
        let chance = SeededRandom::new(seed);
        let mut made = listed(store, one, &everything(), 200).await;
        made.reverse();
        for _ in 0..chance.below(10) {
            made.extend(some(store, one, 1 + chance.below(300)).await);
            some(store, other, 1 + chance.below(100)).await;
        }
        made.reverse();
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let limit = 1 + usize::try_from(chance.below(200)).unwrap();
            let answer = store.list_events(one, everything(), page(limit, after)).await.unwrap();
            found.extend(answer.rows);
            if answer.next.is_none() {
                break;
            }
            after = answer.next;
            if chance.percent(40) {
                some(store, one, 1 + chance.below(100)).await;
            }
        }
        assert!(found == made, "seed {seed}: all that was there, in order, each once");
    }
}

pub async fn who_follows_sees_each_event_once(store: &dyn Store) {
    let (one, other) = (account(store).await, account(store).await);
    for seed in 0..8 {
        let chance = SeededRandom::new(seed);
        let start = store.last_position().await.unwrap();
        let count = 20 + chance.below(20);
        let write = async |account, seed| {
            let chance = SeededRandom::new(seed);
            let mut made = Vec::new();
            for _ in 0..count {
                let events: Vec<_> = (0..1 + chance.below(80)).map(|_| event(account, START)).collect();
                let places = put(store, account, &events).await;
                made.extend(places.into_iter().zip(ids(&events)));
            }
            made
        };
        let last = event(one, START);
        let write_all = async {
            // Three at a time: whose comes first is the store's to say.
            let (mine, also_mine, _) = tokio::join!(write(one, seed), write(one, seed + 100), write(other, seed + 200));
            let mut made = [mine, also_mine].concat();
            made.push((put(store, one, &[Arc::clone(&last)]).await[0], last.id.clone()));
            made.sort();
            made
        };
        let follow = async {
            let mut found = Vec::new();
            let mut after = start;
            while !found.contains(&last.id) {
                let limit = 1 + usize::try_from(chance.below(200)).unwrap();
                let answer = store.events_behind(one, everything(), after, limit).await.unwrap();
                found.extend(ids(&answer.rows));
                after = answer.next;
            }
            found
        };
        let (made, found) = tokio::join!(write_all, follow);
        let made: Vec<EventId> = made.into_iter().map(|(_, id)| id).collect();
        assert!(
            found == made,
            "seed {seed}: {} of {}, each once, in the order of places",
            found.len(),
            made.len()
        );
    }
}
