//! `postrider listen`: an account's events, forwarded to a local address as if they were delivered.

mod forward;
mod secret;
mod sse;
mod stream;

use std::sync::Arc;

use postrider_model::name::EventNamePattern;
use postrider_ports::Clock;
use postrider_ports::Random;
use serde_json::{Value, json};

use self::forward::{Forwarded, Forwarder};
use self::sse::Message;
use self::stream::{Stream, Turn};
use super::api::{block_on, for_account, segment};
use super::output::{self, cell};
use super::serve::{Stop, environment};
use crate::cli::{ListenCommand, WrongUsage};
use crate::client::Client;
use crate::clock::SystemClock;
use crate::random::OsRandom;

/// Forwards until it is told to end.
///
/// # Errors
/// Where the usage is wrong, the server cannot be reached at first, or refuses.
pub(crate) fn execute(command: &ListenCommand) -> anyhow::Result<()> {
    let target = forward::Url::parse(&command.forward_to).map_err(|problem| WrongUsage(format!("--forward-to: {problem}")))?;
    if let Some(name) = &command.name {
        EventNamePattern::parse(name).map_err(|error| WrongUsage(format!("--name: {error}")))?;
    }
    block_on(async {
        let mut stop = Stop::new(false)?;
        tokio::select! {
            ended = listen(command, target) => ended,
            () = stop.wished() => Ok(()),
        }
    })
}

async fn listen(command: &ListenCommand, url: forward::Url) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(OsRandom::new()?);
    let mut client = for_account(&command.server, command.account.as_deref()).await?;
    let me = client.get("/me").await?;
    let path = match &command.name {
        Some(name) => format!("/events?name={}", segment(name)),
        None => "/events".to_owned(),
    };
    let secret = secret::kept(&environment(), &*random)?;
    let ca_pem = client.ca_pem().map(<[u8]>::to_vec);
    let mut stream = Stream::open(client, path, Arc::clone(&clock)).await?;
    tell_start(command, &me, stream.client(), &secret.reveal())?;
    let forwarder = Forwarder {
        url,
        secret,
        ca_pem,
        clock,
        random,
    };
    loop {
        match stream.next().await? {
            Turn::Event(message) => {
                let forwarded = forwarder.forward(&message).await;
                tell(&message, &forwarded, command.json)?;
            }
            Turn::Broken(why) => eprintln!("{why}"),
        }
    }
}

fn tell_start(command: &ListenCommand, me: &Value, client: &Client, secret: &str) -> anyhow::Result<()> {
    let server = client.server().to_string();
    if command.json {
        return output::json_line(&json!({ "secret": secret, "server": server, "account": at(me, "/account/id") }));
    }
    eprintln!(
        "events of account {} ({}) at {server} go to {} (Ctrl-C ends)",
        cell(at(me, "/account/name")),
        cell(at(me, "/account/id")),
        command.forward_to
    );
    output::line(&format!("signed with {secret}"))
}

/// A part of an answer; null where it is missing.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn tell(message: &Message, forwarded: &Forwarded, as_json: bool) -> anyhow::Result<()> {
    let event: Value = serde_json::from_str(&message.data).unwrap_or_default();
    if as_json {
        return output::json_line(&json!({
            "time": forwarded.began_at,
            "event": at(&event, "/id"),
            "name": at(&event, "/name"),
            "delivery": forwarded.delivery,
            "status": forwarded.answer.as_ref().ok(),
            "error": forwarded.answer.as_ref().err(),
            "duration": forwarded.millis,
        }));
    }
    let answer = match &forwarded.answer {
        Ok(status) => status.to_string(),
        Err(why) => why.clone(),
    };
    let (name, id) = (cell(at(&event, "/name")), cell(at(&event, "/id")));
    output::line(&format!("{}  {name}  {id}  {answer}  {} ms", forwarded.began_at, forwarded.millis))
}
