//! The verdict: tries what is right, and where that fails whatever else could have happened, the likeliest first.

use std::time::Duration;

use postrider_model::time::Timestamp;

use super::finding::Finding;
use super::search::Search;
use super::secret::Secret;
use super::{signature, suspect, timestamp};

/// What was captured.
pub(super) struct Captured<'a> {
    pub(super) secret: &'a Secret,
    /// `Webhook-Id`.
    pub(super) id: &'a str,
    /// `Webhook-Timestamp`.
    pub(super) timestamp: &'a str,
    /// `Webhook-Signature`.
    pub(super) signature: &'a str,
    pub(super) body: &'a [u8],
}

/// What came of it.
pub(super) struct Verdict<'a> {
    /// Whether the signature is right, as it stands.
    pub(super) is_signed: bool,
    /// Whether the timestamp is within the tolerance; `None` where it cannot be read.
    pub(super) is_fresh: Option<bool>,
    /// What the timestamp means.
    pub(super) dispatched_at: Option<Timestamp>,
    /// The time that it was judged by.
    pub(super) judged_at: Timestamp,
    /// How far the two may be apart.
    pub(super) tolerance: Duration,
    /// All that is wrong, or worth knowing.
    pub(super) findings: Vec<Finding>,
    /// What was judged.
    pub(super) captured: &'a Captured<'a>,
}

impl Verdict<'_> {
    /// Whether a receiver that keeps to the rules takes it.
    pub(super) fn is_genuine(&self) -> bool {
        self.is_signed && self.is_fresh == Some(true) && self.findings.iter().all(|finding| finding.is_harmless)
    }
}

/// Judges.
pub(super) fn judge<'a>(captured: &'a Captured<'a>, now: Timestamp, tolerance: Duration) -> Verdict<'a> {
    let (dispatched_at, odd_timestamp) = timestamp::read(captured.timestamp);
    let mut findings = captured.secret.notes.clone();
    let signatures = signature::parse(captured.signature);
    let search = Search {
        captured,
        candidates: &signatures.candidates,
        moment: dispatched_at,
    };
    let found = search.run();
    let is_signed = found.as_ref().is_some_and(|found| found.iter().all(|finding| finding.is_harmless));
    match found {
        Some(departures) => findings.extend(departures),
        None if signatures.candidates.is_empty() => findings.extend(signatures.unreadable),
        None => {
            findings.extend(signatures.unreadable);
            findings.push(suspect::of(captured));
        }
    }
    findings.extend(odd_timestamp);
    let age = dispatched_at.and_then(|moment| suspect::age(moment, now, tolerance));
    let is_fresh = dispatched_at.map(|_| age.is_none());
    findings.extend(age);
    Verdict {
        is_signed,
        is_fresh,
        dispatched_at,
        judged_at: now,
        tolerance,
        findings,
        captured,
    }
}
