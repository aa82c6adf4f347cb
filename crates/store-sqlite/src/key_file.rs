//! The key that seals secrets: where it comes from, and whether it is the right one.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider_model::seal::{SEAL_KEY_BYTES, SealKey};
use postrider_ports::{Random, StoreError};
use rusqlite::{Connection, OptionalExtension as _};
use zeroize::Zeroizing;

use crate::fault::{Fault, Outcome};
use crate::migrate::put_meta;
use crate::open::SealSource;

const CHECK_NAME: &str = "seal_check";
const CHECK_TEXT: &[u8] = b"postrider";
const CHECK_CONTEXT: &[u8] = b"meta/seal_check";

/// Where the key of a database lies when none is given.
pub fn key_path(database: &Path) -> PathBuf {
    beside(database, ".key")
}

/// The database's path with something added to its name.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Finds the key, makes one for a new database, and judges it by what was sealed when the database was made.
pub(crate) fn resolve(conn: &Connection, database: &Path, source: SealSource, random: &dyn Random) -> Outcome<SealKey> {
    let check: Option<Vec<u8>> = conn
        .query_row("SELECT value FROM meta WHERE name = ?", [CHECK_NAME], |row| row.get(0))
        .optional()?;
    let key = match source {
        SealSource::Given(key) => key,
        SealSource::FileBeside => read_or_make(&key_path(database), check.is_none(), random)?,
    };
    match check {
        Some(check) => {
            key.unseal(&check, CHECK_CONTEXT)?;
        }
        None => put_meta(conn, CHECK_NAME, key.seal(CHECK_TEXT, CHECK_CONTEXT, nonce(random)))?,
    }
    Ok(key)
}

/// A nonce for one sealing.
pub(crate) fn nonce(random: &dyn Random) -> [u8; 12] {
    let mut nonce = [0u8; 12];
    random.fill(&mut nonce);
    nonce
}

fn read_or_make(path: &Path, is_new: bool, random: &dyn Random) -> Outcome<SealKey> {
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => Ok(SealKey::parse(&text)?),
        Err(error) if error.kind() == ErrorKind::NotFound && is_new => make(path, random),
        Err(error) => Err(cannot_open(path, &format!("the key of the database's secrets: {error}"))),
    }
}

fn make(path: &Path, random: &dyn Random) -> Outcome<SealKey> {
    let mut bytes = Zeroizing::new([0u8; SEAL_KEY_BYTES]);
    random.fill(bytes.as_mut_slice());
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(bytes.as_slice())));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // The name must be as durable as what will be sealed under the key.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error| cannot_open(path, &error.to_string()))?;
    Ok(SealKey::from_bytes(bytes.as_slice())?)
}

fn cannot_open(path: &Path, reason: &str) -> Fault {
    Fault::Store(StoreError::CannotOpen {
        what: path.display().to_string(),
        reason: reason.to_owned(),
    })
}
