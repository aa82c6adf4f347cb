//! What goes wrong, and when: from a seed.

use std::time::Duration;

use postrider_testkit::random::SeededRandom;

use super::{LEASE, NODES};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A node is killed (-9), and another started after so long.
    Kill { node: usize, gone: Duration },
    /// A node stands still (SIGSTOP) for so long, longer than its lease, and goes on.
    Stop { node: usize, still: Duration },
    /// A node is told to end while another takes its place: its slots move under load.
    Replace { node: usize },
    /// The connections that listen for notices are cut.
    Deafen,
    /// PostgreSQL is killed (-9), and started again after so long.
    KillPostgres { gone: Duration },
    /// Every connection to PostgreSQL is cut, so many times.
    Cut { times: u64 },
    /// Rows of the queue are locked by hand, in an order that makes deadlocks.
    Lock,
    /// Every row of one webhook is refused for so long.
    Poison { time: Duration },
}

impl Fault {
    /// What the tally calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill { .. } => "node killed",
            Self::Stop { .. } => "node stopped",
            Self::Replace { .. } => "node replaced",
            Self::Deafen => "notices dropped",
            Self::KillPostgres { .. } => "PostgreSQL killed",
            Self::Cut { .. } => "connections cut",
            Self::Lock => "rows locked",
            Self::Poison { .. } => "rows poisoned",
        }
    }

    /// How long it takes, about.
    const fn length(self) -> Duration {
        match self {
            Self::Kill { gone, .. } | Self::KillPostgres { gone } => gone,
            Self::Stop { still, .. } => still,
            Self::Poison { time } => time,
            Self::Replace { .. } | Self::Deafen | Self::Cut { .. } | Self::Lock => Duration::from_secs(2),
        }
    }
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Nothing happens for so long.
    pub(super) calm: Duration,
    /// Then this.
    pub(super) fault: Fault,
}

/// The plan of a seed: each kind of fault once, in any order, and again as long as there is time.
pub(super) fn plan(seed: u64, length: Duration) -> Vec<Step> {
    let random = SeededRandom::new(seed);
    let mut steps = Vec::new();
    let mut time = Duration::ZERO;
    while time < length {
        let mut round = faults(&random);
        while !round.is_empty() {
            let place = usize::try_from(random.below(round.len() as u64)).unwrap();
            let step = Step {
                calm: between(&random, 1_500, 3_500),
                fault: round.swap_remove(place),
            };
            time += step.calm + step.fault.length();
            steps.push(step);
        }
    }
    steps
}

fn faults(random: &SeededRandom) -> Vec<Fault> {
    let node = || usize::try_from(random.below(NODES as u64)).unwrap();
    let lease = u64::try_from(LEASE.as_millis()).unwrap();
    vec![
        Fault::Kill {
            node: node(),
            gone: between(random, 100, 3 * lease),
        },
        Fault::Stop {
            node: node(),
            still: between(random, lease * 3 / 2, lease * 3),
        },
        Fault::Replace { node: node() },
        Fault::Deafen,
        Fault::KillPostgres {
            gone: between(random, 100, 2 * lease),
        },
        Fault::Cut {
            times: 1 + random.below(4),
        },
        Fault::Lock,
        Fault::Poison {
            time: between(random, 1_000, 5_000),
        },
    ]
}

fn between(random: &SeededRandom, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + random.below(to - from))
}

#[test]
fn a_seed_has_one_plan_with_every_kind_of_fault() {
    let length = Duration::from_secs(30);
    assert_eq!(plan(7, length), plan(7, length));
    assert_ne!(plan(7, length), plan(8, length));
    let mut names: Vec<_> = plan(7, length).iter().map(|step| step.fault.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 8);
}
