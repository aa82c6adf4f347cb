//! What is wrong with a delivery, or worth knowing.

/// One thing that is wrong, or only worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// A stable word for machines.
    pub(super) code: &'static str,
    /// What is the case.
    pub(super) detail: String,
    /// What to do about it.
    pub(super) advice: String,
    /// Whether a receiver that keeps to the rules takes the delivery all the same.
    pub(super) is_harmless: bool,
}

impl Finding {
    /// Something wrong.
    pub(super) fn wrong(code: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            advice: advice.into(),
            is_harmless: false,
        }
    }

    /// Something to know.
    pub(super) fn note(code: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            is_harmless: true,
            ..Self::wrong(code, detail, advice)
        }
    }
}
