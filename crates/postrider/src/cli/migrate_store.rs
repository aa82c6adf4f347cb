//! `postrider migrate-store`.

use clap::Args;

use super::Hidden;

/// `postrider migrate-store`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  \
    postrider migrate-store --from sqlite:postrider.db --to postgres://postrider@db.example.com/postrider\n  \
    postrider migrate-store --from postgres://postrider@db.example.com/postrider --to sqlite:postrider.db\n  \
    postrider migrate-store --check-only --from sqlite:postrider.db --to postgres://postrider@db.example.com/postrider")]
pub(crate) struct MigrateStoreCommand {
    /// The store to move from. It is left as it is.
    #[arg(long, value_name = "URL")]
    pub(crate) from: Hidden,
    /// The store to move to: an empty one, or one that an earlier run did not finish.
    #[arg(long, value_name = "URL")]
    pub(crate) to: Hidden,
    /// The key that seals secrets [default: POSTRIDER_SECRET_KEY, or the file beside the SQLite store].
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_key_file: Option<String>,
    /// Move nothing: only compare what both hold, and name the first record that differs.
    #[arg(long)]
    pub(crate) check_only: bool,
    /// Print what was moved as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
