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
mod site;
mod source;
mod watch;

use std::time::Duration;

use rustix::process::Signal;

use self::judge::Window;
use self::load::Load;
use self::plan::{Fault, Step, plan};
use self::receiver::Receiver;
use self::site::Site;
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
    let mut site = Site::start();
    let receiver = Receiver::start(watch, site.runs.clone());
    let load = Load::start(&site.addresses, &receiver, watch);
    let poisoned = load.customers[0].webhooks[0].clone();
    let mut windows = Vec::new();
    for Step { calm, fault } in plan(seed, length) {
        End::default().pause(calm);
        let from = watch.now();
        bring_about(fault, &mut site, &poisoned);
        let to = watch.now();
        println!("{:6.1} s to {:6.1} s  {fault:?}", from.as_secs_f64(), to.as_secs_f64());
        windows.push(Window {
            name: fault.name(),
            from,
            to,
        });
    }
    receiver.calm();
    let (customers, posted) = load.end();
    println!(
        "{} events taken; not taken at first, by status: {:?}",
        posted.taken.len(),
        posted.refused
    );
    let deliveries = judge::deliveries(&site, &customers, watch);
    site.wait_for_leaving();
    let arrivals = receiver.arrivals();
    judge::nothing_is_lost(&posted, &deliveries, &arrivals);
    judge::repeats_are_explained(&arrivals, &windows);
    judge::only_owners_sent(&site, &customers, &arrivals);
    let gone: Vec<Window> = windows
        .iter()
        .filter(|window| window.name == "PostgreSQL killed")
        .copied()
        .collect();
    judge::nothing_was_begun_without_a_lease(&arrivals, &gone, watch);
    judge::what_broke_was_poisoned(&posted, &windows);
    let panics: Vec<String> = site.said().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:?}");
    drop(told);
}

fn bring_about(fault: Fault, site: &mut Site, poisoned: &str) {
    let end = End::default();
    match fault {
        Fault::Kill { node, gone } => {
            site.kill(node);
            end.pause(gone);
            site.start_again(node);
        }
        Fault::Stop { node, still } => {
            site.signal(node, Signal::STOP);
            end.pause(still);
            site.signal(node, Signal::CONT);
        }
        Fault::Replace { node } => site.replace(node),
        Fault::Deafen => drop(site.sql(include_str!("sql/deafen.sql"))),
        Fault::KillPostgres { gone } => {
            site.postgres.kill_9();
            end.pause(gone);
            site.postgres.start_again();
        }
        Fault::Cut { times } => {
            for _ in 0..times {
                site.sql(include_str!("sql/cut.sql"));
                end.pause(Duration::from_millis(300));
            }
        }
        // A deadlock may end this session as well as a node's statement.
        Fault::Lock => drop(site.sql_that_may_fail(include_str!("sql/lock.sql"))),
        Fault::Poison { time } => {
            let webhook: postrider_model::id::WebhookId = poisoned.parse().unwrap();
            let uuid = format!("{:032x}", webhook.as_u128());
            site.sql(&include_str!("sql/poison.sql").replace("WEBHOOK", &uuid));
            end.pause(time);
            site.sql(include_str!("sql/heal.sql"));
        }
    }
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
