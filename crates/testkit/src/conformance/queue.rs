//! Promises about what is pending.

use postrider_model::delivery::{Progress, Status};
use postrider_model::id::{DeliveryId, WebhookId};
use postrider_model::slot::{Slot, SlotSet};
use postrider_ports::Store;
use postrider_ports::store::{DueAsk, Waiting, WaitingAsk};

use super::fixture::{START, account, ask, at, deliver, due, due_ids, event, fail, sender, shown, stored, succeed, to, webhook};

pub async fn a_new_delivery_is_due_at_once(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (event, delivery) = deliver(store, account, webhook, START).await;
    let answer = due(store, account, webhook, START).await;
    assert_eq!(answer.webhook, webhook);
    assert!(answer.complete);
    assert_eq!(answer.next_due, None);
    let [row] = &answer.rows[..] else {
        panic!("one delivery is due: {answer:?}")
    };
    assert_eq!((row.delivery, row.account, row.webhook), (delivery, account, webhook));
    assert_eq!((row.event.clone(), row.body.clone()), (Some(event.id.clone()), event.body.clone()));
    assert_eq!(row.progress, Progress::new(START));
    assert!(!row.is_urgent);
    assert!(row.due <= START);
    let shown = shown(store, account, delivery).await.delivery;
    assert_eq!(shown.status, Status::Pending { due: row.due });
}

pub async fn what_is_due_first_comes_first(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(deliver(store, account, webhook, START).await.1);
    }
    fail(store, (account, made[0]), 1, at(1), Some(at(20))).await;
    fail(store, (account, made[1]), 1, at(1), Some(at(10))).await;
    let order = [made[2], made[3], made[1], made[0]];
    assert_eq!(due_ids(store, account, webhook, at(30)).await, order);
    let rows = due(store, account, webhook, at(30)).await.rows;
    assert!(rows[0].position < rows[1].position, "of equal due the one stored first");
}

pub async fn fetch_due_passes_over_what_is_known(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let mut made = Vec::new();
    for _ in 0..6 {
        made.push(deliver(store, account, webhook, START).await.1);
    }
    let asked = DueAsk {
        rows_max: 2,
        known: vec![made[0], made[2]],
        ..ask(account, webhook)
    };
    let answer = store.fetch_due(vec![asked.clone()], at(1)).await.unwrap().remove(0);
    let ids: Vec<DeliveryId> = answer.rows.iter().map(|row| row.delivery).collect();
    assert_eq!(ids, [made[1], made[3]], "what is known does not count");
    assert!(!answer.complete);
    let rest = DueAsk {
        known: made[..4].to_vec(),
        ..asked
    };
    let answer = store.fetch_due(vec![rest], at(1)).await.unwrap().remove(0);
    assert_eq!(answer.rows.len(), 2);
    assert!(answer.complete, "all that was due is among them or known");
}

pub async fn fetch_due_keeps_to_its_limits(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let body = deliver(store, account, webhook, START).await.0.body.len();
    for _ in 0..4 {
        deliver(store, account, webhook, START).await;
    }
    let limited = |rows_max, bytes_max| DueAsk {
        rows_max,
        bytes_max,
        ..ask(account, webhook)
    };
    let asks = vec![
        limited(3, usize::MAX),
        limited(10, body * 2 + 1),
        limited(10, 1),
        limited(5, usize::MAX),
    ];
    let answers = store.fetch_due(asks, at(1)).await.unwrap();
    assert_eq!((answers[0].rows.len(), answers[0].complete), (3, false));
    assert!(
        (2..=3).contains(&answers[1].rows.len()),
        "about two bodies: {}",
        answers[1].rows.len()
    );
    assert!(!answers[1].complete);
    assert_eq!(
        (answers[2].rows.len(), answers[2].complete),
        (1, false),
        "the first comes whatever its size"
    );
    assert_eq!((answers[3].rows.len(), answers[3].complete), (5, true));
}

pub async fn fetch_due_tells_when_the_next_is_due(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (_, first) = deliver(store, account, webhook, START).await;
    let (_, second) = deliver(store, account, webhook, START).await;
    fail(store, (account, first), 1, at(1), Some(at(60))).await;
    fail(store, (account, second), 1, at(1), Some(at(50))).await;
    let answer = due(store, account, webhook, at(10)).await;
    assert!(answer.rows.is_empty());
    assert!(answer.complete);
    assert_eq!(answer.next_due, Some(at(50)));
    let answer = due(store, account, webhook, at(50)).await;
    assert_eq!(answer.rows.len(), 1);
    assert_eq!(answer.next_due, Some(at(60)));
    assert_eq!(due(store, account, webhook, at(60)).await.next_due, None);
}

pub async fn fetch_due_answers_each_ask(store: &dyn Store) {
    let (one, first) = sender(store).await;
    let (other, second) = sender(store).await;
    let idle = webhook(store, one).await;
    let (_, of_first) = deliver(store, one, first, START).await;
    let (_, of_second) = deliver(store, other, second, START).await;
    let asks = vec![ask(other, second), ask(one, idle), ask(one, first)];
    let answers = store.fetch_due(asks, at(1)).await.unwrap();
    let ids: Vec<(WebhookId, Vec<DeliveryId>)> = answers
        .iter()
        .map(|answer| (answer.webhook, answer.rows.iter().map(|row| row.delivery).collect()))
        .collect();
    assert_eq!(ids, [(second, vec![of_second]), (idle, vec![]), (first, vec![of_first])]);
}

pub async fn an_answer_says_up_to_where_it_has_seen(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    deliver(store, account, webhook, START).await;
    let first = due(store, account, webhook, at(1)).await;
    assert!(first.rows.iter().all(|row| row.position <= first.through));
    deliver(store, account, webhook, START).await;
    let second = due(store, account, webhook, at(1)).await;
    assert!(second.through > first.through, "a later commit stands behind");
    assert!(second.rows.iter().all(|row| row.position <= second.through));
    assert!(second.rows.iter().any(|row| row.position > first.through));
}

pub async fn waiting_tells_each_webhook_once(store: &dyn Store) {
    let (account, busy) = sender(store).await;
    let done = webhook(store, account).await;
    webhook(store, account).await;
    let (_, first) = deliver(store, account, busy, at(5)).await;
    deliver(store, account, busy, at(7)).await;
    let (_, ended) = deliver(store, account, done, START).await;
    succeed(store, (account, ended), 1, at(8)).await;
    let expected = |due| {
        vec![Waiting {
            account,
            webhook: busy,
            due,
        }]
    };
    assert_eq!(store.waiting(WaitingAsk::first(10)).await, Ok(expected(at(5))));
    fail(store, (account, first), 1, at(9), Some(at(90))).await;
    assert_eq!(store.waiting(WaitingAsk::first(10)).await, Ok(expected(at(7))));
}

pub async fn waiting_goes_on_behind_a_webhook(store: &dyn Store) {
    let account = account(store).await;
    let mut webhooks = Vec::new();
    for _ in 0..7 {
        webhooks.push(webhook(store, account).await);
    }
    stored(store, account, vec![to(&event(account, START), &webhooks)]).await;
    webhooks.sort();
    let mut found = Vec::new();
    loop {
        let ask = WaitingAsk {
            after: found.last().copied(),
            ..WaitingAsk::first(3)
        };
        let page = store.waiting(ask).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        found.extend(page.iter().map(|waiting| (waiting.account, waiting.webhook)));
    }
    // In an order of the store's own.
    found.sort();
    let expected: Vec<_> = webhooks.into_iter().map(|webhook| (account, webhook)).collect();
    assert_eq!(found, expected);
}

pub async fn waiting_tells_those_of_its_slots_alone(store: &dyn Store) {
    let account = account(store).await;
    let webhooks = [
        webhook(store, account).await,
        webhook(store, account).await,
        webhook(store, account).await,
    ];
    stored(store, account, vec![to(&event(account, START), &webhooks)]).await;
    for only in webhooks {
        let ask = WaitingAsk {
            slots: [Slot::of(only)].into_iter().collect(),
            ..WaitingAsk::first(10)
        };
        let found: Vec<_> = store.waiting(ask).await.unwrap().iter().map(|waiting| waiting.webhook).collect();
        let expected = webhooks.iter().filter(|webhook| Slot::of(**webhook) == Slot::of(only)).count();
        assert!(found.contains(&only) && found.len() == expected, "{found:?}");
    }
    let ask = WaitingAsk {
        slots: SlotSet::EMPTY,
        ..WaitingAsk::first(10)
    };
    assert_eq!(store.waiting(ask).await, Ok(Vec::new()));
}

pub async fn one_delivery_is_read_as_it_waits(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let event = event(account, START);
    let new = to(&event, &[webhook]);
    let id = new.deliveries[0].0;
    stored(store, account, vec![new]).await;
    let queued = store.queued(account, id).await.unwrap().unwrap();
    assert_eq!((queued.delivery, queued.webhook, &queued.body), (id, webhook, &event.body));
    let other = super::fixture::account(store).await;
    assert_eq!(store.queued(other, id).await, Ok(None), "it is another account's");
    succeed(store, (account, id), 1, at(1)).await;
    assert_eq!(store.queued(account, id).await, Ok(None), "it waits no more");
}
