//! The task of one stream: reads what is new, hands it on, and ends when its token does, when the client has gone or does not read, and
//! when the server stops.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use parking_lot::Mutex;
use postrider_engine::NewEvents;
use postrider_model::event::Event;
use postrider_model::id::{AccountId, EventId};
use postrider_model::queue::Position;
use postrider_model::time::Monotonic;
use postrider_ports::StoreError;
use postrider_ports::clock::Sleep;
use postrider_ports::store::EventFilter;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;

use super::places::Place;
use super::{Link, line};
use crate::call::Call;

/// How often a comment shows that the stream lives.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// How often the token is judged, and the store is looked at though nobody told of news.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A client that reads nothing for so long is given up.
const STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a page is held for a client; the rest of it is read again when the client has caught up.
const PAGE_TIME_MAX: Duration = Duration::from_secs(1);
/// Events of one page.
const PAGE_ROWS: usize = 32;
/// A piece takes events until it is that large.
const PIECE_BYTES: usize = 32 * 1024;
/// The shortest time between two reads for each stream there is: all of them together read 5,000 times a second at most.
const PAUSE_PER_STREAM: Duration = Duration::from_micros(200);

/// One stream.
pub(super) struct Feed {
    pub(super) account: AccountId,
    pub(super) filter: EventFilter,
    /// All up to here was handed on.
    pub(super) after: Position,
    /// The last event that was handed on, where that is not `after`.
    pub(super) behind: Option<EventId>,
    pub(super) news: NewEvents,
    pub(super) pieces: mpsc::Sender<Bytes>,
    pub(super) place: Place,
    pub(super) call: Call,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client has gone, or may no longer read, or the server stops: the body ends.
    Orderly,
    /// The client does not read: the connection is cut off.
    Stalled,
}

/// What is read at a time.
enum Read {
    /// There may be more now.
    More,
    /// All was handed on.
    All,
}

impl Feed {
    pub(super) async fn run(self, link: Arc<Mutex<Link>>) {
        let Self {
            account,
            filter,
            after,
            behind,
            news,
            pieces,
            place,
            mut call,
        } = self;
        let gone = pieces.clone();
        let mut stopping = place.streams.stopping.subscribe();
        let engine = call.engine().clone();
        let mut pump = Pump {
            engine,
            account,
            filter,
            after,
            behind,
            news,
            pieces,
            place,
        };
        let end = tokio::select! {
            biased;
            // The sender lives in `place`, so this is true.
            _ = stopping.wait_for(|stopping| *stopping) => End::Orderly,
            () = gone.closed() => End::Orderly,
            () = token_ends(&mut call, account) => End::Orderly,
            end = pump.run() => end,
        };
        drop(pump);
        let held = std::mem::replace(&mut *link.lock(), Link::Ended);
        if let (End::Stalled, Link::Held(hold)) = (end, held) {
            hold.cut();
        }
    }
}

/// Ends when the caller may no longer read the account's events.
async fn token_ends(call: &mut Call, account: AccountId) {
    loop {
        let clock = call.engine().clock();
        clock.sleep_until(clock.mono() + LOOK_INTERVAL).await;
        match call.admit_again().await {
            Ok(()) if call.account_id().is_ok_and(|now| now == account) => {}
            // A store that is gone says nothing about the token.
            Err(error) if error.code().status() == StatusCode::SERVICE_UNAVAILABLE => {}
            Ok(()) | Err(_) => return,
        }
    }
}

/// Brings events from the store to the body.
struct Pump {
    engine: postrider_engine::Engine,
    account: AccountId,
    filter: EventFilter,
    after: Position,
    behind: Option<EventId>,
    news: NewEvents,
    pieces: mpsc::Sender<Bytes>,
    place: Place,
}

impl Pump {
    async fn run(&mut self) -> End {
        match self.forward().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn forward(&mut self) -> Result<std::convert::Infallible, End> {
        let mut comment = self.sleep(Duration::ZERO);
        loop {
            self.news.mark_seen();
            let read = self.page().await?;
            let streams = u32::try_from(self.place.streams.count()).unwrap_or(u32::MAX);
            let (now, mut look) = (self.now(), self.sleep(LOOK_INTERVAL));
            loop {
                let pause = self.engine.clock().sleep_until(now + PAUSE_PER_STREAM.saturating_mul(streams));
                tokio::select! {
                    biased;
                    () = &mut comment => {
                        comment = self.sleep(COMMENT_INTERVAL);
                        self.send(Bytes::from_static(b": postrider\n\n")).await?;
                    }
                    () = wait(&read, &mut self.news, pause) => break,
                    () = &mut look => break,
                }
            }
        }
    }

    fn sleep(&self, length: Duration) -> Sleep {
        let clock = self.engine.clock();
        clock.sleep_until(clock.mono() + length)
    }

    fn now(&self) -> Monotonic {
        self.engine.clock().mono()
    }

    /// Reads a page and hands it on.
    async fn page(&mut self) -> Result<Read, End> {
        let streams = Arc::clone(&self.place.streams);
        // It is never closed.
        let Ok(permit) = streams.pages.acquire().await else {
            return Err(End::Orderly);
        };
        let rows = match self.read().await {
            Ok(Some(page)) => page,
            // What it had come to is kept no longer: the client learns that when it asks again.
            Ok(None) => return Err(End::Orderly),
            Err(error) => {
                tracing::debug!(%error, "a stream has to wait for the store");
                return Ok(Read::All);
            }
        };
        let until = self.now() + PAGE_TIME_MAX;
        let mut rows_left = rows.rows.into_iter();
        while let Some((piece, last)) = next_piece(&mut rows_left) {
            let Some(late) = self.offer(piece, until).await? else {
                self.behind = Some(last);
                continue;
            };
            // A client that is slow holds no page: what is left of this one is read again.
            drop((rows_left, permit));
            self.send(late).await?;
            self.behind = Some(last);
            return Ok(Read::More);
        }
        self.after = rows.next;
        self.behind = None;
        Ok(if rows.has_more { Read::More } else { Read::All })
    }

    async fn read(&mut self) -> Result<Option<postrider_ports::store::EventsBehind>, StoreError> {
        let store = self.engine.store();
        if let Some(id) = &self.behind {
            let Some(position) = store.event_position(self.account, id.clone()).await? else {
                return Ok(None);
            };
            self.after = position;
            self.behind = None;
        }
        let page = store
            .events_behind(self.account, self.filter.clone(), self.after, PAGE_ROWS)
            .await?;
        Ok(Some(page))
    }

    /// Hands a piece on, at the latest at this moment; where the client is too slow for that it comes back.
    async fn offer(&self, piece: Bytes, until: Monotonic) -> Result<Option<Bytes>, End> {
        tokio::select! {
            biased;
            room = self.pieces.reserve() => {
                room.map_err(|SendError(())| End::Orderly)?.send(piece);
                Ok(None)
            }
            () = self.engine.clock().sleep_until(until) => Ok(Some(piece)),
        }
    }

    /// Hands a piece on, however slow the client is, as long as it reads at all.
    async fn send(&self, piece: Bytes) -> Result<(), End> {
        match self.offer(piece, self.now() + STALL_TIME_MAX).await? {
            None => Ok(()),
            Some(_) => Err(End::Stalled),
        }
    }
}

/// Ends when the store is to be read again.
async fn wait(read: &Read, news: &mut NewEvents, pause: Sleep) {
    match read {
        // Others, and the comment, have their turn between two pages.
        Read::More => tokio::task::yield_now().await,
        Read::All => {
            pause.await;
            news.wait().await;
        }
    }
}

/// The next events in one piece, and the id of the last of them.
fn next_piece(rows: &mut impl Iterator<Item = Arc<Event>>) -> Option<(Bytes, EventId)> {
    let mut piece = BytesMut::new();
    let mut last = None;
    while piece.len() < PIECE_BYTES
        && let Some(event) = rows.next()
    {
        line::put(&mut piece, &event);
        last = Some(event.id.clone());
    }
    Some((piece.freeze(), last?))
}
