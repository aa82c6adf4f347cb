//! `postrider listen`.

use clap::Args;

use super::server::ServerFlags;

/// `postrider listen`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  \
    postrider listen --forward-to http://localhost:3000/hooks\n  \
    Only what happens to orders, for an account, by the operator\n    \
    postrider listen --forward-to http://localhost:3000/hooks --name 'order.*' --account shop-17\n\n\
    The secret is kept in listen.secret in the folder postrider of your configuration ($XDG_CONFIG_HOME, or ~/.config), readable by you \
    alone. It signs what is forwarded from here, and nothing else. Remove the file to have another one made.\n\n\
    What arrives while nothing listens is not made up for: it starts at now. While it runs nothing is left out: after a broken connection it goes on \
    behind the last event it saw.")]
pub(crate) struct ListenCommand {
    /// Where events are sent to: any http or https url, such as one of this machine.
    #[arg(long, value_name = "URL")]
    pub(crate) forward_to: String,
    /// Only events of this name, or of these: order.* is all that begins with order and a dot.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The account, for an operator's key: its id or its external id [default: POSTRIDER_ACCOUNT].
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print a JSON object on a line of its own: first {secret, server, account}, then one for each event.
    #[arg(long)]
    pub(crate) json: bool,
}
