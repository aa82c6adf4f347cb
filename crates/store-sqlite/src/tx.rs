//! What the calls of one write transaction share.

use std::sync::Arc;

use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::queue::Position;
use postrider_model::seal::SealKey;
use postrider_model::time::Timestamp;
use postrider_ports::Random;
use postrider_ports::registry::AccountVersion;
use rusqlite::{Connection, OptionalExtension as _, params};
use rustc_hash::FxHashMap;

use crate::codec::State;
use crate::fault::Outcome;
use crate::history;

/// Accounts whose version the writer remembers.
const VERSIONS_MAX: usize = 100_000;
/// Webhooks whose url's place the writer remembers.
const URLS_MAX: usize = 100_000;

/// Positions after which the use of a url is noted anew: a note is at most so far behind its last use. At full load a million go by in some
/// 15 s: noted more often, a thousand urls would show in the cost of a delivery.
pub(crate) const URL_STEP: u64 = 1 << 20;

/// What the writer remembers from one transaction to the next. All of it can be read again from the file.
pub(crate) struct Memory {
    /// The last position that was given.
    position: u64,
    /// What was added since the last segment of the history.
    pub(crate) tail: usize,
    /// Of which times those events are.
    span: history::Span,
    /// The versions of accounts, `None` of those that are not there. At most `VERSIONS_MAX`.
    versions: FxHashMap<AccountId, Option<AccountVersion>>,
    /// Where the url of a webhook stands in `urls`. At most `URLS_MAX`.
    urls: FxHashMap<WebhookId, KnownUrl>,
    /// SQLite's mark of the last commit of another connection; `None` where nothing in here can be trusted.
    data_version: Option<i64>,
    /// Seals and unseals secrets.
    pub(crate) seal: Arc<SealKey>,
    /// Gives nonces.
    pub(crate) random: Arc<dyn Random>,
}

/// A url that stands in `urls`.
struct KnownUrl {
    url: Arc<str>,
    number: i64,
    /// The position at which its use was noted last.
    used: u64,
}

impl Memory {
    /// Knows nothing yet.
    pub(crate) fn new(seal: Arc<SealKey>, random: Arc<dyn Random>) -> Self {
        Self {
            position: 0,
            tail: 0,
            span: history::Span::default(),
            versions: FxHashMap::default(),
            urls: FxHashMap::default(),
            data_version: None,
            seal,
            random,
        }
    }

    /// Forgets all: after a rollback.
    pub(crate) fn forget(&mut self) {
        self.data_version = None;
    }

    /// Reads again what another process may have changed. To be called inside the write transaction.
    pub(crate) fn refresh(&mut self, conn: &Connection) -> Outcome<()> {
        let version: i64 = conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.data_version == Some(version) {
            return Ok(());
        }
        self.versions.clear();
        self.urls.clear();
        self.position = history::last_position(conn)?.major;
        self.tail = history::tail_length(conn)?;
        self.span = history::tail_span(conn)?;
        self.data_version = Some(version);
        Ok(())
    }
}

/// A delivery that is to be made.
pub(crate) struct NewDelivery<'a> {
    pub(crate) id: DeliveryId,
    pub(crate) account: AccountId,
    pub(crate) webhook: WebhookId,
    /// The position of its event.
    pub(crate) event: Option<u64>,
    pub(crate) state: &'a State,
}

/// A write transaction, shared by all calls of a group.
pub(crate) struct Tx<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) memory: &'a mut Memory,
    /// What the group adds to the lists of deliveries.
    deliveries: Vec<u8>,
    /// What the group adds to the lists of events.
    events: Vec<u8>,
    began_at: u64,
}

/// How much a transaction had added at some moment.
pub(crate) struct Mark {
    deliveries: usize,
    events: usize,
}

impl<'a> Tx<'a> {
    /// The transaction that `conn` has begun.
    pub(crate) fn new(conn: &'a Connection, memory: &'a mut Memory) -> Self {
        let began_at = memory.position;
        Self {
            conn,
            memory,
            deliveries: Vec::new(),
            events: Vec::new(),
            began_at,
        }
    }

    /// The next place in the order of the store.
    pub(crate) fn next_position(&mut self) -> u64 {
        self.memory.position += 1;
        self.memory.position
    }

    /// The version of an account; `None` where there is none.
    pub(crate) fn account_version(&mut self, account: AccountId) -> Outcome<Option<AccountVersion>> {
        if let Some(version) = self.memory.versions.get(&account) {
            return Ok(*version);
        }
        let version = read_version(self.conn, account)?;
        if self.memory.versions.len() >= VERSIONS_MAX {
            self.memory.versions.clear();
        }
        self.memory.versions.insert(account, version);
        Ok(version)
    }

    /// Raises the version of an account, and tells the feed of changes. The writer's own memory forgets it.
    pub(crate) fn account_changed(&mut self, account: AccountId, webhook: Option<WebhookId>) -> Outcome<()> {
        self.memory.versions.remove(&account);
        self.conn
            .prepare_cached("UPDATE accounts SET version = version + 1 WHERE id = ?")?
            .execute([account.as_u128().to_be_bytes()])?;
        crate::changes::note(self.conn, Some(account), webhook)
    }

    /// Where a url stands in `urls`; it is put there where it is new. That it is used is noted now and then, so that it can go once
    /// nothing is left from the time of its last use.
    pub(crate) fn url_number(&mut self, webhook: WebhookId, url: &Arc<str>) -> Outcome<i64> {
        let now = self.memory.position;
        if let Some(known) = self.memory.urls.get(&webhook)
            && (Arc::ptr_eq(&known.url, url) || known.url == *url)
            && now.saturating_sub(known.used) < URL_STEP
        {
            return Ok(known.number);
        }
        let (number, used) = note_url(self.conn, url, now)?;
        if self.memory.urls.len() >= URLS_MAX {
            self.memory.urls.clear();
        }
        let known = KnownUrl {
            url: Arc::clone(url),
            number,
            used,
        };
        self.memory.urls.insert(webhook, known);
        Ok(number)
    }

    /// Some urls are gone from `urls`.
    pub(crate) fn forget_urls(&mut self) {
        self.memory.urls.clear();
    }

    /// Whether this transaction brings something of an account.
    pub(crate) fn brings(&self, account: [u8; 16]) -> bool {
        history::brings(&self.deliveries, &self.events, account)
    }

    /// Moves what arrived in earlier transactions to the history now.
    pub(crate) fn cut_segment(&mut self) -> Outcome<()> {
        // The times of what this transaction brings are among them: they stay, and are too wide then, which only costs a look.
        history::cut_segment(self.conn, self.memory.span)?;
        self.memory.tail = 0;
        Ok(())
    }

    /// Makes a pending delivery, and puts it into the queue.
    pub(crate) fn add_delivery(&mut self, new: &NewDelivery<'_>, due: i64) -> Outcome<Position> {
        self.put_delivery(new, Some(due))
    }

    /// Puts a delivery at the next place, and into the queue where it is due some time.
    pub(crate) fn put_delivery(&mut self, new: &NewDelivery<'_>, due: Option<i64>) -> Outcome<Position> {
        let position = self.next_position();
        let (id, account, webhook) = (
            new.id.as_u128().to_be_bytes(),
            new.account.as_u128().to_be_bytes(),
            new.webhook.as_u128().to_be_bytes(),
        );
        self.conn
            .prepare_cached("INSERT INTO deliveries (id, account, webhook, event, position, state) VALUES (?, ?, ?, ?, ?, ?)")?
            .execute(params![
                id,
                account,
                webhook,
                new.event.map(as_integer),
                as_integer(position),
                new.state.encode()
            ])?;
        if let Some(due) = due {
            self.enqueue(new.webhook, due, position, new.id)?;
            if new.event.is_none() {
                self.enqueue_test(new.webhook, due, position, new.id)?;
            }
        }
        history::push_delivery(&mut self.deliveries, account, webhook, position, id);
        Ok(Position::counted(position))
    }

    /// Puts a delivery into the queue.
    pub(crate) fn enqueue(&self, webhook: WebhookId, due: i64, position: u64, delivery: DeliveryId) -> Outcome<()> {
        self.insert_due(
            "INSERT INTO queue (webhook, due, position, delivery) VALUES (?, ?, ?, ?)",
            (webhook, due, position, delivery),
        )
    }

    /// Puts a test delivery among those that are found apart.
    pub(crate) fn enqueue_test(&self, webhook: WebhookId, due: i64, position: u64, delivery: DeliveryId) -> Outcome<()> {
        self.insert_due(
            "INSERT INTO queued_tests (webhook, due, position, delivery) VALUES (?, ?, ?, ?)",
            (webhook, due, position, delivery),
        )
    }

    fn insert_due(&self, sql: &str, (webhook, due, position, delivery): (WebhookId, i64, u64, DeliveryId)) -> Outcome<()> {
        self.conn.prepare_cached(sql)?.execute(params![
            webhook.as_u128().to_be_bytes(),
            due,
            as_integer(position),
            delivery.as_u128().to_be_bytes()
        ])?;
        Ok(())
    }

    /// Notes an event for the lists.
    pub(crate) fn note_event(&mut self, account: AccountId, position: u64, created_at: Timestamp) {
        self.memory.span.widen(created_at.as_millis());
        history::push_event(&mut self.events, account.as_u128().to_be_bytes(), position);
    }

    /// How much was added up to now.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            deliveries: self.deliveries.len(),
            events: self.events.len(),
        }
    }

    /// Takes back what the lists were told since the mark.
    pub(crate) fn back_to(&mut self, mark: &Mark) {
        self.deliveries.truncate(mark.deliveries);
        self.events.truncate(mark.events);
    }

    /// Writes what the whole group adds to the lists. The last thing before COMMIT.
    pub(crate) fn finish(self) -> Outcome<()> {
        if self.memory.position == self.began_at {
            return Ok(());
        }
        self.conn
            .prepare_cached("INSERT INTO arrivals (position, deliveries, events) VALUES (?, ?, ?)")?
            .execute(params![as_integer(self.memory.position), self.deliveries, self.events])?;
        self.memory.tail += history::arrived(&self.deliveries, &self.events);
        if self.memory.tail >= history::SEGMENT_ROWS {
            history::cut_segment(self.conn, self.memory.span)?;
            self.memory.tail = 0;
            self.memory.span = history::Span::default();
        }
        Ok(())
    }
}

/// Where a url stands in `urls`, and at which position its use is noted: written only where that is new or far behind.
fn note_url(conn: &Connection, url: &str, now: u64) -> Outcome<(i64, u64)> {
    let known: Option<(i64, i64)> = conn
        .prepare_cached("SELECT number, used FROM urls WHERE url = ?")?
        .query_row([url], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let first_fresh = as_integer(now).saturating_sub(as_integer(URL_STEP));
    if let Some((number, used)) = known.filter(|(_, used)| *used > first_fresh) {
        return Ok((number, u64::try_from(used).unwrap_or(0)));
    }
    let number = conn
        .prepare_cached("INSERT INTO urls (url, used) VALUES (?, ?) ON CONFLICT (url) DO UPDATE SET used = excluded.used RETURNING number")?
        .query_row(params![url, as_integer(now)], |row| row.get(0))?;
    Ok((number, now))
}

/// The version of an account that is not deleted.
pub(crate) fn read_version(conn: &Connection, account: AccountId) -> Outcome<Option<AccountVersion>> {
    let version: Option<i64> = conn
        .prepare_cached("SELECT version FROM accounts WHERE id = ? AND deleted_at IS NULL")?
        .query_row([account.as_u128().to_be_bytes()], |row| row.get(0))
        .optional()?;
    Ok(version.map(|version| AccountVersion(version.unsigned_abs())))
}

/// A position as SQLite keeps it. It counts writes: it never comes near the sign.
pub(crate) fn as_integer(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
