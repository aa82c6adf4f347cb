//! What must hold at the end, and what is told of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use postrider_model::id::WebhookId;
use postrider_model::slot::Slot;
use serde_json::Value;

use super::LEASE;
use super::load::{ACCOUNTS, Customer, NotTaken, Posted};
use super::plan::Fault;
use super::receiver::{Arrival, MANNERS, is_steady};
use super::repeats::Window;
use super::site::Site;
use super::watch::{End, Watch};
use crate::world::Client;

/// How long after the last fault everything may take to end: an ill receiver is asked again within a minute.
const END_TIME_MAX: Duration = Duration::from_secs(150);
/// Between two looks at what is still pending.
const LOOK: Duration = Duration::from_millis(300);
/// What a second of `Webhook-Timestamp` leaves open, and a little for the clocks of two processes.
const ABOUT: i64 = 1_100;
/// The clocks of two processes are apart by so many milliseconds, at most.
const CLOCKS: i64 = 100;
/// What was under way when a row came to be refused is answered by then: commits wait for the disk, on a machine that runs other tests too.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Waits until nothing is pending; every delivery of each account, by its event.
pub(super) fn deliveries(site: &Site, customers: &[Customer], watch: Watch) -> Vec<BTreeMap<String, Vec<Value>>> {
    let begin = watch.now();
    let never = End::default();
    let is_pending = |customer: &Customer| {
        let mut client = customer.account.client(site.addresses.of(0).unwrap());
        let pending = client.get("/deliveries?status=pending&limit=1");
        !pending.as_array().unwrap().is_empty()
    };
    while customers.iter().any(is_pending) {
        let waited = watch.now() - begin;
        assert!(
            waited < END_TIME_MAX,
            "deliveries are still pending {waited:?} after the last fault"
        );
        never.pause(LOOK);
    }
    println!("all had ended {:.1} s after the last fault", (watch.now() - begin).as_secs_f64());
    customers.iter().map(|customer| list(site, customer)).collect()
}

fn list(site: &Site, customer: &Customer) -> BTreeMap<String, Vec<Value>> {
    let mut client = Client::connect(site.addresses.of(0).unwrap(), &customer.account.token).unwrap();
    let mut by_event: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut next = Some("/deliveries?limit=200".to_owned());
    while let Some(path) = next {
        let answer = client.ask("GET", &path, None).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        for delivery in answer.body.as_array().unwrap() {
            let event = delivery["event"].as_str().unwrap().to_owned();
            by_event.entry(event).or_default().push(delivery.clone());
        }
        let link = answer.head.get("link").strip_prefix('<').and_then(|link| link.split_once('>'));
        next = link.map(|(path, _)| path.to_owned());
    }
    by_event
}

/// Every event has a delivery to each webhook, and each of them has succeeded, by the store and by its receiver. Every event that was taken
/// is there; and others only where nobody could say whether one without an id of its own had been stored.
pub(super) fn nothing_is_lost(posted: &Posted, deliveries: &[BTreeMap<String, Vec<Value>>], arrivals: &[Arrival]) {
    let acknowledged = arrivals.iter().filter(|arrival| arrival.is_acknowledged);
    let acknowledged: BTreeSet<&str> = acknowledged.map(|arrival| arrival.delivery.as_str()).collect();
    let lost = posted
        .taken
        .iter()
        .filter(|(event, taken)| !deliveries[taken.account].contains_key(*event));
    let mut wrong: Vec<String> = lost.map(|(event, taken)| format!("{event} is lost: {taken:?}")).collect();
    for (event, of_event) in deliveries.iter().flatten() {
        let webhooks: BTreeSet<_> = of_event.iter().map(|delivery| delivery["webhook"].to_string()).collect();
        if (of_event.len(), webhooks.len()) != (MANNERS.len(), MANNERS.len()) {
            wrong.push(format!("{event} has deliveries {of_event:?}"));
        }
        for delivery in of_event {
            let has_arrived = acknowledged.contains(delivery["id"].as_str().unwrap());
            if delivery["status"] != "succeeded" || !has_arrived {
                wrong.push(format!("{event}, acknowledged by its receiver: {has_arrived}: {delivery}"));
            }
        }
    }
    let numbers: HashMap<&str, u64> = arrivals.iter().map(|arrival| (arrival.event.as_str(), arrival.number)).collect();
    let mut surplus: BTreeMap<u64, u64> = BTreeMap::new();
    for event in deliveries
        .iter()
        .flat_map(BTreeMap::keys)
        .filter(|event| !posted.taken.contains_key(*event))
    {
        // One that never arrived has no number, and is told of above.
        if let Some(number) = numbers.get(event.as_str()) {
            *surplus.entry(*number).or_default() += 1;
        }
    }
    for (number, count) in &surplus {
        let unsure = posted.unsure.get(number).copied().unwrap_or(0);
        if *count > unsure {
            wrong.push(format!(
                "event {number} was stored {count} times more than it was taken, with {unsure} posts that nobody knows of"
            ));
        }
    }
    let unsure: u64 = posted.unsure.values().sum();
    println!(
        "{} events were stored once more, of {unsure} posts that nobody knows of",
        surplus.values().sum::<u64>()
    );
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), first(&wrong));
}

/// Who owned a slot, and from when until when, in milliseconds since 1970.
struct Reign {
    owner: String,
    from: i64,
    to: i64,
}

/// No node began an attempt for a webhook whose slot it did not own then.
pub(super) fn only_owners_sent(site: &Site, customers: &[Customer], arrivals: &[Arrival]) {
    let reigns = reigns(site);
    let slot_of = |arrival: &Arrival| {
        let customer = &customers[arrival.webhook / MANNERS.len()];
        let webhook: WebhookId = customer.webhooks[arrival.webhook % MANNERS.len()].parse().unwrap();
        Slot::of(webhook).number()
    };
    let moved = reigns.values().map(|of_slot| of_slot.len().saturating_sub(2)).sum::<usize>();
    assert!(moved > 0, "no slot was moved: this tested nothing");
    let (mut judged, mut unknown, mut wrong) = (0, 0, Vec::new());
    for arrival in arrivals {
        let Some(sender) = arrival.sender.and_then(|pid| site.runs.name_of(pid)) else {
            unknown += 1;
            continue;
        };
        judged += 1;
        let signed = arrival.signed * 1_000;
        let of_slot = reigns.get(&slot_of(arrival)).map_or(&[][..], Vec::as_slice);
        let owned = |reign: &Reign| reign.owner == sender && reign.from <= signed + ABOUT && signed - ABOUT <= reign.to;
        if !of_slot.iter().any(owned) {
            let near = of_slot
                .iter()
                .filter(|reign| reign.from < signed + 10_000 && signed - 10_000 < reign.to);
            let near: Vec<String> = near
                .map(|reign| {
                    format!(
                        "{:?} {} to {} ms",
                        reign.owner,
                        reign.from - signed,
                        reign.to.saturating_sub(signed)
                    )
                })
                .collect();
            wrong.push(format!(
                "{sender} at {:?}: {arrival:?}; owners from that second: {near:?}",
                arrival.at
            ));
        }
    }
    println!(
        "slots were moved {moved} times; {judged} attempts were begun by owners; of {unknown} the sender was gone before it could be told"
    );
    assert!(wrong.is_empty(), "{} were begun by others:\n{}", wrong.len(), first(&wrong));
    assert!(judged > unknown, "too few senders are known to judge by");
}

fn reigns(site: &Site) -> HashMap<u16, Vec<Reign>> {
    let names = site.sql(include_str!("sql/names.sql"));
    let names: HashMap<&str, &str> = names.lines().filter_map(|line| line.split_once('|')).collect();
    let mut reigns: HashMap<u16, Vec<Reign>> = HashMap::new();
    for line in site.sql(include_str!("sql/owners.sql")).lines() {
        let mut fields = line.split('|');
        let slot = fields.next().unwrap().parse().unwrap();
        let owner = names.get(fields.next().unwrap()).copied().unwrap_or_default().to_owned();
        let at: i64 = fields.next().unwrap().parse().unwrap();
        let of_slot = reigns.entry(slot).or_default();
        if let Some(last) = of_slot.last_mut() {
            last.to = at;
        }
        of_slot.push(Reign {
            owner,
            from: at,
            to: i64::MAX,
        });
    }
    reigns
}

/// While PostgreSQL was gone for longer than a lease, nothing was begun after the lease; nor by a node while it alone was cut off from it.
pub(super) fn nothing_was_begun_without_a_lease(arrivals: &[Arrival], windows: &[Window], watch: Watch) {
    let (mut postgres, mut cut_off) = (0, 0);
    for window in windows {
        let judged = match window.fault {
            Fault::KillPostgres { .. } => &mut postgres,
            Fault::CutOff { .. } => &mut cut_off,
            _ => continue,
        };
        // What a second of `Webhook-Timestamp` says was begun within it.
        let (from, to) = (
            watch.wall(window.surely.0 + LEASE) + CLOCKS,
            watch.wall(window.surely.1) - CLOCKS - 1_000,
        );
        *judged += to - from;
        let is_late = |arrival: &&Arrival| {
            let is_its = window.node.is_none() || arrival.sender == window.node;
            is_its && (from..to).contains(&(arrival.signed * 1_000))
        };
        let late: Vec<String> = arrivals.iter().filter(is_late).map(|arrival| format!("{arrival:?}")).collect();
        assert!(
            late.is_empty(),
            "{} were begun without a lease in {window:?}:\n{}",
            late.len(),
            first(&late)
        );
    }
    println!("nothing was begun in {postgres} ms without PostgreSQL and a lease, nor in {cut_off} ms by a node that was cut off");
    assert!(postgres > 0 && cut_off > 0, "this tested nothing");
}

/// While the rows of one webhook were refused nothing of its account was taken, and all went on for the others, which share its groups.
pub(super) fn the_poisoned_alone_were_refused(posted: &Posted, arrivals: &[Arrival], windows: &[Window]) {
    let is_poisoned = |window: &&Window| matches!(window.fault, Fault::Poison { .. });
    for window in windows.iter().filter(is_poisoned) {
        // What was under way may still have been stored.
        let judged = window.surely.0 + ANSWERED_WITHIN..window.surely.1;
        let mut taken = [0; ACCOUNTS];
        let of_window = posted.taken.values().filter(|taken| judged.contains(&taken.at));
        of_window.for_each(|one| taken[one.account] += 1);
        let mut delivered = [0; ACCOUNTS];
        let is_new = |arrival: &&Arrival| posted.taken.get(&arrival.event).is_some_and(|taken| judged.contains(&taken.at));
        let arrived = arrivals
            .iter()
            .filter(|arrival| arrival.is_acknowledged && is_steady(arrival.webhook) && judged.contains(&arrival.at));
        arrived
            .filter(is_new)
            .for_each(|arrival| delivered[arrival.webhook / MANNERS.len()] += 1);
        println!(
            "in {:.1?} of a poisoned row: events taken by account {taken:?}, delivered {delivered:?}; groups with a neighbour: {}",
            judged.end - judged.start,
            window.count
        );
        assert_eq!(taken[0], 0, "events were taken whose rows are refused");
        let is_anothers = |one: &&NotTaken| one.account > 0 && judged.contains(&one.at);
        let others: Vec<_> = posted.not_taken.iter().filter(is_anothers).collect();
        assert!(others.is_empty(), "others' events were refused with those: {others:?}");
        let others = taken[1..].iter().chain(&delivered[1..]);
        assert!(others.copied().min() > Some(0), "others had to wait for whoever's row is refused");
    }
    let groups: u64 = windows.iter().filter(is_poisoned).map(|window| window.count).sum();
    assert!(groups > 0, "no group was split: this tested nothing");
}

/// A deadlock was made so that a node's statement was what PostgreSQL ended.
pub(super) fn deadlocks_came_about(windows: &[Window]) {
    let made = windows.iter().filter(|window| window.fault == Fault::Deadlock);
    let deadlocks: Vec<u64> = made.map(|window| window.count).collect();
    println!("deadlocks: {deadlocks:?}");
    assert!(deadlocks.iter().sum::<u64>() > 0, "no deadlock came about: this tested nothing");
}

pub(super) fn first(lines: &[String]) -> String {
    lines.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
}
