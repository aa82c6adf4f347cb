//! Whether the node itself is ill. If most hosts seem to fail at once, it is not they.
//!
//! Only hosts count that have answered before, so ten thousand hanging webhooks that never did say nothing about us; and any
//! answer from anyone, however unwelcome, proves that our side works. So the node is taken for ill when `HOSTS_MIN` different
//! proven hosts fell ill within `WINDOW` while nobody answered. It is well again with the first answer.

use std::collections::VecDeque;
use std::time::Duration;

use postrider_model::time::Monotonic;

use crate::input::HostKey;

/// So many proven hosts that fall ill at once are taken for a fault of ours.
pub(crate) const HOSTS_MIN: usize = 20;
/// At once means within this time.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// While ill, one delivery is tried this often.
pub(crate) const TRIAL_INTERVAL: Duration = Duration::from_secs(1);
/// Trials in flight at once.
const TRIALS_MAX: u32 = 8;

/// Why the node is ill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The sender lacked something of ours.
    LocalFault,
    /// Too many hosts fell ill at once.
    HostsFail,
}

/// The node's own health.
#[derive(Debug, Default)]
pub(crate) struct Node {
    ill: Option<Cause>,
    trial_at: Monotonic,
    trials: u32,
    /// Proven hosts that fell ill since anyone answered, each once, oldest first. At most `HOSTS_MIN`.
    fallen: VecDeque<(Monotonic, HostKey)>,
}

impl Node {
    pub(crate) const fn is_ill(&self) -> bool {
        self.ill.is_some()
    }

    /// Whether failures are ours, not to be recorded.
    pub(crate) const fn owns_failures(&self) -> bool {
        matches!(self.ill, Some(Cause::HostsFail))
    }

    /// Whether something may be sent now, as far as the node cares.
    pub(crate) fn allows(&self, now: Monotonic) -> bool {
        self.ill.is_none() || (self.trial_at <= now && self.trials < TRIALS_MAX)
    }

    /// When it will allow what it does not allow now.
    pub(crate) fn next_trial(&self, now: Monotonic) -> Option<Monotonic> {
        (self.ill.is_some() && self.trials < TRIALS_MAX && self.trial_at > now).then_some(self.trial_at)
    }

    /// Something is sent. True where it is a trial, which must be reported back.
    pub(crate) fn begin(&mut self, now: Monotonic) -> bool {
        if self.ill.is_none() {
            return false;
        }
        self.trials += 1;
        self.trial_at = now + TRIAL_INTERVAL;
        true
    }

    /// A trial has ended, however.
    pub(crate) const fn trial_ended(&mut self) {
        self.trials = self.trials.saturating_sub(1);
    }

    /// Somebody answered, after what was sent as a trial or not. True where the node has recovered by it.
    pub(crate) fn answered(&mut self, was_trial: bool) -> bool {
        self.fallen.clear();
        // What was sent before a fault of ours says nothing about whether we can send again.
        let recovers = match self.ill {
            Some(Cause::HostsFail) => true,
            Some(Cause::LocalFault) => was_trial,
            None => false,
        };
        if recovers {
            self.ill = None;
        }
        recovers
    }

    /// A proven host fell ill. True where the node is taken for ill by it.
    pub(crate) fn host_fell_ill(&mut self, host: HostKey, now: Monotonic) -> bool {
        self.fallen.retain(|(at, other)| *other != host && now.since(*at) <= WINDOW);
        self.fallen.push_back((now, host));
        if self.ill.is_some() {
            self.fallen.clear();
        }
        if self.fallen.len() < HOSTS_MIN {
            return false;
        }
        self.fall_ill(Cause::HostsFail, now);
        true
    }

    /// A trial after a fault of ours reached the network: whatever came of it, we can send again. True where the node has recovered.
    pub(crate) fn trial_was_sent(&mut self) -> bool {
        let recovers = self.ill == Some(Cause::LocalFault);
        if recovers {
            self.ill = None;
        }
        recovers
    }

    /// The sender lacked something of ours. True where the node was well until now.
    pub(crate) fn local_fault(&mut self, now: Monotonic) -> bool {
        let was_well = self.ill.is_none();
        if was_well {
            self.fall_ill(Cause::LocalFault, now);
        } else {
            self.trial_at = self.trial_at.max(now + TRIAL_INTERVAL);
        }
        was_well
    }

    fn fall_ill(&mut self, cause: Cause, now: Monotonic) {
        self.ill = Some(cause);
        self.trial_at = now + TRIAL_INTERVAL;
        self.fallen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::default() + Duration::from_secs(seconds)
    }

    fn fail(node: &mut Node, hosts: std::ops::Range<u64>, now: Monotonic) -> bool {
        hosts.filter(|host| node.host_fell_ill(HostKey(*host), now)).count() > 0
    }

    #[test]
    fn twenty_hosts_at_once_are_our_fault() {
        let mut node = Node::default();
        assert!(!fail(&mut node, 0..19, at(0)));
        assert!(fail(&mut node, 19..20, at(10)));
        assert!(node.is_ill() && node.owns_failures());
    }

    #[test]
    fn one_host_that_fails_again_and_again_is_its_own_fault() {
        let mut node = Node::default();
        for _ in 0..100 {
            assert!(!fail(&mut node, 0..19, at(0)));
        }
    }

    #[test]
    fn hosts_that_fall_ill_over_a_longer_time_are_their_own_fault() {
        let mut node = Node::default();
        for second in 0..100 {
            assert!(!fail(&mut node, second..second + 1, at(second)), "{second}");
        }
    }

    #[test]
    fn an_answer_from_anyone_proves_our_side() {
        let mut node = Node::default();
        fail(&mut node, 0..19, at(0));
        assert!(!node.answered(false));
        assert!(!fail(&mut node, 19..38, at(0)));
    }

    #[test]
    fn while_ill_one_trial_a_second_until_an_answer() {
        let mut node = Node::default();
        fail(&mut node, 0..20, at(0));
        assert!(!node.allows(at(0)) && node.allows(at(1)));
        assert!(node.begin(at(1)));
        assert!(!node.allows(at(1)));
        assert_eq!(node.next_trial(at(1)), Some(at(2)));
        assert_eq!(node.next_trial(at(2)), None);
        node.trial_ended();
        assert!(node.answered(true));
        assert!(node.allows(at(1)) && !node.is_ill());
    }

    #[test]
    fn trials_that_hang_do_not_pile_up() {
        let mut node = Node::default();
        fail(&mut node, 0..20, at(0));
        let sent = (1..100)
            .filter(|second| node.allows(at(*second)) && node.begin(at(*second)))
            .count();
        assert_eq!(sent, 8);
    }

    #[test]
    fn after_a_fault_of_ours_only_a_trial_proves_that_we_can_send() {
        let mut node = Node::default();
        assert!(node.local_fault(at(0)));
        assert!(!node.local_fault(at(0)), "said once");
        assert!(!node.owns_failures());
        assert!(!node.answered(false));
        assert!(node.is_ill());
        assert!(node.trial_was_sent());
        assert!(!node.is_ill());
    }
}
