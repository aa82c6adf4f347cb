//! Keeps the write-ahead log small: copies it into the database, so that the next commit can begin it anew.
//!
//! SQLite begins the log anew only at a moment at which nobody reads from it. Readers that come and go without a gap would let
//! it grow for ever: so above `FRAMES_HIGH` new reads wait for a moment, until those under way have ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use rusqlite::Connection;

use crate::fault::Outcome;

/// Pages in the log from which on they are copied (8 MiB).
const FRAMES_LOW: u32 = 2_000;
/// Pages in the log from which on new reads wait for those under way (32 MiB).
const FRAMES_HIGH: u32 = 8_000;
/// Pages that come in between two tries.
const FRAMES_STEP: u32 = 500;
/// The same, where another process reads from the log: a backup may take minutes, and waiting at the gate does not end it (32 MiB).
const FRAMES_STEP_FOREIGN: u32 = 8_000;
/// How long new reads, and the writer, wait for reads under way, at most.
const GATE_WAIT_MAX: Duration = Duration::from_millis(250);

/// Reads hold it shared; the checkpoint alone.
pub(crate) type Gate = Arc<RwLock<()>>;

/// Counts the pages in the log, and copies them in time. Used by the writer's thread alone.
pub(crate) struct Checkpointer {
    gate: Gate,
    /// Pages in the log at the last commit. Written by SQLite's hook.
    frames: Arc<AtomicU32>,
    /// Pages that were in the log at the last try that left some.
    tried_at: u32,
    /// Pages that come in before the next try.
    step: u32,
}

impl Checkpointer {
    /// Listens to the commits of the connection.
    pub(crate) fn new(conn: &mut Connection, gate: Gate) -> Outcome<Self> {
        let frames = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&frames);
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            counter.store(pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            gate,
            frames,
            tried_at: 0,
            step: FRAMES_STEP,
        })
    }

    /// Copies what is in the log where it is time to.
    pub(crate) fn after_commit(&mut self, conn: &Connection) {
        let frames = self.frames.load(Ordering::Relaxed);
        if frames < self.tried_at {
            self.tried_at = 0;
            self.step = FRAMES_STEP;
        }
        if frames < FRAMES_LOW || frames < self.tried_at.saturating_add(self.step) {
            return;
        }
        self.step = FRAMES_STEP;
        let mut left = copy(conn);
        if left > 0 && frames >= FRAMES_HIGH {
            let alone = self.gate.try_write_for(GATE_WAIT_MAX);
            if alone.is_some() {
                left = copy(conn);
                if left > 0 {
                    self.step = FRAMES_STEP_FOREIGN;
                }
            }
        }
        self.tried_at = if left == 0 { 0 } else { frames };
        if left == 0 {
            self.frames.store(0, Ordering::Relaxed);
        }
    }

    /// Copies all that is left, before the connection is closed.
    pub(crate) fn at_end(&self, conn: &Connection) {
        if copy(conn) > 0 {
            tracing::debug!("the log is left as it is: somebody reads from it");
        }
    }
}

/// Copies pages of the log into the database; tells how many are left because somebody reads from them.
fn copy(conn: &Connection) -> u32 {
    let copied = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match copied {
        Ok((pages, copied)) => u32::try_from(pages.saturating_sub(copied)).unwrap_or(0),
        Err(error) => {
            tracing::warn!(%error, "the log could not be copied into the database");
            1
        }
    }
}
