//! What every command says that speaks to a server.

use clap::Args;

use super::Hidden;

/// Which server, and with which key.
#[derive(Args, Debug, Default)]
pub(crate) struct ServerFlags {
    /// The server [default: POSTRIDER_SERVER, or http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The token of a key: itself, @FILE to read it from a file, or - for standard input [default: POSTRIDER_KEY]. Who can list processes
    /// sees what is on a command line: prefer the other ways.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) key: Option<Hidden>,
    /// Certificates (PEM) that the server may have, beside those that the system trusts [default: POSTRIDER_CA_FILE].
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<String>,
}
