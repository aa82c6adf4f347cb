//! The simulated clock and the seeded chance keep what they promise.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_ports::{Clock, Random};
use postrider_testkit::clock::SimClock;
use postrider_testkit::random::SeededRandom;

#[tokio::test]
async fn sleepers_wake_in_the_order_of_their_moments() {
    let clock = SimClock::new();
    let woken = Arc::new(Mutex::new(Vec::new()));
    let sleeps: Vec<_> = [30, 10, 20, 10].into_iter().enumerate().collect();
    let tasks: Vec<_> = sleeps
        .into_iter()
        .map(|(index, seconds)| {
            let sleep = clock.sleep_until(clock.mono() + Duration::from_secs(seconds));
            let woken = Arc::clone(&woken);
            tokio::spawn(async move {
                sleep.await;
                woken.lock().push(index);
            })
        })
        .collect();
    clock.wait_for_sleepers(4).await;
    clock.advance(Duration::from_secs(30));
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*woken.lock(), [1, 3, 2, 0]);
}

#[tokio::test]
async fn nobody_wakes_early() {
    let clock = SimClock::new();
    let started = clock.now();
    let sleep = clock.sleep_until(started.mono + Duration::from_secs(5));
    let task = tokio::spawn(sleep);
    clock.wait_for_sleepers(1).await;
    clock.advance(Duration::from_nanos(4_999_999_999));
    assert_eq!(clock.sleepers(), 1);
    assert!(!task.is_finished());
    assert_eq!(clock.advance_to_next(), Some(Duration::from_nanos(1)));
    task.await.unwrap();
    assert_eq!(clock.mono().since(started.mono), Duration::from_secs(5));
    assert_eq!(clock.wall().since(started.wall), Duration::from_secs(5));
    assert_eq!(clock.advance_to_next(), None);
}

#[tokio::test]
async fn a_sleep_that_is_dropped_is_forgotten() {
    let clock = SimClock::new();
    let mut sleep = clock.sleep_until(clock.mono() + Duration::from_secs(5));
    assert!(futures_util::poll!(&mut sleep).is_pending());
    assert_eq!(clock.next_deadline(), Some(clock.mono() + Duration::from_secs(5)));
    drop(sleep);
    assert_eq!(clock.sleepers(), 0);
}

#[test]
fn small_steps_lose_no_wall_time() {
    let clock = SimClock::new();
    let started = clock.wall();
    for _ in 0..10_000 {
        clock.advance(Duration::from_micros(100));
    }
    assert_eq!(clock.wall().since(started), Duration::from_secs(1));
}

#[test]
fn a_seed_replays_its_chance() {
    let draw = |seed: u64| {
        let random = SeededRandom::new(seed);
        let mut bytes = [0u8; 13];
        random.fill(&mut bytes);
        (bytes, random.bits(), random.below(1_000))
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn chance_stays_below_its_end_and_reaches_all_of_it() {
    let random = SeededRandom::new(1);
    let mut seen = [false; 10];
    (0..1_000).for_each(|_| seen[usize::try_from(random.below(10)).unwrap()] = true);
    assert_eq!(seen, [true; 10]);
    assert_eq!(random.below(0), 0);
}
