//! What came twice, and why.

use std::collections::HashMap;
use std::time::Duration;

use super::LEASE;
use super::judge::first;
use super::load::{ACCOUNTS, DELIVERIES_PER_SECOND_MAX};
use super::plan::Fault;
use super::receiver::Arrival;
use super::watch::Watch;

/// An outcome is on its way to the store for so long, at most, where nothing is wrong.
const RECORDED_WITHIN: Duration = Duration::from_secs(1);
/// A webhook has so many attempts in flight, at most.
const LANE_MAX: usize = 64;

/// A time in which something was wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) fault: Fault,
    pub(super) from: Duration,
    pub(super) to: Duration,
    /// While it surely lasted.
    pub(super) surely: (Duration, Duration),
    /// The process of the node that it befell.
    pub(super) node: Option<u32>,
    /// How many came about: sessions that were ended, deadlocks, groups in which a neighbour stood beside what is refused.
    pub(super) count: u64,
}

impl Window {
    /// Whether it can be why the outcome of an attempt that was acknowledged is not recorded, and the attempt is repeated.
    fn explains(&self, attempt: &Arrival, watch: Watch) -> bool {
        let is_its = match self.fault {
            // Who sent it cannot always be told of a process that is gone.
            Fault::Kill { .. } => attempt.sender.is_none() || attempt.sender == self.node,
            Fault::Stop { .. } | Fault::CutOff { .. } => attempt.sender == self.node,
            // One webhook of the first account.
            Fault::Poison { .. } => attempt.webhook == 0,
            _ => true,
        };
        is_its && self.is_then(attempt, watch)
    }

    /// Attempts that were begun by then may be repeated for it.
    fn until(&self) -> Duration {
        match self.fault {
            // What it had begun arrives, perhaps only when the node goes on.
            Fault::Kill { .. } | Fault::Stop { .. } => self.surely.0,
            // It goes on until its lease ends.
            Fault::CutOff { .. } => self.surely.0 + LEASE,
            // Whoever is first to see it again takes the others for dead, until they say more.
            Fault::KillPostgres { .. } => self.to + 2 * LEASE,
            _ => self.to,
        }
    }

    /// So many attempts are repeated for it, at most: those in flight, and those whose outcomes wait to be recorded.
    const fn repeats_max(&self) -> usize {
        match self.fault {
            // Of one webhook nothing new is stored meanwhile.
            Fault::Poison { .. } => LANE_MAX,
            // So much waits only where a receiver was dead for a spell: one of each account. The others come and go with the load.
            fault if fault.may_repeat() => ACCOUNTS * LANE_MAX + DELIVERIES_PER_SECOND_MAX / 10,
            _ => 0,
        }
    }

    /// Whether it is of a time when it can be repeated for it: its outcome was still to be recorded, and it was begun already.
    fn is_then(&self, attempt: &Arrival, watch: Watch) -> bool {
        let is_unrecorded = attempt.at >= self.from.saturating_sub(RECORDED_WITHIN);
        self.fault.may_repeat() && is_unrecorded && watch.of_wall(attempt.signed) <= self.until()
    }
}

/// Every delivery that was acknowledged more than once was so because of a fault, and each fault has its measure.
pub(super) fn are_explained(arrivals: &[Arrival], windows: &[Window], watch: Watch) {
    let mut attempts: HashMap<&str, Vec<&Arrival>> = HashMap::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.is_acknowledged) {
        attempts.entry(&arrival.delivery).or_default().push(arrival);
    }
    let mut repeats = vec![0; windows.len()];
    let mut unexplained = Vec::new();
    for attempts in attempts.values_mut() {
        // In the order in which they were begun: one that was begun before its node stood still arrives when that goes on.
        attempts.sort_unstable_by_key(|arrival| (arrival.signed, arrival.at));
        for pair in attempts.windows(2) {
            // The latest fault that can be why the outcome of the first was not recorded.
            match windows.iter().rposition(|window| window.explains(pair[0], watch)) {
                Some(place) => repeats[place] += 1,
                None => unexplained.push(format!("{:?} and again {:?}", pair[0], pair[1])),
            }
        }
    }
    let is_calm = |attempt: &&Arrival| !windows.iter().any(|window| window.is_then(attempt, watch));
    let calm = attempts.values().flatten().copied().filter(is_calm).count();
    assert!(
        calm > 0,
        "nothing was acknowledged while nothing may be repeated: this tested nothing"
    );
    println!(
        "{} deliveries arrived, {} attempts; {calm} acknowledged while nothing may be repeated; repeats:",
        attempts.len(),
        arrivals.len()
    );
    let mut wrong = Vec::new();
    for (window, repeats) in windows.iter().zip(&repeats) {
        let told = format!(
            "{repeats} (at most {}) for {:?} at {:.1?}",
            window.repeats_max(),
            window.fault,
            window.from
        );
        println!("  {told}");
        if *repeats > window.repeats_max() {
            wrong.push(told);
        }
    }
    assert!(wrong.is_empty(), "too many repeats: {wrong:?}");
    assert!(
        unexplained.is_empty(),
        "{} repeats of no fault:\n{}\nfaults: {windows:#?}",
        unexplained.len(),
        first(&unexplained)
    );
}
