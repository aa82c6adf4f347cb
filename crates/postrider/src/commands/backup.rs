//! `postrider backup`: copies the store, whether a server runs on it or not.

use anyhow::Context as _;
use postrider_store_sqlite::{backup, key_path};
use serde_json::json;

use super::output;
use super::progress::Progress;
use super::serve::environment;
use crate::cli::{BackupCommand, StoreFlags, WrongUsage};
use crate::config::{StoreConfig, StoreUrl};

const OF_POSTGRES: &str = "this copies SQLite stores: a PostgreSQL database is copied by its own tools, such as pg_dump --format=custom, \
                           or pg_basebackup with archived WAL. Keep the secret key too, apart from the copy";

/// Copies, and says what has to be kept beside.
///
/// # Errors
/// Where the configuration is wrong, there is no store, or the copy cannot be made.
pub(crate) fn execute(command: BackupCommand) -> anyhow::Result<()> {
    let flags = StoreFlags {
        store: command.store,
        secret_key_file: None,
    };
    let config = StoreConfig::load_without_key(flags, command.config, environment())?;
    let StoreUrl::Sqlite(from) = config.url else {
        return Err(WrongUsage(OF_POSTGRES.to_owned()).into());
    };
    let progress = Progress::of_bytes("copying");
    let bytes = backup(&from, &command.to, |now| progress.reach(now.done_bytes, now.total_bytes))?;
    drop(progress);
    let to = std::path::absolute(&command.to).context("the copy is made, but its path cannot be told")?;
    let key = key_path(&from);
    let key = (config.seal.is_none() && key.exists()).then(|| std::path::absolute(&key).unwrap_or(key));
    if command.json {
        output::json(&json!({ "path": to, "bytes": bytes, "secret_key_file": key }))?;
    } else {
        output::line(&format!("{}  {bytes} bytes", to.display()))?;
    }
    let file = key.map_or_else(|| "KEY".to_owned(), |key| key.display().to_string());
    let named = if file == "KEY" { "the one that the server is given" } else { &file };
    eprintln!("Keep the secret key too, apart from the copy: {named}. Without it no server can start on the copy.");
    eprintln!(
        "To restore: postrider serve --store sqlite:{} --secret-key-file {file}",
        to.display()
    );
    Ok(())
}
