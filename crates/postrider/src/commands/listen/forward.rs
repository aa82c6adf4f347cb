//! Sends an event to a local address as a delivery would come.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use postrider_model::id::DeliveryId;
use postrider_model::limits::ATTEMPT_TIME_MAX;
use postrider_model::secret::SigningSecret;
use postrider_model::signature::sign;
use postrider_model::time::Timestamp;
use postrider_ports::{Clock, Random};
use serde_json::Value;

use super::sse::Message;
use crate::client::ServerUrl;

/// Where events are sent to.
pub(super) struct Url {
    server: ServerUrl,
    target: String,
}

impl Url {
    /// Reads it.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let refused = || "must be a url such as http://localhost:3000/hooks".to_owned();
        let url: Uri = text.parse().map_err(|_| refused())?;
        let (scheme, authority) = (url.scheme_str().ok_or_else(refused)?, url.authority().ok_or_else(refused)?);
        let server = format!("{scheme}://{authority}").parse().map_err(|_| refused())?;
        let target = url.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Ok(Self { server, target })
    }
}

/// What came of one.
pub(super) struct Forwarded {
    /// `Webhook-Id`.
    pub(super) delivery: DeliveryId,
    /// When it was sent.
    pub(super) began_at: Timestamp,
    /// The status, or why there is none.
    pub(super) answer: Result<u16, String>,
    /// How long it took.
    pub(super) millis: u64,
}

/// Sends, one at a time.
pub(super) struct Forwarder {
    pub(super) url: Url,
    pub(super) secret: SigningSecret,
    pub(super) ca_pem: Option<Vec<u8>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
}

impl Forwarder {
    /// Sends it once.
    pub(super) async fn forward(&self, message: &Message) -> Forwarded {
        let (began_at, began) = (self.clock.wall(), self.clock.mono());
        let delivery = DeliveryId::new(began_at, self.random.bits());
        let deadline = self.clock.sleep_until(began + ATTEMPT_TIME_MAX);
        let answer = tokio::select! {
            answer = self.send(message, delivery, began_at) => answer.map_err(|error| format!("{error:#}")),
            () = deadline => Err(format!("no answer within {} s", ATTEMPT_TIME_MAX.as_secs())),
        };
        let took: Duration = self.clock.mono().since(began);
        Forwarded {
            delivery,
            began_at,
            answer,
            millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    async fn send(&self, message: &Message, delivery: DeliveryId, now: Timestamp) -> anyhow::Result<u16> {
        let body = Bytes::from(message.data.clone());
        let event: Value = serde_json::from_slice(&body)?;
        let signature = sign(std::iter::once(&self.secret), delivery, now, &body);
        let mut request = Request::post(&self.url.target)
            .header(header::HOST, self.url.server.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("Postrider/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", delivery.to_string())
            .header("webhook-timestamp", now.as_seconds())
            .header("webhook-signature", signature)
            .header("webhook-attempt", 1);
        if let Some(id) = event.get("id").and_then(Value::as_str) {
            request = request.header("event-id", id);
        }
        let stream = self.url.server.connect(self.ca_pem.as_deref()).await?;
        let (mut requests, connection) = handshake(TokioIo::new(stream)).await?;
        // An end of the connection shows as an error of the request.
        tokio::spawn(async move { drop(connection.await) });
        let response = requests.send_request(request.body(Full::new(body))?).await?;
        Ok(response.status().as_u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_may_have_path_and_query() {
        let url = Url::parse("http://localhost:3000/hooks?a=1").unwrap();
        assert_eq!((url.server.authority(), url.target.as_str()), ("localhost:3000", "/hooks?a=1"));
        assert_eq!(Url::parse("http://localhost:3000").unwrap().target, "/");
        for wrong in ["", "3000", "localhost:3000", "/hooks", "ftp://x/"] {
            assert!(Url::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
