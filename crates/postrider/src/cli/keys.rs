//! `postrider keys`.

use clap::{Args, Subcommand};

use super::serve::StoreFlags;
use super::server::ServerFlags;

/// `postrider keys`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  \
    Make the first key of the operator's, on the server's own store\n    \
    postrider keys create --operator --store sqlite:postrider.db\n  \
    Make a key for an account that can only post events, and ends with the year\n    \
    postrider keys create --account shop-17 --name ci --scopes events:write --expires-at 2027-01-01T00:00:00Z\n  \
    Keep its token in a file that others cannot read\n    \
    (umask 077; postrider keys create --account shop-17 --name ci > shop-17.token)\n  \
    End a key at once\n    \
    postrider keys delete key_01… --account shop-17")]
pub(crate) struct KeysCommand {
    /// What to do with keys.
    #[command(subcommand)]
    pub(crate) command: KeysSubcommand,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysSubcommand {
    /// Make a key. Its token is printed once; the store keeps only a hash of it.
    ///
    /// With --account, a key of that account. With --operator, one of the operator's: on the server's own store (it is how the first one is
    /// made; a server that runs on the store knows it within a second), or, where --server or --key says so, over the API.
    Create(Box<KeysCreateCommand>),
    /// List keys, the newest first: those of --account, or else the operator's own.
    List(KeysListCommand),
    /// Show one key.
    Show(KeysShowCommand),
    /// Change what is given of a key; the rest stays.
    Update(KeysUpdateCommand),
    /// Delete a key: it is refused from then on.
    Delete(KeysDeleteCommand),
}

/// Whose keys.
#[derive(Args, Debug, Default)]
pub(crate) struct OwnerFlag {
    /// The account whose key it is, by its id or its external id [default: POSTRIDER_ACCOUNT; without any, the operator's own keys].
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
}

/// `postrider keys create`.
#[derive(Args, Debug)]
pub(crate) struct KeysCreateCommand {
    /// A key of the operator's, who may act for every account.
    #[arg(long, conflicts_with = "account")]
    pub(crate) operator: bool,
    #[command(flatten)]
    pub(crate) owner: OwnerFlag,
    /// What people call it [default: operator, or the account's id].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What it may do, parted by commas, such as events:write,webhooks:read [default: everything that a key of its kind can].
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    pub(crate) scopes: Option<Vec<String>>,
    /// When it ends (RFC 3339) [default: never].
    #[arg(long, value_name = "TIME")]
    pub(crate) expires_at: Option<String>,
    /// A TOML file with the server's settings, where the key is made on its store.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print the key as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `postrider keys list`.
#[derive(Args, Debug)]
pub(crate) struct KeysListCommand {
    #[command(flatten)]
    pub(crate) owner: OwnerFlag,
    #[command(flatten)]
    pub(crate) list: super::ListCommand,
}

/// `postrider keys show`.
#[derive(Args, Debug)]
pub(crate) struct KeysShowCommand {
    /// Its id: key_….
    #[arg(value_name = "KEY_ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) owner: OwnerFlag,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print the key as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `postrider keys update`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["name", "scopes", "expires_at"]))]
pub(crate) struct KeysUpdateCommand {
    /// Its id: key_….
    #[arg(value_name = "KEY_ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) owner: OwnerFlag,
    /// What people call it.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What it may do, parted by commas.
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    pub(crate) scopes: Option<Vec<String>>,
    /// When it ends (RFC 3339), or never.
    #[arg(long, value_name = "TIME|never")]
    pub(crate) expires_at: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print the key as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `postrider keys delete`.
#[derive(Args, Debug)]
pub(crate) struct KeysDeleteCommand {
    /// Its id: key_….
    #[arg(value_name = "KEY_ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) owner: OwnerFlag,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print what was deleted as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
