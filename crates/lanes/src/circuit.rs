//! The circuit of a webhook: after many illnesses in a row only a probe now and then, until an answer comes.

use std::time::Duration;

use postrider_model::time::Monotonic;

/// Illnesses in a row that open a circuit. More than the attempts of the default schedule, so that a lone delivery keeps to it.
pub(crate) const CIRCUIT_ILLNESSES_MAX: u32 = 20;
/// Between the first probes of an open circuit.
pub(crate) const PROBE_INTERVAL_MIN: Duration = Duration::from_secs(5);
/// Between its later probes: the interval doubles up to this.
pub(crate) const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Whether a webhook's deliveries go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circuit {
    /// They do.
    Closed,
    /// Only a probe at a time does.
    Open {
        interval: Duration,
        probe_at: Monotonic,
        is_probing: bool,
    },
}

impl Circuit {
    /// That of a lane whose receiver had so many illnesses in a row when it was stored: the first probe may go at once.
    pub(crate) const fn restored(illnesses: u32, now: Monotonic) -> Self {
        if illnesses < CIRCUIT_ILLNESSES_MAX {
            return Self::Closed;
        }
        Self::Open {
            interval: PROBE_INTERVAL_MIN,
            probe_at: now,
            is_probing: false,
        }
    }

    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether a delivery may be sent now, as far as the circuit cares.
    pub(crate) fn allows(self, now: Monotonic) -> bool {
        match self {
            Self::Closed => true,
            Self::Open { probe_at, is_probing, .. } => !is_probing && probe_at <= now,
        }
    }

    /// When it will allow a delivery that it does not allow now.
    pub(crate) fn next_probe(self, now: Monotonic) -> Option<Monotonic> {
        match self {
            Self::Open {
                probe_at,
                is_probing: false,
                ..
            } if probe_at > now => Some(probe_at),
            Self::Open { .. } | Self::Closed => None,
        }
    }

    /// A delivery is sent. True where it is a probe, which must be reported back.
    pub(crate) const fn begin(&mut self) -> bool {
        match self {
            Self::Closed => false,
            Self::Open { is_probing, .. } => {
                *is_probing = true;
                true
            }
        }
    }

    /// The receiver is ill: so many times in a row now.
    pub(crate) fn ill(&mut self, illnesses: u32, was_probe: bool, now: Monotonic) {
        match self {
            Self::Closed if illnesses >= CIRCUIT_ILLNESSES_MAX => {
                *self = Self::Open {
                    interval: PROBE_INTERVAL_MIN,
                    probe_at: now + PROBE_INTERVAL_MIN,
                    is_probing: false,
                };
            }
            Self::Open {
                interval,
                probe_at,
                is_probing,
            } if was_probe => {
                *interval = interval.saturating_mul(2).min(PROBE_INTERVAL_MAX);
                *probe_at = now + *interval;
                *is_probing = false;
            }
            // The others were sent before it opened.
            Self::Closed | Self::Open { .. } => {}
        }
    }

    /// A probe ended and says nothing of the receiver.
    pub(crate) fn probe_lost(&mut self, now: Monotonic) {
        if let Self::Open {
            interval,
            probe_at,
            is_probing,
        } = self
        {
            *probe_at = now + *interval;
            *is_probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::default() + Duration::from_secs(seconds)
    }

    fn opened() -> Circuit {
        let mut circuit = Circuit::Closed;
        circuit.ill(CIRCUIT_ILLNESSES_MAX, false, at(0));
        circuit
    }

    #[test]
    fn it_opens_after_twenty_in_a_row() {
        let mut circuit = Circuit::Closed;
        circuit.ill(CIRCUIT_ILLNESSES_MAX - 1, false, at(0));
        assert!(!circuit.is_open());
        circuit.ill(CIRCUIT_ILLNESSES_MAX, false, at(0));
        assert!(circuit.is_open());
    }

    #[test]
    fn while_open_one_probe_goes_after_5_10_20_40_60_60_seconds() {
        let mut circuit = opened();
        let mut now = 0;
        for wait in [5, 10, 20, 40, 60, 60] {
            assert!(!circuit.allows(at(now + wait - 1)));
            assert_eq!(circuit.next_probe(at(now)), Some(at(now + wait)));
            now += wait;
            assert!(circuit.allows(at(now)));
            assert!(circuit.begin());
            assert!(!circuit.allows(at(now + 1_000)), "one at a time");
            circuit.ill(CIRCUIT_ILLNESSES_MAX, true, at(now));
        }
    }

    #[test]
    fn what_was_sent_before_it_opened_does_not_put_the_probe_off() {
        let mut circuit = opened();
        circuit.ill(CIRCUIT_ILLNESSES_MAX + 1, false, at(4));
        assert!(circuit.allows(at(5)));
    }

    #[test]
    fn a_probe_that_says_nothing_is_repeated_after_the_same_interval() {
        let mut circuit = opened();
        circuit.begin();
        circuit.probe_lost(at(6));
        assert_eq!(circuit.next_probe(at(6)), Some(at(11)));
    }

    #[test]
    fn a_restart_keeps_it_open() {
        assert!(!Circuit::restored(19, at(0)).is_open());
        let circuit = Circuit::restored(20, at(0));
        assert!(circuit.is_open() && circuit.allows(at(0)));
    }
}
