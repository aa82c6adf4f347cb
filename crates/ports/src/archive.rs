//! A store as a heap of records: read out page by page, and filled from what another store gave. For moving from one kind of store to
//! another while no server uses either.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_model::account::Account;
use postrider_model::attempt::Attempt;
use postrider_model::delivery::Delivery;
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::job::{Job, Recovery};
use postrider_model::key::{Key, TokenHash};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;

use crate::error::StoreError;
use crate::once::{AnswerKey, Kept};

/// About how many bytes the records of a page take in memory, at most; a page has one record at least.
pub const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a record takes beside what it carries.
const RECORD_BYTES: usize = 1_024;

/// Kinds of records, in the order in which they are moved: what another refers to comes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Accounts, deleted ones included whose data is not erased yet.
    Accounts = 0,
    /// Keys.
    Keys = 1,
    /// Webhooks, tombstones included.
    Webhooks = 2,
    /// Events and deliveries.
    History = 3,
    /// Deliveries that are still to be made of large fan-outs.
    Fanouts = 4,
    /// Deleted webhooks whose pending deliveries are still to be ended.
    Stopping = 5,
    /// Jobs.
    Jobs = 6,
    /// Answers under idempotency keys.
    Answers = 7,
}

impl Kind {
    /// All, in their order.
    pub const ALL: [Self; 8] = [
        Self::Accounts,
        Self::Keys,
        Self::Webhooks,
        Self::History,
        Self::Fanouts,
        Self::Stopping,
        Self::Jobs,
        Self::Answers,
    ];

    /// What comes after it.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind > self)
    }

    /// The kind of this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Something that a store keeps, whole. Secrets are open in it: it is never printed.
#[derive(Clone)]
pub enum Record {
    /// An account.
    Account {
        /// It.
        account: Account,
        /// Counts its changes.
        version: u64,
        /// When it was deleted.
        deleted_at: Option<Timestamp>,
        /// Whether nothing of it is left but this.
        is_erased: bool,
    },
    /// A key.
    Key {
        /// It.
        key: Key,
        /// Of its token.
        hash: TokenHash,
    },
    /// A webhook.
    Webhook {
        /// It, with its secrets; a tombstone has none.
        webhook: Box<Webhook>,
        /// When it was deleted.
        deleted_at: Option<Timestamp>,
    },
    /// An event.
    Event {
        /// It.
        event: Arc<Event>,
        /// The deliveries that it was stored with. Some may be gone.
        deliveries: Vec<DeliveryId>,
    },
    /// A delivery.
    Delivery(Box<DeliveryKept>),
    /// Deliveries that are still to be made.
    Fanout {
        /// Whose.
        account: AccountId,
        /// Of which event.
        event: EventId,
        /// Which part of them.
        chunk: u32,
        /// When the event was made.
        created_at: Timestamp,
        /// Each with its webhook.
        pairs: Vec<(DeliveryId, WebhookId)>,
    },
    /// A deleted webhook whose pending deliveries are to be ended.
    Stopping {
        /// Whose.
        account: AccountId,
        /// Which.
        webhook: WebhookId,
    },
    /// A job.
    Job(Box<JobKept>),
    /// An answer under an idempotency key.
    Answer {
        /// Where it stands.
        at: AnswerKey,
        /// When it goes.
        ends_at: Timestamp,
        /// It.
        kept: Kept,
    },
}

impl Record {
    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let of_attempt = |attempt: &Attempt| {
            let body = attempt.response.as_ref().and_then(|response| response.body.as_ref());
            RECORD_BYTES + body.map_or(0, Bytes::len)
        };
        RECORD_BYTES
            + match self {
                Self::Event { event, deliveries } => event.body.len() + deliveries.len() * 16,
                Self::Delivery(kept) => kept.attempts.iter().map(of_attempt).sum::<usize>() + kept.test.as_ref().map_or(0, Bytes::len),
                Self::Fanout { pairs, .. } => pairs.len() * 32,
                Self::Answer { kept, .. } => kept.answer.body.len(),
                Self::Account { .. } | Self::Key { .. } | Self::Webhook { .. } | Self::Stopping { .. } | Self::Job(_) => 0,
            }
    }
}

/// A delivery with all that is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryKept {
    /// It.
    pub delivery: Delivery,
    /// Its owner wants an attempt now.
    pub is_urgent: bool,
    /// It was made after its event was stored.
    pub is_later: bool,
    /// Oldest first.
    pub attempts: Vec<Attempt>,
    /// The body of a test.
    pub test: Option<Bytes>,
}

/// A job with what it is to do, and how far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobKept {
    /// It.
    pub job: Job,
    /// What it is to do.
    pub recovery: Recovery,
    /// Deliveries that were counted, while its total is not known.
    pub counted: u64,
    /// The last event that it has dealt with, of one that runs.
    pub through: Option<EventId>,
}

/// A record, and its place in the order of its store; the same for all where a kind has no order.
#[derive(Clone)]
pub struct Placed {
    /// Where.
    pub position: Position,
    /// What.
    pub record: Record,
}

impl fmt::Debug for Placed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Placed").field("position", &self.position).finish_non_exhaustive()
    }
}

/// A stretch of a kind's records.
#[derive(Clone, Debug, Default)]
pub struct ArchivePage {
    /// Of one account (or owner) in the order of their places.
    pub records: Vec<Placed>,
    /// Where the next begins, as the store that was read says it; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// How far a store was filled from another. Kept in the one that is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Names the other.
    pub from: String,
    /// What was being moved.
    pub kind: Kind,
    /// Where in the other the rest of it begins.
    pub next: Vec<u8>,
    /// Records that were moved so far.
    pub records: u64,
    /// All of them were.
    pub is_done: bool,
}

/// What a store says of itself before it is moved from, or filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Nodes that use it.
    pub users: Vec<String>,
    /// Nothing is in it.
    pub is_empty: bool,
    /// It is being filled from another.
    pub moved: Option<Moved>,
    /// About how many records it has.
    pub records: u64,
    /// The place of its last write.
    pub last: Position,
}

/// A store that can be read out and filled.
#[async_trait]
pub trait Archive: Send + Sync {
    /// How it stands.
    async fn standing(&self) -> Result<Standing, StoreError>;

    /// At most so many records of a kind, and about `PAGE_BYTES_MAX` of them, from a place on (from the first where it is empty), in an order
    /// of the store's own that keeps the order of each account. What retention went over is left out. The same as long as nobody writes.
    async fn read_page(&self, kind: Kind, from: Vec<u8>, records_max: usize) -> Result<ArchivePage, StoreError>;

    /// Begins to be filled: from now on no server opens it, until `finish_filling`. All places of records to come are up to `last`.
    async fn begin_filling(&self, moved: Moved, last: Position) -> Result<(), StoreError>;

    /// Takes records in, and notes how far that is: all or nothing, durable when it returns.
    async fn write_page(&self, page: Arc<Vec<Placed>>, moved: Moved) -> Result<(), StoreError>;

    /// What it keeps more than once, to find it by, is compared with the records themselves: the first that does not agree, told with the
    /// table and the id; `None` where all is well. Nobody writes meanwhile.
    async fn first_fault(&self) -> Result<Option<String>, StoreError>;

    /// It is filled: servers may open it.
    async fn finish_filling(&self) -> Result<(), StoreError>;
}

impl Moved {
    /// As bytes, for a store to keep.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.kind as u8, u8::from(self.is_done)];
        out.extend_from_slice(&self.records.to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.next.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.next);
        out.extend_from_slice(self.from.as_bytes());
        out
    }

    /// From bytes; `None` where they are none of ours.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (is_done, rest) = rest.split_first()?;
        let (records, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (next, from) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(Self {
            from: String::from_utf8(from.to_vec()).ok()?,
            kind: Kind::from_code(*kind)?,
            next: next.to_vec(),
            records: u64::from_be_bytes(*records),
            is_done: *is_done != 0,
        })
    }
}
