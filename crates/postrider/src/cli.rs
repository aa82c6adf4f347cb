//! The command line: what can be typed, and the help for it. What the flags mean together is judged in `config`.

use clap::{Args, Parser, Subcommand};

use crate::bench::BenchOptions;

/// Webhook delivery from one binary: takes events in, and gets them delivered, signed and retried.
///
/// Start with `postrider dev`: it shows everything in one terminal. `postrider serve` runs the server.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    ///
    /// Every flag can also stand in the file of --config (with underscores: retry_schedule = "5s,30s") and in the
    /// environment (POSTRIDER_RETRY_SCHEDULE). A flag beats the environment, which beats the file.
    ///
    /// From the environment alone: POSTRIDER_OPERATOR_KEY (at least 32 characters; several parted by commas) is a valid
    /// operator key, and POSTRIDER_SECRET_KEY (32 bytes in base64) seals secrets at rest.
    ///
    /// It is ready when /readyz answers 200; then its url stands on stdout. SIGTERM and SIGINT end it gracefully.
    Serve(Box<ServeCommand>),
    /// See everything work: a server, a receiver that verifies, one event, one retry, in one terminal.
    Dev(DevCommand),
    /// Measure this machine: server, load, receiver and report in one command.
    Bench(Box<BenchOptions>),
    /// Make keys on the server's own store.
    Keys(KeysCommand),
}

/// `postrider serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    pub(crate) flags: ServeFlags,
    /// Print the url as JSON when ready: {"url": "http://127.0.0.1:8080"}.
    #[arg(long)]
    pub(crate) json: bool,
    /// End when standard input does: for a process that starts the server and may die itself.
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

/// How a server is configured. All are texts here: `config` reads them, those of the environment and those of the file alike.
#[derive(Args, Debug, Default)]
pub(crate) struct ServeFlags {
    /// A TOML file with any of the settings below.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<String>,
    /// Where to listen [default: 127.0.0.1:8080]. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    /// How the store writes [default: full]. full: what was answered 2xx survives power loss. normal: the last moments before a power
    /// loss may be lost, a crash of the process loses nothing. off: a power loss may damage the file.
    #[arg(long, value_name = "full|normal|off")]
    pub(crate) synchronous: Option<String>,
    /// Certificates (PEM) that receivers may have, beside those that the system trusts.
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<String>,
    /// For trying out: allow webhooks on http, IP addresses, localhost and private networks.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "true|false")]
    pub(crate) dev: Option<String>,
    /// When failed deliveries are tried again [default: 5s,30s,2m,10m,30m,1h,2h,4h,8h,12h,24h,24h].
    #[arg(long, value_name = "DELAYS")]
    pub(crate) retry_schedule: Option<String>,
    /// Networks (CIDR, parted by commas) that may be sent to although they are private.
    #[arg(long, value_name = "CIDR,…")]
    pub(crate) allow_network: Option<String>,
    /// Ends of host names (such as .internal, parted by commas) that may be registered although they are special.
    #[arg(long, value_name = "SUFFIX,…")]
    pub(crate) allow_host_suffix: Option<String>,
    /// Webhooks that an account may have [default: 1000].
    #[arg(long, value_name = "N")]
    pub(crate) webhooks_per_account: Option<String>,
    /// The url under which clients reach this server: then links in answers are whole urls.
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Deliveries in flight at once, at most [default: 4096, or fewer where the system gives few file handles].
    #[arg(long, value_name = "N")]
    pub(crate) in_flight_max: Option<String>,
    /// Memory for deliveries that wait, such as 64MiB [default: 24MiB]; the rest waits in the store.
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_max: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as info,postrider_sender=debug [default: info].
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// Threads that work [default: one for each core].
    #[arg(long, value_name = "N")]
    pub(crate) worker_threads: Option<String>,
}

/// Which store, and under which key its secrets are sealed.
#[derive(Args, Debug, Default)]
pub(crate) struct StoreFlags {
    /// Where everything is kept [default: sqlite:postrider.db].
    #[arg(long, value_name = "sqlite:PATH")]
    pub(crate) store: Option<String>,
    /// File with the key that seals secrets at rest: 32 bytes in base64 [default: one is made beside the database].
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_key_file: Option<String>,
}

/// `postrider dev`.
#[derive(Args, Debug)]
pub(crate) struct DevCommand {
    /// Where the server listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub(crate) listen: String,
    /// Where everything is kept [default: a temporary folder, removed at the end].
    #[arg(long, value_name = "sqlite:PATH")]
    pub(crate) store: Option<String>,
    /// End when everything has been seen to work: exit code 0, or 1 with the reason.
    #[arg(long)]
    pub(crate) once: bool,
    /// What is logged beside that.
    #[arg(long, default_value = "error", value_name = "LEVEL")]
    pub(crate) log: String,
}

/// `postrider keys`.
#[derive(Args, Debug)]
pub(crate) struct KeysCommand {
    /// What to do with keys.
    #[command(subcommand)]
    pub(crate) command: KeysSubcommand,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysSubcommand {
    /// Make a key. Its token is printed once; the store keeps only a hash of it. A server that runs on the store knows it within a second.
    Create(KeysCreateCommand),
}

/// `postrider keys create`.
#[derive(Args, Debug)]
pub(crate) struct KeysCreateCommand {
    /// A key of the operator's, who may act for every account.
    #[arg(long, required = true)]
    pub(crate) operator: bool,
    /// What people call it.
    #[arg(long, default_value = "operator", value_name = "NAME")]
    pub(crate) name: String,
    /// A TOML file with the server's settings.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    /// Print the key as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn dev_is_a_switch_that_can_be_given_a_value() {
        let dev = |line: &[&str]| match Cli::try_parse_from(line).unwrap().command {
            Command::Serve(serve) => serve.flags.dev,
            _ => None,
        };
        assert_eq!(dev(&["postrider", "serve"]), None);
        assert_eq!(dev(&["postrider", "serve", "--dev"]).as_deref(), Some("true"));
        assert_eq!(dev(&["postrider", "serve", "--dev=false"]).as_deref(), Some("false"));
    }

    #[test]
    fn every_command_has_help() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
            for flag in flags.filter(|flag| flag.get_id() != "help" && flag.get_id() != "version") {
                assert!(flag.get_help().is_some(), "{} {}", command.get_name(), flag.get_id());
            }
        }
    }
}
