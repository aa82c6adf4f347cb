//! What all commands share that speak to a server.

use serde_json::Value;

use super::output::{self, Columns};
use super::serve::environment;
use crate::cli::{ListCommand, ServerFlags};
use crate::client::{Client, Target};

/// Runs a command that waits for answers only.
///
/// # Errors
/// What the command says, and where the system gives no runtime.
pub(super) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Connects for the operator: routes name the account, so no header does. The account that flag or environment names comes along.
///
/// # Errors
/// Where the configuration is wrong, or nothing answers.
pub(super) async fn as_operator(flags: &ServerFlags, account: Option<&str>) -> anyhow::Result<(Client, Option<String>)> {
    let mut target = flags.target(account, environment())?;
    let account = target.account.take();
    Ok((Client::open(target).await?, account))
}

/// Connects for an account: the key's own, or the one that is named.
///
/// # Errors
/// Where the configuration is wrong, or nothing answers.
pub(super) async fn for_account(flags: &ServerFlags, account: Option<&str>) -> anyhow::Result<Client> {
    let target: Target = flags.target(account, environment())?;
    Client::open(target).await
}

/// Reads a list and prints it.
///
/// # Errors
/// Where it cannot be read or printed.
pub(super) async fn print_list(client: &mut Client, path: &str, list: &ListCommand, columns: &Columns<'_>) -> anyhow::Result<()> {
    let (rows, has_more) = client.list(path, list.limit as usize).await?;
    if list.json {
        output::json(&rows)?;
    } else {
        output::table(columns, &rows)?;
    }
    if has_more {
        eprintln!("there are more: these are the newest {} (--limit)", rows.len());
    }
    Ok(())
}

/// Prints one object.
///
/// # Errors
/// Where stdout is closed.
pub(super) fn print_one(object: &Value, as_json: bool, columns: &Columns<'_>) -> anyhow::Result<()> {
    if as_json {
        output::json(object)
    } else {
        output::record(columns, object)
    }
}

/// A text as a segment of a path.
pub(super) fn segment(text: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let shown = |byte: u8| {
        if kept(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_anybodys_stays_one_segment() {
        assert_eq!(segment("shop-17"), "shop-17");
        assert_eq!(segment("a/../b?c#d é"), "a%2F..%2Fb%3Fc%23d%20%C3%A9");
    }
}
