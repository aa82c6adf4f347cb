//! What must hold at the end, and what is told of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use postrider_model::id::WebhookId;
use postrider_model::slot::Slot;
use serde_json::Value;

use super::LEASE;
use super::load::{Customer, Posted};
use super::receiver::{Arrival, MANNERS};
use super::site::Site;
use super::watch::{End, Watch};
use crate::world::Client;

/// How long after the last fault everything may take to end: an ill receiver is asked again within a minute.
const END_TIME_MAX: Duration = Duration::from_secs(150);
/// Between two looks at what is still pending.
const LOOK: Duration = Duration::from_millis(300);
/// An outcome is on its way to the store for so long, at most, where nothing is wrong.
const RECORDED_WITHIN: Duration = Duration::from_secs(3);
/// What a second of `Webhook-Timestamp` leaves open, and a little for the clocks of two processes.
const ABOUT: i64 = 1_100;

/// A time in which something was wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) name: &'static str,
    pub(super) from: Duration,
    pub(super) to: Duration,
}

impl Window {
    /// Whether it can be why an outcome of this moment was not recorded: it was on its way then, or nobody could record it yet.
    fn explains(&self, at: Duration) -> bool {
        let until = self.to + 2 * LEASE + RECORDED_WITHIN;
        self.from.saturating_sub(RECORDED_WITHIN) <= at && at <= until
    }
}

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

/// Every event that was taken has a delivery to each webhook, and each of them has succeeded, by the store and by its receiver.
pub(super) fn nothing_is_lost(posted: &Posted, deliveries: &[BTreeMap<String, Vec<Value>>], arrivals: &[Arrival]) {
    let acknowledged: BTreeSet<&str> = arrivals
        .iter()
        .filter(|arrival| arrival.is_acknowledged)
        .map(|arrival| arrival.delivery.as_str())
        .collect();
    let mut wrong = Vec::new();
    for (event, account) in &posted.taken {
        let of_event = deliveries[*account].get(event).map_or(&[][..], Vec::as_slice);
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
    let others = deliveries
        .iter()
        .flat_map(BTreeMap::keys)
        .filter(|event| !posted.taken.contains_key(*event));
    wrong.extend(others.map(|event| format!("{event} was never posted")));
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), first(&wrong));
}

/// Every delivery that was acknowledged more than once was so because of a fault.
pub(super) fn repeats_are_explained(arrivals: &[Arrival], windows: &[Window]) {
    let mut times: HashMap<&str, Vec<Duration>> = HashMap::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.is_acknowledged) {
        times.entry(&arrival.delivery).or_default().push(arrival.at);
    }
    let mut tally: BTreeMap<&str, u64> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for (delivery, times) in &mut times {
        times.sort_unstable();
        for pair in times.windows(2) {
            // The latest fault that can be why the outcome of the first was not recorded.
            let why = windows.iter().rev().find(|window| window.explains(pair[0]));
            match why {
                Some(window) => *tally.entry(window.name).or_default() += 1,
                None => unexplained.push(format!("{delivery} at {:?} and again at {:?}", pair[0], pair[1])),
            }
        }
    }
    println!(
        "{} deliveries arrived, {} attempts; repeats by fault: {tally:?}",
        times.len(),
        arrivals.len()
    );
    assert!(
        unexplained.is_empty(),
        "{} repeats of no fault:\n{}\nfaults: {windows:?}",
        unexplained.len(),
        first(&unexplained)
    );
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

/// While PostgreSQL was gone for longer than a lease, nothing was begun after the lease.
pub(super) fn nothing_was_begun_without_a_lease(arrivals: &[Arrival], gone: &[Window], watch: Watch) {
    let mut seconds = 0.0;
    for window in gone {
        let (from, to) = (watch.wall(window.from + LEASE) + ABOUT, watch.wall(window.to) - ABOUT);
        seconds += ((to - from).max(0) as f64) / 1_000.0;
        let late: Vec<String> = arrivals
            .iter()
            .filter(|arrival| (from..to).contains(&(arrival.signed * 1_000)))
            .map(|arrival| format!("{arrival:?}"))
            .collect();
        assert!(
            late.is_empty(),
            "{} were begun without a lease in {window:?}:\n{}",
            late.len(),
            first(&late)
        );
    }
    println!("nothing was begun in {seconds:.1} s without any lease");
}

/// Nothing but a poisoned row brings a 500 about.
pub(super) fn what_broke_was_poisoned(posted: &Posted, windows: &[Window]) {
    let is_poisoned = |at: Duration| {
        windows
            .iter()
            .any(|window| window.name == "rows poisoned" && window.from <= at && at <= window.to + RECORDED_WITHIN)
    };
    let others: Vec<String> = posted
        .broken
        .iter()
        .filter(|(at, _)| !is_poisoned(*at))
        .map(|(at, body)| format!("{at:?}: {body}"))
        .collect();
    assert!(others.is_empty(), "{} answers were a 500:\n{}", others.len(), first(&others));
}

fn first(lines: &[String]) -> String {
    lines.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
}
