//! The command line: what can be typed, and the help for it, one file for each command. What the flags of a server mean together is
//! judged in `config`.

mod accounts;
mod backup;
mod completions;
mod dev;
mod hidden;
mod keys;
mod listen;
mod migrate_store;
mod serve;
mod server;
mod trigger;
mod verify;

use clap::{Parser, Subcommand};

pub(crate) use self::accounts::{AccountsCommand, AccountsSubcommand, ListCommand};
pub(crate) use self::backup::BackupCommand;
pub(crate) use self::completions::{CompletionsCommand, OpenapiCommand};
pub(crate) use self::dev::DevCommand;
pub(crate) use self::hidden::Hidden;
pub(crate) use self::keys::{KeysCommand, KeysCreateCommand, KeysSubcommand, OwnerFlag};
pub(crate) use self::listen::ListenCommand;
pub(crate) use self::migrate_store::MigrateStoreCommand;
pub(crate) use self::serve::{ServeCommand, ServeFlags, StoreFlags};
pub(crate) use self::server::ServerFlags;
pub(crate) use self::trigger::TriggerCommand;
pub(crate) use self::verify::VerifyCommand;
use crate::bench::BenchOptions;

/// Webhook delivery from one binary: takes events in, and gets them delivered, signed and retried.
///
/// Start with `postrider dev`: it shows everything in one terminal. `postrider serve` runs the server.
///
/// Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage (a flag, a variable or a file).
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
    /// All settings stand in docs/reference/configuration.md; --print-config shows what is in effect, and where each value is from.
    ///
    /// It is ready when /readyz answers 200; then its url stands on stdout. SIGTERM and SIGINT end it gracefully.
    Serve(Box<ServeCommand>),
    /// See everything work: a server, a receiver that verifies, one event, one retry, in one terminal.
    Dev(DevCommand),
    /// Measure this machine: server, load, receiver and report in one command.
    Bench(Box<BenchOptions>),
    /// Make, list, show, change and delete accounts. For the operator.
    Accounts(AccountsCommand),
    /// Make, list, show, change and delete keys: an account's, or the operator's own. For the operator.
    Keys(KeysCommand),
    /// Is this delivery genuine? Judges a captured one, and says exactly what is wrong with it.
    Verify(VerifyCommand),
    /// Post an event by hand, or send one webhook a test.
    ///
    /// It says which account it is for and how many webhooks it will reach, and asks before it does anything, unless --yes is given.
    Trigger(TriggerCommand),
    /// Forward an account's events to a local address, signed like deliveries, as they happen.
    Listen(ListenCommand),
    /// Copy the store while a server works on it.
    ///
    /// The copy is what the store held at one moment after the command began: all that was answered with success before is in it. The server
    /// is not held up. The key that seals secrets is not copied: keep it apart.
    Backup(BackupCommand),
    /// Move everything to another store: from SQLite to PostgreSQL, or back. No server may use either meanwhile.
    ///
    /// It moves accounts, keys, webhooks, events, deliveries with their attempts, jobs and kept answers. Then it reads both stores again and
    /// compares them field by field: it says that they hold the same, or names the first record that differs. Ended at any moment, it goes on where it was when it is run again. Until it is done no server starts on the
    /// store that it fills.
    MigrateStore(MigrateStoreCommand),
    /// Print the description of the HTTP API, as OpenAPI 3.1. A server has the same at /openapi.json.
    Openapi(OpenapiCommand),
    /// Print what a shell needs to complete our command line.
    Completions(CompletionsCommand),
}

/// A wrong usage that the parser of the command line cannot see. Ends with exit code 2.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(pub(crate) String);

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
