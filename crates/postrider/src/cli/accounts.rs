//! `postrider accounts`.

use clap::{Args, Subcommand};

use super::server::ServerFlags;

/// `postrider accounts`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  \
    export POSTRIDER_SERVER=https://hooks.example.com POSTRIDER_KEY=ptrop_…\n  \
    postrider accounts create 'Corner shop' --external-id shop-17\n  \
    postrider accounts list --limit 1000 --json | jq -r '.[].name'\n  \
    postrider accounts update shop-17 --active false")]
pub(crate) struct AccountsCommand {
    /// What to do with accounts.
    #[command(subcommand)]
    pub(crate) command: AccountsSubcommand,
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountsSubcommand {
    /// Make an account. The same --external-id again shows the first one.
    Create(AccountsCreateCommand),
    /// List accounts, the newest first.
    List(ListCommand),
    /// Show one account.
    Show(AccountsShowCommand),
    /// Change what is given of an account; the rest stays.
    Update(AccountsUpdateCommand),
    /// Delete an account: its keys and deliveries end at once, its data goes in the background.
    Delete(AccountsDeleteCommand),
}

/// `postrider accounts create`.
#[derive(Args, Debug)]
pub(crate) struct AccountsCreateCommand {
    /// What people call it.
    pub(crate) name: String,
    /// Your own id of it: routes and commands take it in place of its acc_….
    #[arg(long, value_name = "ID")]
    pub(crate) external_id: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print the account as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A list.
#[derive(Args, Debug)]
pub(crate) struct ListCommand {
    /// List at most so many; as many pages are read as that takes.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print the list as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `postrider accounts show`.
#[derive(Args, Debug)]
pub(crate) struct AccountsShowCommand {
    /// Its id, or its external id.
    #[arg(value_name = "ACCOUNT")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print the account as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `postrider accounts update`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["name", "external_id", "active"]))]
pub(crate) struct AccountsUpdateCommand {
    /// Its id, or its external id.
    #[arg(value_name = "ACCOUNT")]
    pub(crate) id: String,
    /// What people call it.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Your own id of it; an empty one takes it away.
    #[arg(long, value_name = "ID")]
    pub(crate) external_id: Option<String>,
    /// false: its keys are refused and its deliveries wait.
    #[arg(long, value_name = "true|false")]
    pub(crate) active: Option<bool>,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print the account as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `postrider accounts delete`.
#[derive(Args, Debug)]
pub(crate) struct AccountsDeleteCommand {
    /// Its id, or its external id.
    #[arg(value_name = "ACCOUNT")]
    pub(crate) id: String,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print what was deleted as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
