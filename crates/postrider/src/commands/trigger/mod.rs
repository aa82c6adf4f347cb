//! `postrider trigger`: posts an event, or sends one webhook a test.

mod outcome;
mod reach;

use postrider_model::name::EventName;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use self::outcome::Watch;
use super::api::{block_on, for_account, print_one, segment};
use super::ask;
use super::input::{self, Source};
use super::output::{self, Columns, visible};
use crate::Told;
use crate::cli::{TriggerCommand, WrongUsage};
use crate::client::{Client, text};
use crate::config;

const COLUMNS: &Columns<'_> = &[("event", "id"), ("name", "name"), ("created at", "created_at")];

/// Does it, after having asked.
///
/// # Errors
/// Where the usage is wrong, nobody can be asked or says no, or the server refuses; with `--wait`, where a delivery has not succeeded.
pub(crate) fn execute(command: &TriggerCommand) -> anyhow::Result<()> {
    let name = EventName::parse(&command.name).map_err(|error| WrongUsage(format!("the event's name {error}")))?;
    let data = input::text(&Source::of(&command.data), "--data")?;
    check_object(&data)?;
    let patience = command.wait.as_deref().map(config::duration).transpose();
    let patience = patience.map_err(|problem| WrongUsage(format!("--wait: {problem}")))?;
    block_on(async {
        let mut client = for_account(&command.server, command.account.as_deref()).await?;
        let account = account(&mut client).await?;
        let watch = match &command.webhook {
            Some(webhook) => send_test(&mut client, command, webhook, &data).await?,
            None => post_event(&mut client, command, &name, (&account, &data)).await?,
        };
        match patience {
            Some(patience) => watch.wait(&mut client, patience, command.json).await,
            None => watch.tell(command.json),
        }
    })
}

/// The account that all of this is about, in words.
async fn account(client: &mut Client) -> anyhow::Result<String> {
    let me = client.get("/me").await?;
    let account = me
        .get("account")
        .filter(|account| account.is_object())
        .ok_or_else(|| WrongUsage("the key is the operator's: say for which --account, or set POSTRIDER_ACCOUNT".to_owned()))?;
    Ok(format!("{:?} ({})", visible(text(account, "name")?), text(account, "id")?))
}

/// Only looked at here: it goes on as it was written.
fn check_object(data: &str) -> anyhow::Result<()> {
    match serde_json::from_str::<Map<String, Value>>(data) {
        Ok(_) => Ok(()),
        Err(error) => Err(WrongUsage(format!("--data: must be a JSON object: {error}")).into()),
    }
}

async fn post_event(
    client: &mut Client,
    command: &TriggerCommand,
    name: &EventName,
    (account, data): (&str, &str),
) -> anyhow::Result<Watch> {
    let reach = reach::of(client, name).await?;
    let question = format!(
        "Post {} to account {account} at {}? It goes to {reach}.",
        command.name,
        client.server()
    );
    ask::whether(&question, command.yes)?;
    if command.yes {
        eprintln!(
            "posting {} to account {account} at {}: it goes to {reach}",
            command.name,
            client.server()
        );
    }
    let kind = command
        .resource_type
        .as_deref()
        .unwrap_or_else(|| command.name.split('.').next().unwrap_or_default());
    let resource = json!({ "id": command.resource_id, "resource_type": kind });
    let body = format!(
        "{{\"name\":{},\"resource\":{resource},\"data\":{data}}}",
        Value::from(command.name.as_str())
    );
    let event = client.post("/events", body).await?;
    Ok(Watch::event(event, reach.count()))
}

async fn send_test(client: &mut Client, command: &TriggerCommand, webhook: &str, data: &str) -> anyhow::Result<Watch> {
    let path = format!("/webhooks/{}", segment(webhook));
    let url = client.get(&path).await?;
    eprintln!("sending a test to {}", visible(text(&url, "url")?));
    let data: &RawValue = serde_json::from_str(data)?;
    let body = format!("{{\"event\":{{\"name\":{},\"data\":{data}}}}}", Value::from(command.name.as_str()));
    let delivery = client.post(&format!("{path}/test"), body).await?;
    Ok(Watch::test(delivery))
}

impl Watch {
    /// What was posted.
    fn tell(&self, as_json: bool) -> anyhow::Result<()> {
        match &self.event {
            Some(event) => print_one(event, as_json, COLUMNS),
            None if as_json => output::json(&self.deliveries.first()),
            None => self.tell_deliveries(),
        }
    }

    async fn wait(mut self, client: &mut Client, patience: std::time::Duration, as_json: bool) -> anyhow::Result<()> {
        if !as_json {
            self.tell(false)?;
        }
        self.follow(client, patience).await?;
        if as_json {
            output::json(&json!({ "event": self.event, "deliveries": self.deliveries }))?;
        } else {
            self.tell_deliveries()?;
        }
        if self.has_succeeded() { Ok(()) } else { Err(Told.into()) }
    }
}
