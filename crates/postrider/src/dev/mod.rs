//! `postrider dev`: everything for a first try, in one terminal.

mod receiver;
mod tell;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use postrider_ports::Clock;
use serde_json::{Value, json};

use self::receiver::{Arrival, Place, Receiver};
use crate::client::{Client, text};
use crate::serve::Server;

/// What the webhooks of `dev` are known by.
const DESCRIPTION: &str = "postrider dev";
/// How long all of it may take.
const STORY_TIME_MAX: Duration = Duration::from_secs(30);
/// Retries in seconds, so that one can be watched.
pub(crate) const RETRY_SCHEDULE: &str = "1s,2s,5s,30s,2m,10m";

/// What stands when the story has been told, for whoever goes on by hand.
struct Cast {
    token: String,
    webhook: String,
    event: String,
}

/// Shows everything work.
///
/// # Errors
/// The first thing that did not work, in words.
pub(crate) async fn show(server: &Server, operator_key: &str, store: &str, clock: &Arc<dyn Clock>) -> anyhow::Result<Show> {
    tell::title(format_args!(
        "Postrider {}: a server, a receiver, one event, one retry",
        env!("CARGO_PKG_VERSION")
    ));
    tell::good("server", format_args!("{}, store {store}", server.url()));
    let mut receiver = Receiver::start().await?;
    let deadline = clock.sleep_until(clock.mono() + STORY_TIME_MAX);
    let cast = tokio::select! {
        cast = story(server, operator_key, &mut receiver, clock) => cast?,
        () = deadline => anyhow::bail!("not all of it was seen to work within {} s", STORY_TIME_MAX.as_secs()),
    };
    Ok(Show { receiver, cast })
}

async fn story(server: &Server, operator_key: &str, receiver: &mut Receiver, clock: &Arc<dyn Clock>) -> anyhow::Result<Cast> {
    let token = make_account(server, operator_key).await?;
    let mut client = Client::connect(server.address, &token).await?;
    forget_earlier(&mut client).await?;
    let webhook = register(&mut client, receiver, Place::Steady).await?;
    register(&mut client, receiver, Place::Flaky).await?;
    let posted = clock.mono();
    let event = client.post("/events", first_event().to_string()).await?;
    let event = text(&event, "id")?.to_owned();
    tell::good("event", format_args!("order.filled stored as {event}"));
    let mut left = vec![Place::Steady, Place::Flaky];
    while !left.is_empty() {
        let arrival = receiver.arrivals.recv().await.context("the receiver ended")?;
        if arrival.event != event {
            continue;
        }
        let millis = clock.mono().since(posted).as_millis();
        tell_arrival(&arrival, Some(millis));
        if let Some(why) = &arrival.forged {
            anyhow::bail!("the public library did not take the signature of {}: {why}", arrival.delivery);
        }
        if arrival.status.is_success() {
            left.retain(|place| *place != arrival.place);
        }
    }
    Ok(Cast { token, webhook, event })
}

fn first_event() -> Value {
    json!({
        "name": "order.filled",
        "resource": { "id": "ord_1", "resource_type": "order" },
        "data": { "symbol": "ACME", "quantity": 10, "price": 12.50 },
    })
}

async fn make_account(server: &Server, operator_key: &str) -> anyhow::Result<String> {
    let mut operator = Client::connect(server.address, operator_key).await?;
    let account = operator
        .post("/accounts", json!({ "name": "dev", "external_id": "dev" }).to_string())
        .await?;
    let account = text(&account, "id")?;
    let key = operator
        .post(&format!("/accounts/{account}/keys"), json!({ "name": "dev" }).to_string())
        .await?;
    let token = text(&key, "token")?.to_owned();
    tell::good("account", format_args!("{account}, with the key {token}"));
    Ok(token)
}

/// On a store that stays, the webhooks of an earlier `dev` point to a receiver that is gone.
async fn forget_earlier(client: &mut Client) -> anyhow::Result<()> {
    let webhooks = client.ask(Method::GET, "/webhooks?limit=200", None).await?;
    let ours = webhooks
        .body
        .as_array()
        .into_iter()
        .flatten()
        .filter(|webhook| webhook["description"] == DESCRIPTION);
    for webhook in ours {
        client
            .ask(Method::DELETE, &format!("/webhooks/{}", text(webhook, "id")?), None)
            .await?;
    }
    Ok(())
}

/// Registers a place; the id of its webhook.
async fn register(client: &mut Client, receiver: &Receiver, place: Place) -> anyhow::Result<String> {
    let url = receiver.url(place);
    let webhook = client
        .post("/webhooks", json!({ "url": url, "description": DESCRIPTION }).to_string())
        .await?;
    receiver.judges.set(place, text(&webhook, "secret")?)?;
    let id = text(&webhook, "id")?.to_owned();
    let manner = match place {
        Place::Steady => "verifies and acknowledges",
        Place::Flaky => "verifies, and fails each first attempt",
    };
    tell::good("webhook", format_args!("{id} to {url}, which {manner}"));
    Ok(id)
}

fn tell_arrival(arrival: &Arrival, millis: Option<u128>) {
    let when = millis.map(|millis| format!(", {millis} ms after the POST")).unwrap_or_default();
    let what = arrival.place.path().trim_start_matches('/');
    let judged = match &arrival.forged {
        None => "signature verified by the standardwebhooks library".to_owned(),
        Some(why) => format!("signature NOT verified ({why})"),
    };
    let words = format!(
        "{} attempt {}: {judged}, answered {}{when}",
        arrival.delivery,
        arrival.attempt,
        arrival.status.as_u16()
    );
    if arrival.status.is_success() {
        tell::good(what, words);
    } else {
        tell::bad(what, words);
    }
}

/// Says that all was seen, and that this was all.
pub(crate) fn tell_end() {
    tell::title("\nAll of it works. Ending, as --once says; without it the server stays up, and says how to go on by hand.");
}

/// What was shown, and stays up.
pub(crate) struct Show {
    receiver: Receiver,
    cast: Cast,
}

impl Show {
    /// Says how to go on by hand.
    pub(crate) fn tell_how_to_go_on(&self, server: &Server) {
        let url = server.url();
        let Cast { token, webhook, event } = &self.cast;
        tell::title("\nGo on by hand:");
        tell::quiet("  post an event");
        tell::plain(format_args!(
            "  curl {url}/events -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\"
        ));
        tell::plain(
            "    -d '{\"name\":\"order.filled\",\"resource\":{\"id\":\"ord_2\",\"resource_type\":\"order\"},\"data\":{\"quantity\":5}}'",
        );
        tell::quiet("  see what became of the first one");
        tell::plain(format_args!("  curl {url}/events/{event} -H 'Authorization: Bearer {token}'"));
        tell::plain(format_args!(
            "  curl {url}/webhooks/{webhook}/deliveries -H 'Authorization: Bearer {token}'"
        ));
        tell::quiet("  send a test delivery");
        tell::plain(format_args!(
            "  curl {url}/webhooks/{webhook}/test -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\"
        ));
        tell::plain("    -d '{\"event\":{\"name\":\"order.filled\",\"data\":{}}}'");
        tell::title("\nWhat arrives from now on (Ctrl-C ends):");
    }

    /// Tells what arrives, for ever.
    pub(crate) async fn watch(&mut self) {
        while let Some(arrival) = self.receiver.arrivals.recv().await {
            tell_arrival(&arrival, None);
        }
    }
}
