//! What came twice, and why.

use std::collections::HashMap;
use std::time::Duration;

use super::LEASE;
use super::judge::first;
use super::load::{ACCOUNTS, DELIVERIES_PER_SECOND_MAX};
use super::plan::Fault;
use super::receiver::Arrival;
use super::watch::Watch;

/// An outcome is on its way to the store for so long, at most, where nothing is wrong: commits wait for the disk, on a machine that runs
/// other tests too.
pub(super) const RECORDED_WITHIN: Duration = Duration::from_secs(3);
/// The engine's recorder keeps a delivery back for so long whose outcome was refused, before it is sent again.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
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
    /// Deliveries that were pending of the webhook whose rows were refused, just before they were not any more.
    pub(super) pending: u64,
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
    fn repeats_max(&self) -> usize {
        match self.fault {
            // Of one webhook, of which nothing new is stored meanwhile: what was in flight or due when it began is all pending at its end.
            Fault::Poison { .. } => self.repeats_each_max() * self.pending as usize,
            // So much waits only where a receiver was dead for a spell: one of each account. The others come and go with the load.
            fault if fault.may_repeat() => ACCOUNTS * LANE_MAX + DELIVERIES_PER_SECOND_MAX / 10,
            _ => 0,
        }
    }

    /// One delivery is repeated so often for it, at most.
    fn repeats_each_max(&self) -> usize {
        match self.fault {
            // Its outcome is refused at once and after each pause; and its slot may be moved once, for what went wrong before.
            Fault::Poison { .. } => (self.to - self.from).as_millis().div_ceil(REFUSED_PAUSE.as_millis()) as usize + 1,
            _ => self.repeats_max(),
        }
    }

    /// What came of it.
    fn told(&self, tally: &Tally) -> String {
        let (most, in_all) = (self.repeats_each_max(), self.repeats_max());
        format!(
            "{} (at most {in_all}), {} (at most {most}) of one delivery, for {:?} at {:.1?}",
            tally.repeats, tally.most, self.fault, self.from
        )
    }

    /// Whether it is of a time when it can be repeated for it: its outcome was still to be recorded, and it was begun already.
    fn is_then(&self, attempt: &Arrival, watch: Watch) -> bool {
        let is_unrecorded = attempt.at >= self.from.saturating_sub(RECORDED_WITHIN);
        self.fault.may_repeat() && is_unrecorded && watch.of_wall(attempt.signed) <= self.until()
    }
}

/// What was repeated for a fault.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// Attempts of all deliveries.
    repeats: usize,
    /// Those of the delivery that has the most.
    most: usize,
}

impl Tally {
    /// Adds those of one delivery.
    fn add(&mut self, count: usize) {
        self.repeats += count;
        self.most = self.most.max(count);
    }
}

/// The latest fault that can be why the outcome of an attempt was not recorded. What refused rows may repeat is bounded so closely that
/// nothing counts for it that something else explains: who sends for a slot is settled only a while after PostgreSQL has come back.
fn why(windows: &[Window], attempt: &Arrival, watch: Watch) -> Option<usize> {
    let explains = |window: &Window| window.explains(attempt, watch);
    let is_other = |window: &Window| !matches!(window.fault, Fault::Poison { .. });
    let other = windows.iter().rposition(|window| is_other(window) && explains(window));
    other.or_else(|| windows.iter().rposition(explains))
}

/// Every delivery that was acknowledged more than once was so because of a fault, and each fault has its measure.
pub(super) fn are_explained(arrivals: &[Arrival], windows: &[Window], watch: Watch) {
    let mut attempts: HashMap<&str, Vec<&Arrival>> = HashMap::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.is_acknowledged) {
        attempts.entry(&arrival.delivery).or_default().push(arrival);
    }
    let mut tallies = vec![Tally::default(); windows.len()];
    let mut unexplained = Vec::new();
    for attempts in attempts.values_mut() {
        // In the order in which they were begun: one that was begun before its node stood still arrives when that goes on.
        attempts.sort_unstable_by_key(|arrival| (arrival.signed, arrival.at));
        let mut of_delivery = vec![0; windows.len()];
        for pair in attempts.windows(2) {
            match why(windows, pair[0], watch) {
                Some(place) => of_delivery[place] += 1,
                None => unexplained.push(format!("{:?} and again {:?}", pair[0], pair[1])),
            }
        }
        tallies.iter_mut().zip(of_delivery).for_each(|(tally, count)| tally.add(count));
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
    for (window, tally) in windows.iter().zip(&tallies) {
        let told = window.told(tally);
        println!("  {told}");
        if tally.repeats > window.repeats_max() || tally.most > window.repeats_each_max() {
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
