//! Looks for what was signed with what: the right thing first, then everything that departs from it in one way, then in two.

use aws_lc_rs::hmac;
use postrider_model::time::Timestamp;
use subtle::ConstantTimeEq as _;

use super::body::{self, Variant};
use super::content::{self, Form};
use super::finding::Finding;
use super::judge::Captured;
use super::secret::KeyReading;
use super::signature::Candidate;
use super::suspect;

/// Departures that are looked for together.
const DEPARTURES_MAX: usize = 2;
/// Over this, only one departure is looked for: each try takes a pass over all of the body.
const PAIRS_BYTES_MAX: usize = 64 << 10;
/// How far around the timestamp another one is looked for, in seconds.
const NEAR_SECONDS: i64 = 3_600;
/// In larger bodies none is looked for.
const NEAR_BYTES_MAX: usize = 16 << 10;

/// A search.
pub(super) struct Search<'a> {
    pub(super) captured: &'a Captured<'a>,
    /// The signatures that may be met.
    pub(super) candidates: &'a [Candidate],
    /// What the timestamp means.
    pub(super) moment: Option<Timestamp>,
}

impl Search<'_> {
    /// What departs from the right way where a signature matches, harmless things included; `None` where nothing matches.
    pub(super) fn run(&self) -> Option<Vec<Finding>> {
        if self.candidates.is_empty() {
            return None;
        }
        let (id, timestamp) = (self.captured.id.trim(), self.captured.timestamp.trim());
        let right = Form::right(id, timestamp);
        let given = Variant {
            bytes: self.captured.body.to_vec(),
            departure: None,
        };
        let keys = &self.captured.secret.readings;
        let first = keys.first().and_then(|key| self.try_one(key, &right, &given));
        first
            .or_else(|| self.run_wide(id, timestamp))
            .or_else(|| self.run_near(id, keys.first()?))
    }

    fn run_wide(&self, id: &str, timestamp: &str) -> Option<Vec<Finding>> {
        let event = suspect::event_id(self.captured.body);
        let forms = content::forms(id, timestamp, event.as_deref(), self.moment);
        let bodies = body::variants(self.captured.body);
        let depth = if self.captured.body.len() > PAIRS_BYTES_MAX {
            1
        } else {
            DEPARTURES_MAX
        };
        (1..=depth).find_map(|depth| {
            self.captured.secret.readings.iter().find_map(|key| {
                forms.iter().find_map(|form| {
                    let around = usize::from(key.departure.is_some()) + usize::from(form.departure.is_some());
                    let mut fitting = bodies.iter().filter(|body| around + usize::from(body.departure.is_some()) == depth);
                    fitting.find_map(|body| self.try_one(key, form, body))
                })
            })
        })
    }

    /// Whether it was signed at another second: the headers of two attempts, put together.
    fn run_near(&self, id: &str, key: &KeyReading) -> Option<Vec<Finding>> {
        let seconds = self.moment?.as_seconds();
        let body = self.captured.body;
        if body.len() > NEAR_BYTES_MAX {
            return None;
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.bytes);
        let near = (1..=NEAR_SECONDS).flat_map(|away| [seconds - away, seconds + away]);
        near.into_iter().find_map(|second| {
            self.meet(&key, &format!("{id}.{second}."), body)?;
            Some(vec![Finding::wrong(
                "timestamp_of_another_attempt",
                format!("the signature was made at another second: {second}. Id, body and secret are right"),
                "each attempt has a timestamp and a signature of its own: take both from the same request",
            )])
        })
    }

    fn try_one(&self, key: &KeyReading, form: &Form, body: &Variant) -> Option<Vec<Finding>> {
        let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, &key.bytes);
        let met = self.meet(&hmac_key, &form.before, &body.bytes)?;
        let departures = [&key.departure, &form.departure, &body.departure, &met.departure];
        let mut findings: Vec<Finding> = departures.into_iter().flatten().cloned().collect();
        if met.place > 1 {
            findings.push(Finding::note(
                "signature_of_another_secret_beside",
                format!(
                    "it is the signature at place {} of the header that matches: the secret is being rotated, and this is not the newest",
                    met.place
                ),
                "nothing, until the older secret ends: then the newer one must be in place",
            ));
        }
        Some(findings)
    }

    fn meet(&self, key: &hmac::Key, before: &str, body: &[u8]) -> Option<&Candidate> {
        let mut context = hmac::Context::with_key(key);
        context.update(before.as_bytes());
        context.update(body);
        let made = context.sign();
        self.candidates.iter().find(|candidate| made.as_ref().ct_eq(&candidate.hmac).into())
    }
}
