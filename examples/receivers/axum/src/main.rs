//! Receives webhooks with axum: verifies, drops repeats, answers at once, works later.

mod seen;

use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::Deserialize;
use standardwebhooks::{HEADER_WEBHOOK_ID, Webhook, WebhookError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::seen::Seen;

/// Deliveries that may wait for the worker. More of them get a 503, and are sent again later.
const QUEUE_MAX: usize = 1_000;
/// Values of `Webhook-Id` to remember.
const SEEN_MAX: usize = 100_000;

#[derive(Deserialize)]
struct Event {
    id: String,
    name: String,
    resource: Resource,
    data: serde_json::Value,
}

#[derive(Deserialize)]
struct Resource {
    id: String,
    resource_type: String,
}

/// A delivery that was acknowledged.
struct Delivery {
    webhook_id: String,
    event: Event,
}

struct Receiver {
    /// One for each secret. While a secret is rotated there are two: the new one and the old one.
    secrets: Vec<Webhook>,
    seen: Mutex<Seen>,
    /// In memory, so a crash loses what was acknowledged and not yet worked. In earnest, store the
    /// delivery in a table whose key is `Webhook-Id`, and have the worker take it from there: one
    /// commit then makes it safe and drops repeats, for any number of processes.
    queue: mpsc::Sender<Delivery>,
}

/// What a refused sender is told; the platform shows it beside the failed attempt.
type Refusal = (StatusCode, String);

impl Receiver {
    /// Checks signature and age: the library refuses what is more than five minutes off.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), WebhookError> {
        let mut outcome = Err(WebhookError::InvalidSignature);
        for secret in &self.secrets {
            outcome = secret.verify(body, headers);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Puts it into the queue, unless it came before.
    fn accept(&self, delivery: Delivery) -> Result<(), Refusal> {
        // The lock is held over both steps, so that of two that come at once one is the repeat.
        let mut seen = self.seen.lock().expect("nothing panics under this lock");
        if seen.contains(&delivery.webhook_id) {
            return Ok(());
        }
        let webhook_id = delivery.webhook_id.clone();
        if self.queue.try_send(delivery).is_err() {
            let reason = "busy, send it again later".to_owned();
            return Err((StatusCode::SERVICE_UNAVAILABLE, reason));
        }
        seen.add(webhook_id);
        Ok(())
    }
}

/// `Bytes` is the body as it came: what is signed is these bytes, not the JSON in them.
async fn receive(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let refuse = |reason: String| (StatusCode::BAD_REQUEST, reason);
    receiver
        .verify(&headers, &body)
        .map_err(|error| refuse(error.to_string()))?;
    let event: Event = serde_json::from_slice(&body).map_err(|error| refuse(error.to_string()))?;
    // Verified, so it is there.
    let webhook_id = String::from_utf8_lossy(headers[HEADER_WEBHOOK_ID].as_bytes()).into_owned();
    if event.id.starts_with("evt_test_") {
        println!("test {webhook_id} {}: nothing has happened", event.name);
    } else {
        receiver.accept(Delivery { webhook_id, event })?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Works one delivery after the other, for as long as any can come.
async fn work(mut queue: mpsc::Receiver<Delivery>) {
    while let Some(Delivery { webhook_id, event }) = queue.recv().await {
        act(&event);
        println!("worked {webhook_id} {} {}", event.name, event.id);
    }
}

/// Your own code goes here.
fn act(event: &Event) {
    println!(
        "{} {}: {}",
        event.resource.resource_type, event.resource.id, event.data
    );
}

/// `WEBHOOK_SECRET`: the webhook's secret, or several parted by spaces while one is rotated.
fn secrets() -> Result<Vec<Webhook>, Box<dyn Error>> {
    let variable = env::var("WEBHOOK_SECRET").unwrap_or_default();
    let secrets: Option<Vec<Webhook>> = variable.split_whitespace().map(secret).collect();
    secrets
        .filter(|secrets| !secrets.is_empty())
        .ok_or_else(|| {
            "WEBHOOK_SECRET: put the webhook's secret, whsec_ and base64, into it".into()
        })
}

fn secret(text: &str) -> Option<Webhook> {
    // The library would take an empty key, which anybody can sign with.
    let has_key = text.len() > "whsec_".len() && text.starts_with("whsec_");
    has_key.then(|| Webhook::new(text).ok()).flatten()
}

/// Ends when the process is asked to end.
async fn stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened to");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let receiver = Receiver {
        secrets: secrets()?,
        seen: Mutex::new(Seen::new(SEEN_MAX)),
        queue: sender,
    };
    let worker = tokio::spawn(work(queue));
    let app = Router::new()
        .route("/webhooks", post(receive))
        .with_state(Arc::new(receiver));

    let port: u16 = env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}/webhooks", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(stop())
        .await?;
    // The queue has no sender any more: what was acknowledged is worked before the process ends.
    worker.await?;
    Ok(())
}
