//! What is known of a lane's receiver decides what share of the slots and of the memory it may take part in.

use postrider_model::health::Health;

/// Which share a lane takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It has answered.
    Proven,
    /// Nothing is known of it.
    Unproven,
    /// It cannot be reached, or keeps silent.
    Ill,
}

impl Class {
    pub(crate) const fn of(health: Health) -> Self {
        match health {
            Health::Well => Self::Proven,
            Health::Unproven => Self::Unproven,
            Health::Ill { .. } => Self::Ill,
        }
    }

    pub(crate) const fn is_proven(self) -> bool {
        matches!(self, Self::Proven)
    }
}
