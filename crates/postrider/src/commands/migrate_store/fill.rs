//! Fills one store from another, and compares what they hold.

use std::sync::Arc;

use anyhow::{bail, ensure};
use postrider_model::attempt::Attempt;
use postrider_ports::archive::{Archive, ArchivePage, Kind, Moved, Placed, Record, Standing};

use super::compare::{Named, compare};
use super::contents::Contents;

/// Records of one page, at most; fewer where they are large.
pub(super) const RECORDS_MAX: usize = 4_000;
/// About how many bytes of bodies a page holds: three of them are in memory at one time.
const PAGE_BYTES: usize = 16 * 1024 * 1024;
/// What a record counts beside its body.
const RECORD_BYTES: usize = 1_024;

/// Hears how far it is.
pub(super) trait Tell {
    /// Something else begins.
    fn begin(&self, words: &str);
    /// So much of it is done.
    fn reach(&self, done: u64, total: u64);
}

/// Moves everything, where that was not done before, and compares. What both hold.
pub(super) async fn all(from: Named<'_>, to: Named<'_>, tell: &impl Tell) -> anyhow::Result<Contents> {
    let (source, target) = unused(from, to).await?;
    let moved = match target.moved {
        Some(moved) => {
            ensure!(
                moved.from == from.1,
                "{} holds a part of {}: move the rest of that, or take an empty store",
                to.1,
                moved.from
            );
            moved
        }
        None => {
            ensure!(target.is_empty, "{} is not empty: take one that is", to.1);
            let moved = Moved {
                from: from.1.to_owned(),
                kind: Kind::Accounts,
                next: Vec::new(),
                records: 0,
                is_done: false,
            };
            to.0.begin_filling(moved.clone(), source.last).await?;
            moved
        }
    };
    tell.begin("moving");
    fill(from.0, to.0, moved, |done| tell.reach(done, source.records)).await?;
    let contents = check(from, to, tell).await?;
    to.0.finish_filling().await?;
    Ok(contents)
}

/// Compares both, and sees to it that what is filled can be worked with. What both hold.
pub(super) async fn check(from: Named<'_>, to: Named<'_>, tell: &impl Tell) -> anyhow::Result<Contents> {
    let (source, target) = unused(from, to).await?;
    tell.begin("comparing");
    let total = source.records.max(target.records) * 2;
    let contents = compare(from, to, |read| tell.reach(read, total)).await?;
    if let Some(fault) = to.0.first_fault().await? {
        bail!("{} holds the same, but it is damaged: {fault}", to.1);
    }
    // Who came meanwhile may have changed what was read before.
    unused(from, to).await?;
    Ok(contents)
}

/// How both stand, where no server uses either.
async fn unused(from: Named<'_>, to: Named<'_>) -> anyhow::Result<(Standing, Standing)> {
    let (source, target) = (from.0.standing().await?, to.0.standing().await?);
    for (users, name) in [(&source.users, from.1), (&target.users, to.1)] {
        ensure!(users.is_empty(), "{name} is in use by {}: stop it first", users.join(", "));
    }
    Ok((source, target))
}

/// While a page is written, the next is read.
async fn fill(from: &dyn Archive, to: &dyn Archive, mut moved: Moved, mut reach: impl FnMut(u64)) -> anyhow::Result<()> {
    if moved.is_done {
        return Ok(());
    }
    let mut records_max = RECORDS_MAX / 4;
    let mut page = from.read_page(moved.kind, moved.next.clone(), records_max).await?;
    loop {
        let ArchivePage { records, next } = page;
        records_max = fitting(&records);
        moved.records += records.len() as u64;
        match (next, moved.kind.next()) {
            (Some(next), _) => moved.next = next,
            (None, Some(kind)) => (moved.kind, moved.next) = (kind, Vec::new()),
            (None, None) => moved.is_done = true,
        }
        let written = to.write_page(Arc::new(records), moved.clone());
        if moved.is_done {
            return Ok(written.await?);
        }
        let (written, following) = tokio::join!(written, from.read_page(moved.kind, moved.next.clone(), records_max));
        written?;
        page = following?;
        reach(moved.records);
    }
}

/// How many records like these fit into a page.
pub(super) fn fitting(records: &[Placed]) -> usize {
    let bytes: usize = records.iter().map(|placed| bytes_of(&placed.record)).sum();
    let each = bytes / records.len().max(1) + 1;
    (PAGE_BYTES / each).clamp(16, RECORDS_MAX)
}

fn bytes_of(record: &Record) -> usize {
    let of_attempt = |attempt: &Attempt| {
        let body = attempt.response.as_ref().and_then(|response| response.body.as_ref());
        RECORD_BYTES + body.map_or(0, bytes::Bytes::len)
    };
    RECORD_BYTES
        + match record {
            Record::Event { event, deliveries } => event.body.len() + deliveries.len() * 16,
            Record::Delivery(kept) => kept.attempts.iter().map(of_attempt).sum::<usize>() + kept.test.as_ref().map_or(0, bytes::Bytes::len),
            Record::Fanout { pairs, .. } => pairs.len() * 32,
            Record::Answer { kept, .. } => kept.answer.body.len(),
            _ => 0,
        }
}
