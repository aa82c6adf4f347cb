//! `postrider dev`.

use clap::Args;

use super::Hidden;

/// `postrider dev`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  \
    postrider dev\n  \
    As a check that all of it works on this machine\n    \
    postrider dev --once --listen 127.0.0.1:0")]
pub(crate) struct DevCommand {
    /// Where the server listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub(crate) listen: String,
    /// Where everything is kept [default: a temporary folder, removed at the end].
    #[arg(long, value_name = "sqlite:PATH|postgres://…")]
    pub(crate) store: Option<Hidden>,
    /// End when everything has been seen to work: exit code 0, or 1 with the reason.
    #[arg(long)]
    pub(crate) once: bool,
    /// What is logged beside that.
    #[arg(long, default_value = "error", value_name = "LEVEL")]
    pub(crate) log: String,
}
