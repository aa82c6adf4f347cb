//! Copies the database while it is in use.
//!
//! All pages are copied within one read transaction of this connection: what others commit meanwhile does not make the copying
//! begin anew, as it does where the lock is let go between steps. The price is that the log of the source cannot be begun anew
//! until the last page is read, so it grows by what is committed meanwhile.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use postrider_ports::StoreError;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, Transaction};

use crate::connection;
use crate::fault::{Fault, Outcome, corrupt, unavailable};
use crate::key_file::beside;
use crate::migrate;
use crate::open::{cannot_open, named};

/// Pages copied between two reports of progress (8 MiB).
const PAGES_STEP: i32 = 2_048;

/// How far a backup has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// Bytes copied.
    pub done_bytes: u64,
    /// Bytes of the whole copy.
    pub total_bytes: u64,
}

/// Copies the database at `from` to `to`, as it was at one moment after the call began: whatever was acknowledged before is in it. It may
/// be in use by any number of processes, and is not held up by the copying. The copy gets its name only when it is whole, checked and on
/// the disk. The key of its secrets is not copied. Blocks until it is done; tells `progress` about every 8 MiB. Answers the bytes of the copy.
///
/// # Errors
/// `CannotOpen` where there is no database of Postrider's at `from`, or `to` is there already or cannot be written; `Unavailable` where
/// the disk is full; `Corrupt` where the copy does not pass SQLite's check. Nothing is left at `to` then.
pub fn backup(from: &Path, to: &Path, progress: impl FnMut(BackupProgress)) -> Result<u64, StoreError> {
    // Whether a link is dead or leads to something: it is not ours to write over.
    if to.symlink_metadata().is_ok() {
        return Err(taken(to).into_store());
    }
    let source = open_source(from).map_err(|fault| named(fault, from))?;
    let partial = Partial::new(to).map_err(Fault::into_store)?;
    let bytes = copy(source, &partial.path, progress).map_err(|fault| named(fault, to))?;
    check(&partial.path).map_err(|fault| named(fault, to))?;
    publish(&partial.path, to).map_err(Fault::into_store)?;
    Ok(bytes)
}

fn open_source(from: &Path) -> Outcome<Connection> {
    let source = connection::open_reader(from)?;
    migrate::check_ours(&source)?;
    Ok(source)
}

/// A copy under way: unless it got its name, it vanishes with whatever SQLite put beside it.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn new(to: &Path) -> Outcome<Self> {
        let path = beside(to, &format!(".partial-{}", std::process::id()));
        // What a store holds concerns nobody but its owner.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        made.map_err(|error| cannot_open(&path, &error.to_string()))?;
        Ok(Self { path })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let path = beside(&self.path, suffix);
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "what is left of a backup cannot be removed");
            }
        }
    }
}

fn copy(mut source: Connection, to: &Path, mut progress: impl FnMut(BackupProgress)) -> Outcome<u64> {
    let snapshot = source.transaction()?;
    let page_bytes: u32 = snapshot.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let page_bytes = u64::from(page_bytes);
    let mut target = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // A copy that is cut short is thrown away: nothing of it needs a journal, and it is made durable once, as a whole.
    target.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
    target.pragma_update(None, "synchronous", "OFF")?;
    copy_pages(&snapshot, &mut target, |pages, total| {
        progress(BackupProgress {
            done_bytes: pages * page_bytes,
            total_bytes: total * page_bytes,
        });
    })?;
    target.close().map_err(|(_, error)| error)?;
    let file = File::open(to).and_then(|file| file.sync_all().map(|()| file));
    let length = file.and_then(|file| file.metadata()).map(|file| file.len());
    length.map_err(|error| cannot_open(to, &error.to_string()))
}

fn copy_pages(snapshot: &Transaction<'_>, target: &mut Connection, mut progress: impl FnMut(u64, u64)) -> Outcome<()> {
    // The first read fixes the moment; the transaction then holds it between steps.
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let backup = Backup::new(snapshot, target)?;
    loop {
        let result = backup.step(PAGES_STEP)?;
        let at = backup.progress();
        let count = |pages: i32| u64::from(pages.unsigned_abs());
        progress(count(at.pagecount).saturating_sub(count(at.remaining)), count(at.pagecount));
        match result {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => return Err(Fault::Store(unavailable("the database is locked by another process"))),
        }
    }
}

/// Reads all of the copy: each page, each row, and whether the secrets' check is there.
fn check(copy: &Path) -> Outcome<()> {
    let conn = connection::open_reader(copy)?;
    migrate::check_ours(&conn)?;
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(corrupt(format!("the copy does not pass its check: {verdict}")));
    }
    conn.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Gives a whole copy its name, durably, unless somebody took the name meanwhile.
fn publish(partial: &Path, to: &Path) -> Outcome<()> {
    let named = match std::fs::hard_link(partial, to) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken(to)),
        // Some file systems know no second names.
        Err(_) if to.symlink_metadata().is_ok() => return Err(taken(to)),
        Err(_) => std::fs::rename(partial, to),
        Ok(()) => Ok(()),
    };
    let folder = to
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    named
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|error| cannot_open(to, &error.to_string()))
}

fn taken(to: &Path) -> Fault {
    cannot_open(to, "it is there already, and a backup writes over nothing")
}
