//! `postrider accounts`.

use http::Method;
use serde_json::{Map, Value, json};

use super::api::{as_operator, block_on, print_list, print_one, segment};
use super::ask;
use super::output::{Columns, visible};
use crate::cli::{AccountsCommand, AccountsSubcommand};
use crate::client::text;

const COLUMNS: &Columns<'_> = &[
    ("id", "id"),
    ("name", "name"),
    ("external id", "external_id"),
    ("active", "is_active"),
    ("created at", "created_at"),
];

/// Does what was asked for.
///
/// # Errors
/// Where the usage is wrong, or the server refuses.
pub(crate) fn execute(command: AccountsCommand) -> anyhow::Result<()> {
    block_on(run(command.command))
}

async fn run(command: AccountsSubcommand) -> anyhow::Result<()> {
    match command {
        AccountsSubcommand::Create(command) => {
            let (mut client, _) = as_operator(&command.server, None).await?;
            let body = json!({ "name": command.name, "external_id": command.external_id });
            let account = client.post("/accounts", body.to_string()).await?;
            print_one(&account, command.json, COLUMNS)
        }
        AccountsSubcommand::List(list) => {
            let (mut client, _) = as_operator(&list.server, None).await?;
            print_list(&mut client, "/accounts", &list, COLUMNS).await
        }
        AccountsSubcommand::Show(command) => {
            let (mut client, _) = as_operator(&command.server, None).await?;
            let account = client.get(&path(&command.id)).await?;
            print_one(&account, command.json, COLUMNS)
        }
        AccountsSubcommand::Update(command) => {
            let (mut client, _) = as_operator(&command.server, None).await?;
            let mut change = Map::new();
            change.extend(command.name.map(|name| ("name".to_owned(), name.into())));
            let external_id = command.external_id.map(|id| if id.is_empty() { Value::Null } else { id.into() });
            change.extend(external_id.map(|id| ("external_id".to_owned(), id)));
            change.extend(command.active.map(|is_active| ("is_active".to_owned(), is_active.into())));
            let body = Value::Object(change).to_string();
            let account = client.call(Method::PUT, &path(&command.id), Some(body)).await?;
            print_one(&account, command.json, COLUMNS)
        }
        AccountsSubcommand::Delete(command) => {
            let (mut client, _) = as_operator(&command.server, None).await?;
            let account = client.get(&path(&command.id)).await?;
            let (id, name) = (text(&account, "id")?, visible(text(&account, "name")?));
            let question = format!(
                "Delete account {name:?} ({id}) at {}, with its webhooks, events and deliveries?",
                client.server()
            );
            ask::whether(&question, command.yes)?;
            client.call(Method::DELETE, &path(id), None).await?;
            eprintln!("deleted:");
            print_one(&account, command.json, COLUMNS)
        }
    }
}

fn path(id: &str) -> String {
    format!("/accounts/{}", segment(id))
}
