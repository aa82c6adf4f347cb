//! Promises of nodes that share a store: each with two doors to one store.

use std::sync::Arc;

use bytes::Bytes;
use postrider_model::delivery::Progress;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::queue::{Position, Queued};
use postrider_model::slot::{SLOTS, Slot};
use postrider_model::time::Timestamp;
use postrider_ports::Nodes;
use postrider_ports::nodes::{Committed, NodeReport, NodeToken, Roles, Wake};
use postrider_ports::registry::AccountVersion;

/// Runs each promise on a new, empty store. `make` makes it, and gives what keeps it and two doors to it.
pub async fn exercise_nodes<K>(make: impl AsyncFn() -> (K, Arc<dyn Nodes>, Arc<dyn Nodes>)) {
    let (kept, one, other) = make().await;
    a_beat_makes_a_row_and_each_counts(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    a_node_is_shown_as_it_reports(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    a_slot_has_one_owner(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    a_slot_is_taken_only_from_whom_is_named(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    a_node_without_a_row_takes_nothing(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    a_node_releases_what_is_its_own_alone(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    a_dead_nodes_row_goes_with_its_slots(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    a_node_that_has_beaten_since_is_not_removed(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    a_row_that_was_removed_is_made_anew_without_its_slots(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    of_many_that_take_at_once_one_gets_each_slot(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    one_node_is_woken_with_what_it_is_woken_for(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    what_was_stored_is_handed_over_whole(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    all_others_are_woken(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    many_wakes_come_as_themselves_or_as_a_look_at_all(&*one, &*other).await;
    drop((one, other, kept));
    let (kept, one, other) = make().await;
    the_history_stays(&*one, &*other).await;
    drop((one, other, kept));
}

const ONE: NodeToken = NodeToken(0x1111_2222_3333_4444_5555_6666_7777_8888);
const OTHER: NodeToken = NodeToken(0xF000_0000_0000_0000_0000_0000_0000_0001);

fn report(name: &str) -> NodeReport {
    NodeReport {
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        roles: Roles {
            api: false,
            dispatch: true,
        },
        started_at: Timestamp::from_millis(1_800_000_000_123),
        in_flight: 1,
        waiting: 22,
        unrecorded: 333,
        is_leaving: true,
    }
}

fn slot(number: u16) -> Slot {
    Slot::from_number(number).unwrap()
}

async fn both(one: &dyn Nodes, other: &dyn Nodes) {
    one.beat(ONE, report("one")).await.unwrap();
    other.beat(OTHER, report("other")).await.unwrap();
}

async fn owner(nodes: &dyn Nodes, number: u16) -> Option<NodeToken> {
    nodes.roster().await.unwrap().owner(slot(number))
}

async fn a_beat_makes_a_row_and_each_counts(one: &dyn Nodes, other: &dyn Nodes) {
    let roster = one.beat(ONE, report("one")).await.unwrap();
    assert_eq!(roster.owners, vec![None; usize::from(SLOTS)]);
    let first = roster.nodes[0].beat;
    other.beat(OTHER, report("other")).await.unwrap();
    let roster = one.beat(ONE, report("one")).await.unwrap();
    let tokens: Vec<_> = roster.nodes.iter().map(|node| node.token).collect();
    assert_eq!(tokens, [ONE, OTHER], "in the order of their tokens");
    assert_ne!(roster.nodes[0].beat, first);
    let seen = other.roster().await.unwrap();
    assert_eq!(seen.nodes, roster.nodes, "a look is no beat, and all see the same");
}

async fn a_node_is_shown_as_it_reports(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    let changed = NodeReport {
        waiting: 7,
        is_leaving: false,
        ..report("one")
    };
    let roster = one.beat(ONE, changed.clone()).await.unwrap();
    let seen: Vec<_> = roster.nodes.into_iter().map(|node| node.report).collect();
    assert_eq!(seen, [changed, report("other")]);
}

async fn a_slot_has_one_owner(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    let taken = one.take_slots(ONE, vec![(slot(0), None), (slot(1_023), None)]).await.unwrap();
    assert_eq!(taken, [slot(0), slot(1_023)]);
    let taken = other.take_slots(OTHER, vec![(slot(0), None), (slot(5), None)]).await.unwrap();
    assert_eq!(taken, [slot(5)], "the first has an owner");
    let roster = one.roster().await.unwrap();
    for number in 0..SLOTS {
        let owner = match number {
            0 | 1_023 => Some(ONE),
            5 => Some(OTHER),
            _ => None,
        };
        assert_eq!(roster.owner(slot(number)), owner, "{number}");
    }
}

async fn a_slot_is_taken_only_from_whom_is_named(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    one.take_slots(ONE, vec![(slot(3), None)]).await.unwrap();
    let wrong = other
        .take_slots(OTHER, vec![(slot(3), Some(OTHER)), (slot(4), Some(ONE))])
        .await
        .unwrap();
    assert!(wrong.is_empty());
    let right = other.take_slots(OTHER, vec![(slot(3), Some(ONE))]).await.unwrap();
    assert_eq!(right, [slot(3)]);
    assert_eq!(owner(one, 3).await, Some(OTHER));
}

async fn a_node_without_a_row_takes_nothing(one: &dyn Nodes, _other: &dyn Nodes) {
    let taken = one.take_slots(ONE, vec![(slot(3), None)]).await.unwrap();
    assert!(taken.is_empty());
    assert_eq!(owner(one, 3).await, None);
}

async fn a_node_releases_what_is_its_own_alone(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    one.take_slots(ONE, vec![(slot(1), None), (slot(2), None)]).await.unwrap();
    other.take_slots(OTHER, vec![(slot(3), None)]).await.unwrap();
    one.release_slots(ONE, vec![slot(2), slot(3), slot(4)]).await.unwrap();
    assert_eq!(owner(other, 1).await, Some(ONE));
    assert_eq!(owner(other, 2).await, None);
    assert_eq!(owner(other, 3).await, Some(OTHER));
}

async fn a_dead_nodes_row_goes_with_its_slots(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    one.take_slots(ONE, vec![(slot(1), None)]).await.unwrap();
    other.take_slots(OTHER, vec![(slot(2), None)]).await.unwrap();
    let beat = other.roster().await.unwrap().nodes[0].beat;
    assert!(other.remove_node(ONE, beat).await.unwrap());
    assert!(!other.remove_node(ONE, beat).await.unwrap(), "it has gone");
    let roster = other.roster().await.unwrap();
    assert_eq!(roster.nodes.len(), 1);
    assert_eq!((roster.owner(slot(1)), roster.owner(slot(2))), (None, Some(OTHER)));
}

async fn a_node_that_has_beaten_since_is_not_removed(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    one.take_slots(ONE, vec![(slot(1), None)]).await.unwrap();
    let beat = other.roster().await.unwrap().nodes[0].beat;
    one.beat(ONE, report("one")).await.unwrap();
    assert!(!other.remove_node(ONE, beat).await.unwrap());
    assert_eq!(owner(other, 1).await, Some(ONE));
}

async fn a_row_that_was_removed_is_made_anew_without_its_slots(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    one.take_slots(ONE, vec![(slot(1), None)]).await.unwrap();
    let beat = other.roster().await.unwrap().nodes[0].beat;
    other.remove_node(ONE, beat).await.unwrap();
    let roster = one.beat(ONE, report("one")).await.unwrap();
    assert_eq!(roster.nodes.len(), 2);
    assert_eq!(roster.owner(slot(1)), None, "what it is told at once");
    let beats: Vec<u64> = roster.nodes.iter().map(|node| node.beat).collect();
    assert_ne!(beats[0], beat, "whoever saw the row before sees another");
    assert!(!other.remove_node(ONE, beat).await.unwrap());
}

async fn of_many_that_take_at_once_one_gets_each_slot(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    let all = || Slot::all().map(|slot| (slot, None)).collect::<Vec<_>>();
    let (mine, theirs) = tokio::join!(one.take_slots(ONE, all()), other.take_slots(OTHER, all()));
    let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
    assert_eq!(mine.len() + theirs.len(), usize::from(SLOTS));
    let roster = one.roster().await.unwrap();
    assert!(mine.iter().all(|slot| roster.owner(*slot) == Some(ONE)));
    assert!(theirs.iter().all(|slot| roster.owner(*slot) == Some(OTHER)));
}

fn work(number: u128) -> Wake {
    Wake::Work {
        account: AccountId::from_u128(1),
        webhook: WebhookId::from_u128(number),
        through: Position { major: 1 << 40, minor: 77 },
    }
}

/// What a node that may have been woken before it listened hears once it does.
async fn woken_for(nodes: &dyn Nodes, token: NodeToken, wakes: &[Wake], wake: impl AsyncFn()) {
    let mut missing: Vec<Wake> = wakes.to_vec();
    // What listens anew may have missed something, and says so: what comes after is heard.
    for _ in 0..3 {
        let (heard, ()) = tokio::join!(nodes.woken(token), wake());
        missing.retain(|wake| !heard.as_ref().unwrap().contains(wake));
        if missing.is_empty() {
            return;
        }
    }
    panic!("never woken for {missing:?}");
}

async fn one_node_is_woken_with_what_it_is_woken_for(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    let wakes = [work(7), work(8), Wake::Changes];
    woken_for(other, OTHER, &wakes, async || {
        one.wake(ONE, Some(OTHER), wakes.to_vec()).await.unwrap()
    })
    .await;
}

fn committed(number: u128, event: &str, body: &'static [u8]) -> Wake {
    let now = Timestamp::from_millis(1_700_000_000_000);
    let queued = Queued {
        delivery: DeliveryId::from_u128(number),
        account: AccountId::from_u128(1),
        webhook: WebhookId::from_u128(2),
        event: EventId::own(event),
        progress: Progress::new(now),
        due: now,
        is_urgent: false,
        position: Position { major: 1 << 40, minor: 77 },
        body: Bytes::from_static(body),
    };
    Wake::Committed(Box::new(Committed {
        queued,
        version: AccountVersion(3),
    }))
}

async fn what_was_stored_is_handed_over_whole(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    let wakes = [
        committed(1, "order-7", br#"{"data": {"text": "\u00fc \n"}}"#),
        committed(2, "order-7", br#"{"data": {"text": "\u00fc \n"}}"#),
        committed(3, "order-8", b"{}"),
    ];
    woken_for(other, OTHER, &wakes, async || {
        one.wake(ONE, Some(OTHER), wakes.to_vec()).await.unwrap()
    })
    .await;
}

async fn all_others_are_woken(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    let wakes = [Wake::Changes, Wake::AnyWork, Wake::Slots, Wake::Missed];
    woken_for(other, OTHER, &wakes, async || one.wake(ONE, None, wakes.to_vec()).await.unwrap()).await;
}

async fn many_wakes_come_as_themselves_or_as_a_look_at_all(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    let many: Vec<Wake> = (0..600).map(work).collect();
    let mut heard = Vec::new();
    for _ in 0..20 {
        let (woken, sent) = tokio::join!(other.woken(OTHER), one.wake(ONE, Some(OTHER), many.clone()));
        sent.unwrap();
        heard.extend(woken.unwrap());
        if many.iter().all(|wake| heard.contains(wake)) || heard.contains(&Wake::Missed) {
            return;
        }
    }
    panic!("neither all nor a look at all");
}

async fn the_history_stays(one: &dyn Nodes, other: &dyn Nodes) {
    both(one, other).await;
    let beat = one.beat(ONE, report("one")).await.unwrap();
    assert_eq!(beat.history, other.roster().await.unwrap().history);
    assert_eq!(beat.history, other.beat(OTHER, report("other")).await.unwrap().history);
}
