//! Many nodes on one PostgreSQL while everything goes wrong, by a plan from a seed: what was taken is delivered, and nobody sends what
//! is another's.
//!
//! A short plan runs with all tests. A long one, or a plan again:
//!
//! ```text
//! POSTRIDER_CHAOS_MINUTES=60 POSTRIDER_SEED=7 cargo test -p postrider --test it chaos -- --nocapture
//! ```

mod judge;
mod load;
mod plan;
mod receiver;
mod repeats;
mod site;
mod source;
mod stage;
mod watch;

use std::time::Duration;

use self::load::{ACCOUNTS, Load};
use self::plan::{Step, plan};
use self::receiver::Receiver;
use self::site::Site;
use self::stage::Stage;
use self::watch::{End, Watch};

/// Nodes at one time.
const NODES: usize = 3;
/// How long a node holds its slots after its last sign of life.
const LEASE: Duration = Duration::from_secs(2);
/// The plan that runs with all tests.
const SEED: u64 = 5;
/// How long the plan of a run with all tests is, about: each fault once.
const LENGTH: Duration = Duration::from_secs(30);

#[test]
fn what_was_taken_is_delivered_whatever_goes_wrong() {
    let seed = number("POSTRIDER_SEED").unwrap_or(SEED);
    let length = number("POSTRIDER_CHAOS_MINUTES").map_or(LENGTH, |minutes| Duration::from_secs(60 * minutes));
    let told = Told(seed);
    let watch = Watch::start();
    let site = Site::start();
    let receiver = Receiver::new(watch, site.runs.clone());
    let load = Load::start(&site.addresses, &receiver, watch);
    let mut stage = Stage {
        site,
        load,
        receiver,
        watch,
    };
    let mut windows = Vec::new();
    for Step { calm, fault } in plan(seed, length) {
        End::default().pause(calm);
        let window = stage.bring_about(fault);
        println!(
            "{:6.1} s to {:6.1} s  {fault:?} ({})",
            window.from.as_secs_f64(),
            window.to.as_secs_f64(),
            window.count
        );
        windows.push(window);
    }
    let Stage {
        mut site, load, receiver, ..
    } = stage;
    let waited = receiver.wait_until_all_flows(ACCOUNTS);
    println!("all webhooks get something {:.1} s after the last fault", waited.as_secs_f64());
    receiver.calm();
    let (customers, posted) = load.end();
    println!(
        "{} events taken; not taken at first, by status: {:?}",
        posted.taken.len(),
        posted.not_taken_by_status()
    );
    let deliveries = judge::deliveries(&site, &customers, watch);
    site.wait_for_leaving();
    let arrivals = receiver.arrivals();
    let of_leases = |line: &String| line.contains("has no lease") || line.contains("node is dead");
    site.said()
        .iter()
        .filter(|line| of_leases(line))
        .for_each(|line| println!("{line}"));
    judge::nothing_is_lost(&posted, &deliveries, &arrivals);
    repeats::are_explained(&arrivals, &windows, watch);
    judge::only_owners_sent(&site, &customers, &arrivals);
    judge::nothing_was_begun_without_a_lease(&arrivals, &windows, watch);
    judge::the_poisoned_alone_were_refused(&posted, &arrivals, &windows);
    judge::deadlocks_came_about(&windows);
    let panics: Vec<String> = site.said().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:?}");
    drop(told);
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// Tells the seed of a run that failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to run this plan again: POSTRIDER_SEED={}", self.0);
        }
    }
}
