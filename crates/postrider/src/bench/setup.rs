//! What stands in the server before the run: accounts, webhooks, and deliveries that wait.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use postrider_model::limits::BATCH_EVENTS_MAX;
use serde_json::json;
use tokio::task::JoinSet;

use super::payload::{DATA_BYTES_MIN, Kind, Stamp, event_json};
use crate::client::{Client, text};

/// Connections that set up at once: as many requests share a commit.
const CONNECTIONS: usize = 64;
/// Webhooks of each account that stands beside the load. A platform has many accounts of few webhooks.
const WEBHOOKS_PER_ACCOUNT: usize = 100;
/// Bytes of one request, with room below the 16 MiB that a batch may have.
const BATCH_BYTES: usize = 12 * 1024 * 1024;
/// About what an event has around its data.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// A server to be set up, and the operator's key to it.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Where it listens.
    pub(crate) server: SocketAddr,
    /// The operator's key.
    pub(crate) operator_key: String,
}

impl Setup {
    /// Makes an account; a token of its own key.
    pub(crate) async fn account(&self, name: &str) -> anyhow::Result<String> {
        let mut client = Client::connect(self.server, &self.operator_key).await?;
        let account = client.post("/accounts", json!({ "name": name }).to_string()).await?;
        let path = format!("/accounts/{}/keys", text(&account, "id")?);
        let key = client.post(&path, json!({ "name": "bench" }).to_string()).await?;
        Ok(text(&key, "token")?.to_owned())
    }

    /// Registers webhooks of one account: one for each url.
    pub(crate) async fn webhooks(&self, token: &str, kind: Kind, urls: &[String]) -> anyhow::Result<()> {
        let mut client = Client::connect(self.server, token).await?;
        for url in urls {
            let body = json!({ "url": url, "event_names": [kind.event_name()] });
            client.post("/webhooks", body.to_string()).await?;
        }
        Ok(())
    }

    /// Registers many webhooks over as many accounts as they need; the accounts' tokens.
    pub(crate) async fn many_webhooks(&self, kind: Kind, urls: &[String]) -> anyhow::Result<Vec<String>> {
        let accounts = urls.chunks(WEBHOOKS_PER_ACCOUNT).map(<[String]>::to_vec).collect::<Vec<_>>();
        let mut tasks = JoinSet::new();
        for accounts in accounts.chunks(accounts.len().div_ceil(CONNECTIONS).max(1)) {
            let (setup, accounts) = (self.clone(), accounts.to_vec());
            tasks.spawn(async move { setup.accounts_of_webhooks(kind, &accounts).await });
        }
        let mut tokens = Vec::new();
        while let Some(made) = tasks.join_next().await {
            tokens.extend(made??);
        }
        Ok(tokens)
    }

    async fn accounts_of_webhooks(&self, kind: Kind, accounts: &[Vec<String>]) -> anyhow::Result<Vec<String>> {
        let mut tokens = Vec::with_capacity(accounts.len());
        for urls in accounts {
            let token = self.account("bench").await?;
            self.webhooks(&token, kind, urls).await?;
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// Posts events with these numbers, in batches.
    pub(crate) async fn events(&self, token: &str, kind: Kind, numbers: Range<u64>, data_bytes: usize) -> anyhow::Result<()> {
        let batch_max = (BATCH_BYTES / (data_bytes + EVENT_OVERHEAD_BYTES)).clamp(1, BATCH_EVENTS_MAX);
        let mut tasks = JoinSet::new();
        for share in parts(numbers.clone(), (numbers.end - numbers.start).div_ceil(8)) {
            let (server, token) = (self.server, token.to_owned());
            tasks.spawn(async move {
                let mut client = Client::connect(server, &token).await?;
                for batch in parts(share, batch_max as u64) {
                    let events = batch.map(|number| event_json(kind, data_bytes, Stamp::of_number(number)));
                    let body = format!(r#"{{"events":[{}]}}"#, events.collect::<Vec<_>>().join(","));
                    client.post("/events/batch", body).await?;
                }
                Ok(())
            });
        }
        join(tasks).await
    }

    /// Lets so many deliveries wait for a receiver that refuses connections. The socket that is returned keeps its port from others.
    pub(crate) async fn waiting(&self, count: usize, data_bytes: usize) -> anyhow::Result<tokio::net::TcpSocket> {
        let dead = tokio::net::TcpSocket::new_v4()?;
        dead.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let url = format!("http://{}/dead", dead.local_addr()?);
        let token = self.account("dead").await?;
        self.webhooks(&token, Kind::Healthy, &[url]).await?;
        self.events(&token, Kind::Healthy, 0..count as u64, data_bytes).await?;
        Ok(dead)
    }

    /// Registers webhooks that hang, spread over these addresses, and lets deliveries wait for each.
    pub(crate) async fn hanging(&self, count: usize, addresses: &[SocketAddr], events: usize) -> anyhow::Result<()> {
        let urls = addresses.iter().cycle().take(count);
        let urls = urls.enumerate().map(|(index, address)| format!("http://{address}/hanging/{index}"));
        let urls: Vec<String> = urls.collect();
        for token in self.many_webhooks(Kind::Hanging, &urls).await? {
            let mut client = Client::connect(self.server, &token).await?;
            for _ in 0..events {
                client
                    .post("/events", event_json(Kind::Hanging, DATA_BYTES_MIN, Stamp::of_number(0)))
                    .await?;
            }
        }
        Ok(())
    }
}

/// Parts of at most so many.
fn parts(all: Range<u64>, size: u64) -> impl Iterator<Item = Range<u64>> {
    let size = size.max(1);
    let starts = all.clone().step_by(usize::try_from(size).unwrap_or(usize::MAX));
    starts.map(move |start| start..all.end.min(start + size))
}

async fn join(mut tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
