//! The pages of docs/reference about the command line and the configuration, made of what the binary itself reads.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;
use crate::config::SETTINGS;

/// How wide the help stands on the page.
const WIDTH: usize = 110;
const GENERATED: &str = "Generated from the code: `cargo run -p xtask -- docs`.";

/// The pages: path from the root of the repository, and text.
pub fn reference() -> [(&'static str, String); 2] {
    [
        ("docs/reference/cli.md", cli()),
        ("docs/reference/configuration.md", configuration()),
    ]
}

fn cli() -> String {
    let mut out = format!(
        "# The command line\n\n{GENERATED} Each command says the same with `--help`. Settings of the server have \
         [a page of their own](configuration.md).\n"
    );
    let mut cli = Cli::command().term_width(WIDTH);
    cli.build();
    command(&mut cli, "postrider", &mut out);
    out
}

fn command(command: &mut Command, path: &str, out: &mut String) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Writing to a String cannot fail.
    let _ = write!(out, "\n## {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for inner in command.get_subcommands_mut().filter(|inner| !inner.is_hide_set()) {
        let path = format!("{path} {}", inner.get_name());
        self::command(inner, &path, out);
    }
}

fn configuration() -> String {
    let mut out = format!(
        "# Configuration of the server\n\n{GENERATED} `postrider serve` takes each setting as a flag, as a variable of the environment, and as a \
         key of the TOML file that `--config` (or `POSTRIDER_CONFIG`) names. A flag beats the environment, which beats the file. What is \
         not known is an error that names it, in each of the three. `postrider serve --print-config` shows what is in effect, and where each value \
         is from.\n\n| flag | variable | key of the file | default |\n|---|---|---|---|\n"
    );
    let mut cli = Cli::command();
    cli.build();
    for setting in SETTINGS {
        let default = setting.default.map_or_else(String::new, |default| format!("`{default}`"));
        let (flag, variable) = (setting.key.replace('_', "-"), setting.key.to_uppercase());
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| [`--{flag}`](#--{flag}) | `POSTRIDER_{variable}` | `{}` | {default} |",
            setting.key
        );
    }
    out.push_str(SECRETS);
    for setting in SETTINGS {
        let flag = cli
            .find_subcommand("serve")
            .and_then(|serve| serve.get_arguments().find(|flag| flag.get_id() == setting.key));
        let help = flag
            .and_then(|flag| flag.get_long_help().or_else(|| flag.get_help()))
            .map(ToString::to_string);
        // Writing to a String cannot fail.
        let _ = write!(out, "\n### --{}\n\n{}\n", setting.key.replace('_', "-"), help.unwrap_or_default());
    }
    out
}

const SECRETS: &str = "
## Secrets

They come from the environment alone, where neither a list of processes nor a file that is checked in shows them.

| variable | what it is |
|---|---|
| `POSTRIDER_OPERATOR_KEY` | a valid operator key of at least 32 characters; several, parted by commas, to rotate. Without it, `postrider keys create --operator` makes one on the server's own store |
| `POSTRIDER_SECRET_KEY` | the key that seals secrets at rest: 32 bytes in base64. `--secret-key-file` names a file with it instead; without either, one is made beside a SQLite file, and a server on PostgreSQL does not start |

## What commands read

| variable | what it is |
|---|---|
| `POSTRIDER_SERVER` | the server that commands speak to; `http://127.0.0.1:8080` where it is not set |
| `POSTRIDER_KEY` | the token of the key that they speak with |
| `POSTRIDER_ACCOUNT` | the account that an operator's key acts for |
| `POSTRIDER_CA_FILE` | certificates that the server may have, beside those that the system trusts |
| `POSTRIDER_WEBHOOK_SECRET` | what `postrider verify` judges by |
| `NO_COLOR` | any value takes the colours away; they are off wherever output is no terminal |

## Each setting
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_pages_are_what_the_code_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (path, page) in reference() {
            let is = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            let same = is.lines().zip(page.lines()).take_while(|(is, should)| is == should).count();
            assert!(is == page, "{path}:{}: run `cargo run -p xtask -- docs`", same + 1);
        }
    }
}
