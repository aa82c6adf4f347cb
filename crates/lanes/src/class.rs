//! What is known of a lane's receiver decides what share of the slots and of the memory it may take part in.

use postrider_model::health::Health;

/// Which share a lane takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It has answered.
    Proven,
    /// Nothing is known of it: it has not been tried, or its first attempts have not ended.
    Unproven,
    /// It cannot be reached, keeps silent or breaks off.
    Ill,
}

impl Class {
    /// The class of a receiver in this health, with so many illnesses since its last answer.
    pub(crate) const fn of(health: Health, illnesses: u32) -> Self {
        match health {
            Health::Well => Self::Proven,
            // The first try is all that the new have ahead of the ill.
            Health::Unproven if illnesses == 0 => Self::Unproven,
            Health::Unproven | Health::Ill { .. } => Self::Ill,
        }
    }

    pub(crate) const fn is_proven(self) -> bool {
        matches!(self, Self::Proven)
    }
}
