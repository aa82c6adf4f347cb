//! What a store holds, as counts and a digest that does not depend on the order in which accounts are read, but on that within each.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{Context, SHA256};
use postrider_model::key::KeyOwner;
use postrider_ports::archive::{Kind, Record};
use rustc_hash::FxHashMap;

/// How kinds are called, in their order.
pub(super) const NAMES: [&str; 8] = ["accounts", "keys", "webhooks", "history", "fan-outs", "stopping", "jobs", "answers"];

/// Counts and digests of each kind.
#[derive(Default)]
pub(super) struct Contents {
    counts: [u64; 8],
    /// Sums over the records: so their order counts only where it is part of them.
    sums: [[u128; 2]; 8],
    /// How many records of a kind an owner had so far; at most one entry for each owner and kind.
    places: FxHashMap<(u8, u128), u64>,
}

/// Writes text into a digest.
struct Text(Context);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

impl Contents {
    /// Takes a record in.
    pub(super) fn add(&mut self, kind: Kind, record: &Record) {
        let place = self.places.entry(owner_of(kind, record)).or_default();
        *place += 1;
        let mut text = Text(Context::new(&SHA256));
        // A digest takes whatever is written.
        let _ = write(&mut text, *place, record);
        let hash = text.0.finish();
        let number = kind as usize;
        if let (Some(count), Some(sums)) = (self.counts.get_mut(number), self.sums.get_mut(number)) {
            *count += 1;
            for (sum, half) in sums.iter_mut().zip(hash.as_ref().as_chunks::<16>().0) {
                *sum = sum.wrapping_add(u128::from_be_bytes(*half));
            }
        }
    }

    /// Records of each kind.
    pub(super) const fn counts(&self) -> [u64; 8] {
        self.counts
    }

    /// All of it, in hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        let mut text = Text(Context::new(&SHA256));
        for (count, [first, second]) in self.counts.iter().zip(&self.sums) {
            // A digest takes whatever is written.
            let _ = writeln!(text, "{count} {first:032x}{second:032x}");
        }
        text.0.finish().as_ref().iter().fold(String::new(), |mut out, byte| {
            // A string takes whatever is written.
            let _ = write!(out, "{byte:02x}");
            out
        })
    }

    /// In which kind the two differ first; `None` where they hold the same.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let kinds = self.counts.iter().zip(&self.sums).zip(other.counts.iter().zip(&other.sums));
        let (name, ((count, _), (others, _))) = NAMES.iter().zip(kinds).find(|(_, (one, other))| one != other)?;
        Some(if count == others {
            format!("{name}: {count} records each, which are not alike")
        } else {
            format!("{name}: {count} records, and {others}")
        })
    }
}

/// Whose order a record has a place in.
fn owner_of(kind: Kind, record: &Record) -> (u8, u128) {
    let owner = match record {
        Record::Event { event, .. } => return (u8::MAX, event.account.as_u128()),
        Record::Delivery(kept) => kept.delivery.account.as_u128(),
        Record::Webhook { webhook, .. } => webhook.account.as_u128(),
        Record::Job(kept) => kept.job.account.as_u128(),
        Record::Key { key, .. } => match key.owner {
            KeyOwner::Operator => 0,
            KeyOwner::Account(account) => account.as_u128(),
        },
        Record::Account { .. } => 0,
        // They have no order: each is the first of its own.
        Record::Fanout { chunk, .. } => return (kind as u8, u128::from(*chunk)),
        Record::Stopping { webhook, .. } => webhook.as_u128(),
        Record::Answer { .. } => 0,
    };
    (kind as u8, owner)
}

/// Writes all of a record. What prints no secrets is told them apart.
fn write(text: &mut Text, place: u64, record: &Record) -> fmt::Result {
    match record {
        Record::Account {
            account,
            version,
            deleted_at,
            is_erased,
        } => write!(text, "{place} {account:?} {version} {deleted_at:?} {is_erased}"),
        Record::Key { key, hash } => {
            text.0.update(hash.as_bytes());
            write!(text, "{place} {key:?}")
        }
        Record::Webhook { webhook, deleted_at } => {
            for secret in &webhook.secrets {
                text.0.update(secret.secret.as_bytes());
            }
            write!(text, "{place} {webhook:?} {} {deleted_at:?}", webhook.url.as_str())
        }
        Record::Event { event, deliveries } => write!(text, "{place} {event:?} {deliveries:?}"),
        Record::Delivery(kept) => write!(text, "{place} {kept:?}"),
        Record::Fanout {
            account,
            event,
            chunk,
            created_at,
            pairs,
        } => write!(text, "{account:?} {event:?} {chunk} {created_at:?} {pairs:?}"),
        Record::Stopping { account, webhook } => write!(text, "{account:?} {webhook:?}"),
        Record::Job(kept) => write!(text, "{place} {kept:?}"),
        Record::Answer { at, ends_at, kept } => {
            text.0.update(&kept.answer.body);
            write!(text, "{at:?} {ends_at:?} {kept:?}")
        }
    }
}
