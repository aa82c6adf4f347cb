//! Opening a store, and everything that can be wrong with it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use postrider_model::seal::SealKey;
use postrider_ports::{Clock, Random, StoreError};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::mpsc;

use crate::checkpoint::{Checkpointer, Gate};
use crate::fault::{Fault, Outcome};
use crate::reader::Readers;
use crate::store::{Inner, SqliteStore};
use crate::tx::Memory;
use crate::writer::{CALLS_WAITING_MAX, Writer};
use crate::{archive, connection, key_file, migrate};

/// How long one read may take, unless the options say otherwise.
pub const READ_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a write waits for another process, unless the options say otherwise.
pub const LOCK_TIME_MAX: Duration = Duration::from_secs(5);
/// Connections that read.
const READERS: usize = 3;

/// Who opens the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one server of the file: a second one is refused.
    Server,
    /// A command that does its work beside a server, or without one.
    Command,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Until it is on the disk: nothing acknowledged is lost, not by power loss either.
    #[default]
    Full,
    /// Until the operating system has it: the last moments before a power loss may be lost; a crash of the process loses nothing.
    Normal,
    /// As `Normal`, and the file itself may be damaged by power loss.
    Off,
}

/// Where the key that seals secrets comes from.
#[derive(Debug)]
pub enum SealSource {
    /// This one.
    Given(SealKey),
    /// The file beside the database (`<database>.key`); it is made for a new database.
    FileBeside,
}

/// How a store is opened.
pub struct OpenOptions {
    /// The database; it is made where there is none, its folder is not.
    pub path: PathBuf,
    /// Who opens it.
    pub role: Role,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// Where the key of its secrets comes from.
    pub seal: SealSource,
    /// Gives keys and nonces.
    pub random: Arc<dyn Random>,
    /// Ends reads that take too long.
    pub clock: Arc<dyn Clock>,
    /// How long one read may take.
    pub read_time_max: Duration,
    /// How long a write waits for another process that holds the file's lock.
    pub lock_time_max: Duration,
    /// For `Archive` alone: it may be filled in part.
    pub is_filled: bool,
    /// Most bytes of the database; a write that would need more is refused as if the disk were full.
    pub file_bytes_max: Option<u64>,
}

impl OpenOptions {
    /// A durable server's store with its key beside it.
    pub fn new(path: impl Into<PathBuf>, random: Arc<dyn Random>, clock: Arc<dyn Clock>) -> Self {
        Self {
            path: path.into(),
            role: Role::Server,
            synchronous: Synchronous::Full,
            seal: SealSource::FileBeside,
            random,
            clock,
            read_time_max: READ_TIME_MAX,
            lock_time_max: LOCK_TIME_MAX,
            is_filled: false,
            file_bytes_max: None,
        }
    }
}

/// Opens a store.
pub(crate) fn open(options: OpenOptions) -> Result<SqliteStore, StoreError> {
    let path = options.path.clone();
    try_open(options).map_err(|fault| named(fault, &path))
}

fn try_open(options: OpenOptions) -> Outcome<SqliteStore> {
    let OpenOptions { path, random, clock, .. } = options;
    let lock = match options.role {
        Role::Server => Some(lock(&path)?),
        Role::Command => None,
    };
    let mut conn = connection::open_writer(&path, options.synchronous)?;
    conn.busy_timeout(options.lock_time_max)?;
    migrate::migrate(&mut conn)?;
    if !options.is_filled {
        archive::check_whole(&conn, &path.display().to_string())?;
    }
    if let Some(bytes) = options.file_bytes_max {
        limit_size(&conn, bytes)?;
    }
    let seal = Arc::new(key_file::resolve(&conn, &path, options.seal, &*random)?);
    let gate: Gate = Arc::new(RwLock::new(()));
    let readers = Readers::open(&path, READERS, Arc::clone(&gate), clock, options.read_time_max)?;
    let checkpointer = Checkpointer::new(&mut conn, gate)?;
    let writer = Writer::new(conn, Memory::new(Arc::clone(&seal), random), checkpointer);
    let (sender, receiver) = mpsc::channel(CALLS_WAITING_MAX);
    let thread = std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || writer.run(receiver))
        .map_err(|error| cannot_open(&path, &error.to_string()))?;
    Ok(SqliteStore::new(Inner {
        calls: Some(sender),
        thread: Some(thread),
        readers: Arc::new(readers),
        seal,
        path,
        _lock: lock,
    }))
}

/// Takes the file's lock for a server. It vanishes with the process, however that ends.
fn lock(path: &Path) -> Outcome<File> {
    let lock_path = key_file::beside(path, ".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|error| cannot_open(&lock_path, &error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Fault::Store(StoreError::InUse {
            what: path.display().to_string(),
        })),
        Err(TryLockError::Error(error)) => Err(cannot_open(&lock_path, &error.to_string())),
    }
}

fn limit_size(conn: &Connection, bytes: u64) -> Outcome<()> {
    let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
    conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    Ok(())
}

/// What SQLite says at opening, told with the file's name.
pub(crate) fn named(fault: Fault, path: &Path) -> StoreError {
    let what = path.display().to_string();
    match &fault {
        Fault::Sql(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => StoreError::CannotOpen {
                what,
                reason: "it is not a database, or is damaged at its head".to_owned(),
            },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => StoreError::CannotOpen {
                what,
                reason: format!("{error}: is there such a folder, and may this user write to it?"),
            },
            _ => fault.into_store(),
        },
        Fault::Store(StoreError::CannotOpen { what: named, reason }) if named == "the database" => StoreError::CannotOpen {
            what,
            reason: reason.clone(),
        },
        Fault::Store(_) => fault.into_store(),
    }
}

/// A file that cannot be used, by its name.
pub(crate) fn cannot_open(path: &Path, reason: &str) -> Fault {
    Fault::Store(StoreError::CannotOpen {
        what: path.display().to_string(),
        reason: reason.to_owned(),
    })
}
