//! The receiver of `postrider dev`: takes deliveries on two paths, and lets the public `standardwebhooks` library judge them.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use standardwebhooks::Webhook;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Arrivals that wait to be shown.
const ARRIVALS_MAX: usize = 256;
/// Longest delivery that is taken: `data` of at most 256 KiB, and what is around it.
const BODY_BYTES_MAX: usize = 512 * 1024;

/// Which of the two receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It acknowledges.
    Steady,
    /// It fails on each first attempt.
    Flaky,
}

impl Place {
    /// The path of its url.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Steady => "/steady",
            Self::Flaky => "/flaky",
        }
    }
}

/// A delivery that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Where.
    pub(crate) place: Place,
    /// `Webhook-Id`.
    pub(crate) delivery: String,
    /// `Webhook-Attempt`.
    pub(crate) attempt: u32,
    /// `Event-Id`, or what stands in its place for a test.
    pub(crate) event: String,
    /// What the public library says; `None` where it is genuine.
    pub(crate) forged: Option<String>,
    /// What was answered.
    pub(crate) status: StatusCode,
}

/// The judges of both places, known once their webhooks are registered.
#[derive(Default)]
pub(crate) struct Judges {
    steady: OnceLock<Webhook>,
    flaky: OnceLock<Webhook>,
}

impl Judges {
    fn of(&self, place: Place) -> &OnceLock<Webhook> {
        match place {
            Place::Steady => &self.steady,
            Place::Flaky => &self.flaky,
        }
    }

    /// Verifies with this secret from now on.
    ///
    /// # Errors
    /// Where the library does not take the secret.
    pub(crate) fn set(&self, place: Place, secret: &str) -> anyhow::Result<()> {
        let judge = Webhook::new(secret)?;
        // Set once: each place is registered once.
        let _ = self.of(place).set(judge);
        Ok(())
    }

    fn judge(&self, place: Place, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let Some(judge) = self.of(place).get() else {
            return Some("it came before its webhook was registered".to_owned());
        };
        judge.verify(body, headers).err().map(|error| error.to_string())
    }
}

/// The receiver at work.
pub(crate) struct Receiver {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What arrives.
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    /// To be told the secrets.
    pub(crate) judges: Arc<Judges>,
}

impl Receiver {
    /// Starts it on a free port of 127.0.0.1. It ends with the runtime.
    ///
    /// # Errors
    /// Where there is no port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (tell, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let judges = Arc::new(Judges::default());
        let taker = Taker {
            judges: Arc::clone(&judges),
            tell,
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, taker.clone()));
            }
        });
        Ok(Self { address, arrivals, judges })
    }

    /// The url of a place.
    pub(crate) fn url(&self, place: Place) -> String {
        format!("http://{}{}", self.address, place.path())
    }
}

async fn serve(stream: TcpStream, taker: Taker) {
    let service = service_fn(|request| {
        let taker = taker.clone();
        async move { taker.take(request).await }
    });
    // A connection that breaks is the sender's to notice.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Takes deliveries.
#[derive(Clone)]
struct Taker {
    judges: Arc<Judges>,
    tell: mpsc::Sender<Arrival>,
}

impl Taker {
    async fn take(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let place = [Place::Steady, Place::Flaky]
            .into_iter()
            .find(|place| place.path() == head.uri.path());
        let status = match (place, Limited::new(body, BODY_BYTES_MAX).collect().await) {
            (Some(place), Ok(body)) => self.answer(place, &head.headers, &body.to_bytes()).await,
            (None, _) => StatusCode::NOT_FOUND,
            (_, Err(_)) => StatusCode::PAYLOAD_TOO_LARGE,
        };
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        Ok(response)
    }

    async fn answer(&self, place: Place, headers: &HeaderMap, body: &[u8]) -> StatusCode {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let attempt = header("webhook-attempt").parse().unwrap_or(0);
        let forged = self.judges.judge(place, headers, body);
        let status = match (&forged, place) {
            (Some(_), _) => StatusCode::UNAUTHORIZED,
            (None, Place::Flaky) if attempt <= 1 => StatusCode::INTERNAL_SERVER_ERROR,
            (None, _) => StatusCode::OK,
        };
        let arrival = Arrival {
            place,
            delivery: header("webhook-id"),
            attempt,
            event: header("event-id"),
            forged,
            status,
        };
        // Nobody listens only when the command ends.
        let _ = self.tell.send(arrival).await;
        status
    }
}

#[cfg(test)]
mod tests {
    use postrider_ports::Clock as _;

    use super::*;
    use crate::clock::SystemClock;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example of the Standard Webhooks libraries, signed now by the same library.
    fn signed(body: &[u8]) -> HeaderMap {
        let seconds = SystemClock::new().wall().as_seconds();
        let signature = Webhook::new(SECRET).unwrap().sign("whd_1", seconds, body).unwrap();
        let pairs = [
            ("webhook-id", "whd_1".to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn what_was_changed_or_signed_with_another_secret_is_forged() {
        let judges = Judges::default();
        let headers = signed(b"{}");
        assert!(judges.judge(Place::Steady, &headers, b"{}").is_some(), "no secret is known yet");
        judges.set(Place::Steady, SECRET).unwrap();
        judges.set(Place::Flaky, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(judges.judge(Place::Steady, &headers, b"{}"), None);
        assert!(judges.judge(Place::Steady, &headers, b"{ }").is_some(), "the body was changed");
        assert!(judges.judge(Place::Flaky, &headers, b"{}").is_some(), "another webhook's secret");
        assert!(judges.judge(Place::Steady, &HeaderMap::new(), b"{}").is_some(), "nothing is signed");
    }

    #[tokio::test]
    async fn the_flaky_place_fails_first_attempts_alone() {
        let (tell, mut arrivals) = mpsc::channel(ARRIVALS_MAX);
        let taker = Taker {
            judges: Arc::default(),
            tell,
        };
        taker.judges.set(Place::Flaky, SECRET).unwrap();
        taker.judges.set(Place::Steady, SECRET).unwrap();
        let mut headers = signed(b"{}");
        headers.insert("webhook-attempt", 1.into());
        assert_eq!(taker.answer(Place::Flaky, &headers, b"{}").await, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(taker.answer(Place::Steady, &headers, b"{}").await, StatusCode::OK);
        headers.insert("webhook-attempt", 2.into());
        assert_eq!(taker.answer(Place::Flaky, &headers, b"{}").await, StatusCode::OK);
        assert_eq!(taker.answer(Place::Flaky, &headers, b"[]").await, StatusCode::UNAUTHORIZED);
        assert_eq!(arrivals.recv().await.unwrap().attempt, 1);
    }
}
