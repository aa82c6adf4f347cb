//! What goes wrong, and when: from a seed.

use std::time::Duration;

use postrider_testkit::random::SeededRandom;

use super::judge::ANSWERED_WITHIN;
use super::repeats::RECORDED_WITHIN;
use super::{LEASE, NODES};

/// Once in each round nothing goes wrong for so long, and nothing may be repeated.
pub(super) const CALM: Duration = Duration::from_secs(12);
/// Beside that, what went wrong before has consequences: slots are taken over within twice the lease, and a recorder that was told no tries
/// again after five seconds at most. And what goes wrong next takes outcomes with it that are not recorded yet.
pub(super) const MARGINS: Duration = RECORDED_WITHIN.saturating_add(Duration::from_secs(5));

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A node is killed (-9), and another started after so long.
    Kill { node: usize, gone: Duration },
    /// A node stands still (SIGSTOP) for so long, longer than its lease, and goes on.
    Stop { node: usize, still: Duration },
    /// A node is told to end while another takes its place: its slots move under load.
    Replace { node: usize },
    /// What one node sends to PostgreSQL, and gets from it, is held up for so long, some leases.
    CutOff { node: usize, time: Duration },
    /// The sessions that listen for notices are ended. What comes meanwhile is lost; the nodes see at once that they hear nothing.
    Deafen,
    /// The sessions that listen for notices stand still for so long: nothing is heard, and nobody is told so.
    Muffle { time: Duration },
    /// PostgreSQL is killed (-9), and started again after so long, some leases.
    KillPostgres { gone: Duration },
    /// Every connection to PostgreSQL is cut, so many times.
    Cut { times: u64 },
    /// Rows of the queue are locked by hand, so that a group of outcomes is in a deadlock, and is what PostgreSQL ends.
    Deadlock,
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
            Self::CutOff { .. } => "node cut off",
            Self::Deafen => "listening ended",
            Self::Muffle { .. } => "notices held up",
            Self::KillPostgres { .. } => "PostgreSQL killed",
            Self::Cut { .. } => "connections cut",
            Self::Deadlock => "deadlock",
            Self::Poison { .. } => "rows poisoned",
        }
    }

    /// The node that it befalls and no other.
    pub(super) const fn node(self) -> Option<usize> {
        match self {
            Self::Kill { node, .. } | Self::Stop { node, .. } | Self::Replace { node } | Self::CutOff { node, .. } => Some(node),
            _ => None,
        }
    }

    /// Whether an attempt may be repeated for it: its outcome is lost with a node, or is not recorded before another node takes over; or
    /// it is given up because its row is refused, and is pending still.
    ///
    /// Not where only sessions or statements end: a node that lives still has its outcomes and holds its slots, and tries again. Nor where
    /// a node is replaced in good order: it gives a slot up when all of it is recorded, or after 40 s, and no receiver here hangs so long.
    pub(super) const fn may_repeat(self) -> bool {
        match self {
            Self::Kill { .. } | Self::Stop { .. } | Self::CutOff { .. } | Self::KillPostgres { .. } | Self::Poison { .. } => true,
            Self::Replace { .. } | Self::Deafen | Self::Muffle { .. } | Self::Cut { .. } | Self::Deadlock => false,
        }
    }

    /// How long it takes, about.
    const fn length(self) -> Duration {
        match self {
            Self::Kill { gone, .. } | Self::KillPostgres { gone } => gone,
            Self::Stop { still, .. } => still,
            Self::CutOff { time, .. } | Self::Muffle { time } | Self::Poison { time } => time,
            Self::Replace { .. } | Self::Deafen | Self::Cut { .. } | Self::Deadlock => Duration::from_secs(2),
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
        let mut is_calm_before = usize::try_from(random.below(round.len() as u64)).unwrap();
        while !round.is_empty() {
            let place = usize::try_from(random.below(round.len() as u64)).unwrap();
            let mut calm = between(&random, 700, 2_000);
            if is_calm_before == round.len() - 1 {
                calm = MARGINS + CALM;
                is_calm_before = usize::MAX;
            }
            let fault = round.swap_remove(place);
            time += calm + fault.length();
            steps.push(Step { calm, fault });
        }
    }
    steps
}

fn faults(random: &SeededRandom) -> Vec<Fault> {
    let node = || usize::try_from(random.below(NODES as u64)).unwrap();
    let lease = u64::try_from(LEASE.as_millis()).unwrap();
    let answered = u64::try_from(ANSWERED_WITHIN.as_millis()).unwrap();
    vec![
        Fault::Kill {
            node: node(),
            gone: between(random, 100, 2 * lease),
        },
        Fault::Stop {
            node: node(),
            still: between(random, lease * 3 / 2, lease * 5 / 2),
        },
        Fault::Replace { node: node() },
        Fault::CutOff {
            node: node(),
            time: between(random, lease * 5 / 2, lease * 4),
        },
        Fault::Deafen,
        Fault::Muffle {
            time: between(random, 1_000, 3_000),
        },
        Fault::KillPostgres {
            gone: between(random, 3 * lease, 5 * lease),
        },
        Fault::Cut {
            times: 1 + random.below(4),
        },
        Fault::Deadlock,
        Fault::Poison {
            time: between(random, answered + 2_000, answered + 4_000),
        },
    ]
}

fn between(random: &SeededRandom, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + random.below(to - from))
}

#[test]
fn a_seed_has_one_plan_with_every_kind_of_fault_and_a_calm_stretch_in_each_round() {
    let length = Duration::from_secs(30);
    assert_eq!(plan(7, length), plan(7, length));
    assert_ne!(plan(7, length), plan(8, length));
    for seed in 0..50 {
        let steps = plan(seed, Duration::from_secs(300));
        for round in steps.chunks(10) {
            let mut names: Vec<_> = round.iter().map(|step| step.fault.name()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), 10);
            assert_eq!(round.iter().filter(|step| step.calm == MARGINS + CALM).count(), 1);
        }
    }
}
