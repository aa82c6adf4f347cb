//! `postrider trigger`.

use clap::Args;

use super::server::ServerFlags;

/// `postrider trigger`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  \
    Post an event, and see what comes of it\n    \
    postrider trigger order.filled --data '{\"quantity\": 10}' --wait\n  \
    For an account, by the operator, from a script\n    \
    postrider trigger order.filled --account shop-17 --data @order.json --yes --json\n  \
    Send one webhook a test: nothing has happened, and its receiver can tell\n    \
    postrider trigger order.filled --webhook wh_01… --wait\n\n\
    Exit codes: 0 posted (with --wait: and every delivery succeeded), 1 failed, 2 wrong usage, such as nobody there to be asked and no --yes.")]
pub(crate) struct TriggerCommand {
    /// The event's name, such as order.filled.
    #[arg(value_name = "EVENT_NAME")]
    pub(crate) name: String,
    /// Its data: a JSON object, @FILE to read it from a file, or - for standard input.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(crate) data: String,
    /// The id of what it happened to.
    #[arg(long, value_name = "ID", default_value = "trigger", conflicts_with = "webhook")]
    pub(crate) resource_id: String,
    /// What kind of thing that is [default: the event's name up to its first dot].
    #[arg(long, value_name = "TYPE", conflicts_with = "webhook")]
    pub(crate) resource_type: Option<String>,
    /// Send a test to this webhook alone, in place of an event.
    #[arg(long, value_name = "WEBHOOK")]
    pub(crate) webhook: Option<String>,
    /// Wait until its deliveries have ended, and say what came of them; at most so long.
    #[arg(long, num_args = 0..=1, default_missing_value = "30s", require_equals = true, value_name = "DURATION")]
    pub(crate) wait: Option<String>,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// The account, for an operator's key: its id or its external id [default: POSTRIDER_ACCOUNT].
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    /// Print the event, or the test's delivery, as JSON; with --wait {event, deliveries}.
    #[arg(long)]
    pub(crate) json: bool,
}
