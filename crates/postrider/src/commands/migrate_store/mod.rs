//! `postrider migrate-store`: moves everything from one store to another of any kind, and checks that both hold the same. Killed at any
//! moment and run again, it goes on where it was.

mod compare;
mod contents;
mod fields;
mod fill;
mod names;
mod open;

use std::sync::Arc;

use postrider_ports::{Clock, Random};
use serde_json::{Map, Value, json};

use self::compare::counts;
use self::fill::Tell;
use super::api::block_on;
use super::output;
use super::progress::Progress;
use crate::cli::MigrateStoreCommand;
use crate::clock::SystemClock;
use crate::random::OsRandom;

impl Tell for Progress {
    fn begin(&self, words: &str) {
        self.say(words);
    }

    fn reach(&self, done: u64, total: u64) {
        Self::reach(self, done, total.max(done));
    }
}

/// Moves, checks, and says what was moved.
///
/// # Errors
/// Where the usage is wrong, a store cannot be opened or is in use, the target holds something else, or both do not hold the same.
pub(crate) fn execute(command: MigrateStoreCommand) -> anyhow::Result<()> {
    block_on(run(command))
}

async fn run(command: MigrateStoreCommand) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(OsRandom::new()?);
    let (json, check_only) = (command.json, command.check_only);
    let stores = open::open(command, (&clock, &random)).await?;
    let (from, to) = ((&*stores.from, &*stores.from_name), (&*stores.to, &*stores.to_name));
    let progress = Progress::of_records();
    let contents = match check_only {
        true => fill::check(from, to, &progress).await?,
        false => fill::all(from, to, &progress).await?,
    };
    drop(progress);
    if json {
        let records: Map<String, Value> = counts(&contents).map(|(name, count)| (name.to_owned(), count.into())).collect();
        output::json(&json!({
            "from": stores.from_name,
            "to": stores.to_name,
            "records": records,
            "digest": contents.digest(),
            "secret_key_file": stores.key_file,
        }))?;
    } else {
        for (name, count) in counts(&contents) {
            output::line(&format!("{name:10}  {count}"))?;
        }
        output::line(&format!("digest      {}", contents.digest()))?;
    }
    eprintln!("Both hold the same: every record was read from both and compared, field by field.");
    if check_only {
        return Ok(());
    }
    eprintln!("{} is left as it is.", stores.from_name);
    if let Some(file) = stores.key_file {
        eprintln!("Secrets are sealed under the same key as before: give servers --secret-key-file {file}");
    }
    Ok(())
}
