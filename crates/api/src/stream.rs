//! Events as they happen: Server-Sent Events (WHATWG HTML §9.2). One task for each stream reads the store and hands on what is new; the
//! body of the answer takes it from there.

mod accept;
mod feed;
mod line;
mod places;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use http_body::Frame;
use parking_lot::Mutex;
use postrider_model::id::EventId;
use postrider_model::limits::EVENT_STREAMS_PER_ACCOUNT_MAX;
use postrider_model::queue::Position;
use postrider_ports::store::EventFilter;
use tokio::sync::mpsc;

use crate::answer::{Answer, Body, Response};
use crate::call::Call;
use crate::connection::Hold;
use crate::error::ApiError;
use crate::fault::{Bad, Faults};

pub(crate) use self::accept::is_wanted;
pub(crate) use self::places::Streams;

/// The last event that a client has seen: it goes on behind that.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells proxies (nginx) not to hold back what is streamed.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Pieces that wait for the connection.
const WAITING_PIECES: usize = 1;

/// Opens a stream of the account's events that the filter wants: from now on, or behind `Last-Event-ID`.
pub(crate) async fn open(call: Call, filter: EventFilter, mut faults: Faults) -> Answer {
    let last = last_event(&call, &mut faults);
    faults.settle(Some(()))?;
    let account = call.account_id()?;
    let place = Streams::enter(&call.shared.streams, account).map_err(|full| match full {
        places::Full::OfAccount => ApiError::too_many_streams(EVENT_STREAMS_PER_ACCOUNT_MAX, places::RETRY_AFTER),
        places::Full::OfAll => ApiError::overloaded(places::RETRY_AFTER),
    })?;
    // From here on nothing is missed: what is stored later lies behind the place that is read now.
    let news = call.engine().new_events(account);
    let after = begin_at(&call, last).await?;
    let link = Arc::new(Mutex::new(Link::default()));
    let (pieces, taken) = mpsc::channel(WAITING_PIECES);
    let feed = feed::Feed {
        account,
        filter,
        after,
        behind: None,
        news,
        pieces,
        place,
        call,
    };
    tokio::spawn(feed.run(Arc::clone(&link)));
    Ok(answer(Streaming { pieces: taken, link }))
}

fn answer(streaming: Streaming) -> Response {
    let mut response = http::Response::new(Body::Stream(streaming));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

/// What `Last-Event-ID` says; an empty one says nothing.
fn last_event(call: &Call, faults: &mut Faults) -> Option<EventId> {
    let value = call.headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty())?;
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    if id.is_none() {
        faults.add(&"header.last-event-id", unknown());
    }
    id
}

fn unknown() -> Bad {
    Bad::new("unknown_event", "is not the id of an event of this account")
}

async fn begin_at(call: &Call, last: Option<EventId>) -> Result<Position, ApiError> {
    let store = call.engine().store();
    let Some(id) = last else {
        return Ok(store.last_position().await?);
    };
    if let Some(position) = store.event_position(call.account_id()?, id.clone()).await? {
        return Ok(position);
    }
    let oldest = call.now() - call.engine().settings().retention;
    match id {
        EventId::Made(made) if made.made_at() <= oldest => Err(ApiError::event_expired()),
        EventId::Made(_) | EventId::Own(_) | EventId::Test(_) => {
            let mut faults = Faults::default();
            faults.add(&"header.last-event-id", unknown());
            faults.settle(None)
        }
    }
}

/// What ties a stream to its connection. The connection puts its hold in; the stream lets go of it when it ends.
#[derive(Default)]
enum Link {
    /// Nobody serves it yet.
    #[default]
    Loose,
    Held(Hold),
    /// The stream has ended.
    Ended,
}

/// The body of a stream.
pub struct Streaming {
    /// At most [`WAITING_PIECES`].
    pieces: mpsc::Receiver<Bytes>,
    link: Arc<Mutex<Link>>,
}

impl Streaming {
    /// Keeps its connection busy until the stream ends.
    pub(crate) fn hold(&self, hold: Hold) {
        let mut link = self.link.lock();
        if matches!(*link, Link::Loose) {
            *link = Link::Held(hold);
        }
    }

    pub(crate) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        Pin::new(&mut self.pieces).poll_recv(context).map(|piece| piece.map(Frame::data))
    }
}
