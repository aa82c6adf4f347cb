//! kill -9 at any instant: what was answered 201 is delivered.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};

use serde_json::json;

use crate::world::{Account, Client, PATIENCE, Receiver, Site};

/// Threads that post.
const POSTERS: u64 = 8;
/// Events that each of them gets acknowledged.
const EVENTS_EACH: u64 = 500;
/// Times that the server is killed, spread over the events.
const KILLS: u64 = 12;

/// What the posters and the killer share.
#[derive(Default)]
struct Stand {
    /// Where the server is now, and how many there were before it. Written by the killer, read by the posters.
    server: Option<(u64, SocketAddr)>,
    /// Numbers of events that were answered 201 or 200. At most `POSTERS * EVENTS_EACH`.
    acknowledged: HashSet<u64>,
    /// Posts whose answer never came.
    unanswered: u64,
}

#[derive(Clone, Default)]
struct Shared(Arc<(Mutex<Stand>, Condvar)>);

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Stand) -> T) -> T {
        let changed = change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
        changed
    }

    /// Waits until `look` finds what it looks for.
    fn wait<T>(&self, look: impl Fn(&Stand) -> Option<T>) -> T {
        let stand = self.0.0.lock().unwrap();
        let (stand, _) = self.0.1.wait_timeout_while(stand, PATIENCE, |stand| look(stand).is_none()).unwrap();
        look(&stand).unwrap_or_else(|| panic!("stuck with {} acknowledged", stand.acknowledged.len()))
    }
}

/// Posts events until all of its own are acknowledged; each server that dies is followed by the next.
fn post(shared: &Shared, account: &Account, poster: u64) {
    let mut open: Option<(u64, Client)> = None;
    let mut last_server = None;
    let mut number = poster;
    while number < POSTERS * EVENTS_EACH {
        let (server, client) = open.get_or_insert_with(|| connect(shared, account, last_server));
        // Every other event has an id of the caller's, so that a second POST of it makes no second event.
        let mut event = json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" }, "data": { "n": number } });
        if number.is_multiple_of(2) {
            event["id"] = json!(format!("own-{number}"));
        }
        match client.ask("POST", "/events", Some(&event)) {
            Ok(answer) if matches!(answer.status, 200 | 201) => {
                shared.change(|stand| stand.acknowledged.insert(number));
                number += POSTERS;
            }
            Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{answer:?}"),
            Err(_) => {
                last_server = Some(*server);
                open = None;
                shared.change(|stand| stand.unanswered += 1);
            }
        }
    }
}

/// Connects to a server that comes after `last`.
fn connect(shared: &Shared, account: &Account, last: Option<u64>) -> (u64, Client) {
    let mut last = last;
    loop {
        let (number, address) = shared.wait(|stand| stand.server.filter(|(number, _)| last.is_none_or(|last| *number > last)));
        match Client::connect(address, &account.token) {
            Ok(client) => return (number, client),
            // It was killed again in between.
            Err(_) => last = Some(number),
        }
    }
}

#[test]
fn every_acknowledged_event_is_delivered_although_the_server_is_killed_again_and_again() {
    let site = Site::new();
    let receiver = Receiver::start();
    let schedule = ["--retry-schedule", "1s,1s,1s,1s,1s,1s,1s,1s"];
    let mut server = site.start(&schedule);
    let account = Account::make(server.address);
    account.webhook(server.address, &receiver.url());
    let shared = Shared::default();
    shared.change(|stand| stand.server = Some((0, server.address)));
    let posters: Vec<_> = (0..POSTERS)
        .map(|poster| {
            let (shared, account) = (shared.clone(), account.clone());
            std::thread::spawn(move || post(&shared, &account, poster))
        })
        .collect();
    for kill in 1..=KILLS {
        let so_many = kill * POSTERS * EVENTS_EACH / (KILLS + 1);
        shared.wait(|stand| (stand.acknowledged.len() as u64 >= so_many).then_some(()));
        server.kill();
        server = site.start(&schedule);
        shared.change(|stand| stand.server = Some((kill, server.address)));
    }
    posters.into_iter().for_each(|poster| poster.join().unwrap());
    let acknowledged = POSTERS * EVENTS_EACH;
    let arrivals = receiver.wait(|arrivals| {
        let numbers: HashSet<u64> = arrivals.iter().filter_map(|arrival| arrival.event["data"]["n"].as_u64()).collect();
        numbers.len() as u64 == acknowledged
    });
    let mut deliveries: HashMap<&str, u64> = HashMap::new();
    for arrival in &arrivals {
        *deliveries.entry(&arrival.delivery).or_default() += 1;
    }
    let unanswered = shared.change(|stand| stand.unanswered);
    println!(
        "{acknowledged} events acknowledged over {KILLS} kills, {unanswered} posts unanswered; {} deliveries arrived, {} of them more than once, {} attempts in all",
        deliveries.len(),
        deliveries.values().filter(|count| **count > 1).count(),
        arrivals.len(),
    );
    assert!(unanswered > 0, "no kill hit a post: this tested nothing");
    own_ids_made_one_delivery_each(&arrivals);
}

/// An event with an id of the caller's was made once, however often it was posted.
fn own_ids_made_one_delivery_each(arrivals: &[crate::world::Arrival]) {
    let mut deliveries: HashMap<u64, HashSet<&str>> = HashMap::new();
    for arrival in arrivals {
        let number = arrival.event["data"]["n"].as_u64().unwrap();
        if number.is_multiple_of(2) {
            assert_eq!(arrival.event["id"], format!("own-{number}"));
            deliveries.entry(number).or_default().insert(&arrival.delivery);
        }
    }
    assert!(deliveries.values().all(|ids| ids.len() == 1));
}
