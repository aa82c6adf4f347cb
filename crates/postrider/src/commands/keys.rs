//! `postrider keys`.

use http::Method;
use serde_json::{Map, Value};

use super::api::{as_operator, block_on, print_list, print_one, segment};
use super::output::{self, Columns, visible};
use super::serve::environment;
use super::{ask, operator_key};
use crate::cli::{KeysCommand, KeysCreateCommand, KeysSubcommand, OwnerFlag, ServerFlags, WrongUsage};
use crate::client::{Client, text};

const COLUMNS: &Columns<'_> = &[
    ("id", "id"),
    ("name", "name"),
    ("ends in", "hint"),
    ("scopes", "scopes"),
    ("created at", "created_at"),
    ("expires at", "expires_at"),
    ("last used at", "last_used_at"),
];

/// Does what was asked for.
///
/// # Errors
/// Where the usage is wrong, or the server refuses.
pub(crate) fn execute(command: KeysCommand) -> anyhow::Result<()> {
    block_on(run(command.command))
}

async fn run(command: KeysSubcommand) -> anyhow::Result<()> {
    match command {
        KeysSubcommand::Create(command) => create(*command).await,
        KeysSubcommand::List(command) => {
            let (mut client, path) = keys_of(&command.list.server, &command.owner).await?;
            print_list(&mut client, &path, &command.list, COLUMNS).await
        }
        KeysSubcommand::Show(command) => {
            let (mut client, path) = keys_of(&command.server, &command.owner).await?;
            let key = client.get(&format!("{path}/{}", segment(&command.id))).await?;
            print_one(&key, command.json, COLUMNS)
        }
        KeysSubcommand::Update(command) => {
            let (mut client, path) = keys_of(&command.server, &command.owner).await?;
            let mut change = Map::new();
            change.extend(command.name.map(|name| ("name".to_owned(), name.into())));
            change.extend(command.scopes.map(|scopes| ("scopes".to_owned(), scopes.into())));
            let expires_at = command
                .expires_at
                .map(|time| if time == "never" { Value::Null } else { time.into() });
            change.extend(expires_at.map(|time| ("expires_at".to_owned(), time)));
            let path = format!("{path}/{}", segment(&command.id));
            let key = client.call(Method::PUT, &path, Some(Value::Object(change).to_string())).await?;
            print_one(&key, command.json, COLUMNS)
        }
        KeysSubcommand::Delete(command) => {
            let (mut client, path) = keys_of(&command.server, &command.owner).await?;
            let path = format!("{path}/{}", segment(&command.id));
            let key = client.get(&path).await?;
            let (id, name) = (text(&key, "id")?, visible(text(&key, "name")?));
            let question = format!(
                "Delete key {name:?} ({id}) at {}? Whoever uses it is refused from then on.",
                client.server()
            );
            ask::whether(&question, command.yes)?;
            client.call(Method::DELETE, &path, None).await?;
            eprintln!("deleted:");
            print_one(&key, command.json, COLUMNS)
        }
    }
}

/// A client, and the path of an account's keys or of the operator's own.
async fn keys_of(flags: &ServerFlags, owner: &OwnerFlag) -> anyhow::Result<(Client, String)> {
    let (client, account) = as_operator(flags, owner.account.as_deref()).await?;
    let path = account.map_or_else(|| "/keys".to_owned(), |account| format!("/accounts/{}/keys", segment(&account)));
    Ok((client, path))
}

async fn create(command: KeysCreateCommand) -> anyhow::Result<()> {
    let is_over_api = command.server.server.is_some() || command.server.key.is_some();
    if command.operator && !is_over_api {
        return operator_key::create(command).await;
    }
    let store = &command.store;
    if store.store.is_some() || store.secret_key_file.is_some() || command.config.is_some() {
        return Err(WrongUsage("--store, --secret-key-file and --config are for --operator on the server's own store".to_owned()).into());
    }
    let names_account = command.owner.account.is_some()
        || environment()
            .iter()
            .any(|(name, text)| name == "POSTRIDER_ACCOUNT" && !text.is_empty());
    if !command.operator && !names_account {
        return Err(WrongUsage("whose key? Say --account ACCOUNT for a key of an account, or --operator".to_owned()).into());
    }
    let (mut client, mut account) = as_operator(&command.server, command.owner.account.as_deref()).await?;
    if command.operator {
        account = None;
    }
    let path = account
        .as_ref()
        .map_or_else(|| "/keys".to_owned(), |account| format!("/accounts/{}/keys", segment(account)));
    let name = command.name.or(account).unwrap_or_else(|| "operator".to_owned());
    let mut body = Map::new();
    body.insert("name".to_owned(), name.into());
    body.extend(command.scopes.map(|scopes| ("scopes".to_owned(), scopes.into())));
    body.extend(command.expires_at.map(|time| ("expires_at".to_owned(), time.into())));
    let key = client.post(&path, Value::Object(body).to_string()).await?;
    eprintln!("key {} made; its token is shown this once:", text(&key, "id")?);
    if command.json {
        output::json(&key)
    } else {
        output::line(text(&key, "token")?)
    }
}
