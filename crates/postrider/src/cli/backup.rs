//! `postrider backup`.

use clap::Args;

use super::Hidden;

/// `postrider backup`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  \
    postrider backup --store sqlite:postrider.db /backups/$(date +%F).db\n  \
    Restore it: put copy and key into place, and start a server on them\n    \
    postrider serve --store sqlite:/backups/2026-01-15.db --secret-key-file postrider.db.key")]
pub(crate) struct BackupCommand {
    /// The store [default: POSTRIDER_STORE, or sqlite:postrider.db].
    #[arg(long, value_name = "sqlite:PATH")]
    pub(crate) store: Option<Hidden>,
    /// A TOML file with the server's settings.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<String>,
    /// Print what was made as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The file to make; one that is there is never overwritten.
    #[arg(value_name = "TO")]
    pub(crate) to: std::path::PathBuf,
}
