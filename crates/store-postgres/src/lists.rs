//! Lists of deliveries, newest first: what is pending and what has ended, merged by their places in one snapshot. A delivery keeps its
//! place when it goes from one to the other, so a walk neither misses nor repeats it.

use postrider_model::delivery::DeliveryRecord;
use postrider_model::delivery::Status;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::limits::PAGE_BYTES_MAX;
use postrider_model::queue::Position;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::store::{DeliveryFilter, StatusFilter};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::conn::Conn;
use crate::deliveries::{self, ENDED, PENDING, Stored, slot_column};
use crate::event_reads::{self, Head, IdRange};
use crate::fault::Outcome;
use crate::param::Array;
use crate::position::{LAST, columns};
use crate::queue::TURN;
use crate::retention::{DELIVERY_KEPT, PLACE_KEPT};

/// Deliveries or events that one page looks at.
pub(crate) const SEARCHED_MAX: usize = 4_000;
/// What is read at once where a filter passes over much.
const BATCH_ROWS: usize = 1_000;

/// How a page ends.
pub(crate) enum Step {
    /// There is nothing more.
    End,
    /// There is, for the next page.
    Full,
}

/// How many rows a page reads next: those that are wanted still and one more, to see whether there is more; where those were not enough,
/// many at once.
pub(crate) fn batch_rows(wanted: usize, searched: usize) -> i64 {
    let rows = if searched == 0 { wanted + 1 } else { BATCH_ROWS };
    let left = SEARCHED_MAX.saturating_sub(searched) + 1;
    i64::try_from(rows.min(left)).unwrap_or(i64::MAX)
}

/// Rows from one place, newest first, and down to where they are all.
struct Stretch {
    rows: Vec<Stored>,
    /// `None`: to the end.
    floor: Option<Position>,
}

impl Stretch {
    const NOTHING: Self = Self {
        rows: Vec::new(),
        floor: None,
    };

    /// What a read of at most `limit` rows gave.
    fn of(rows: Vec<Stored>, limit: i64) -> Self {
        let is_full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let floor = rows.last().filter(|_| is_full).map(|row| row.position);
        Self { rows, floor }
    }

    /// Both in one: down to where both are all.
    fn merge(self, other: Self) -> Self {
        let floor = self.floor.max(other.floor);
        let mut rows: Vec<Stored> = self.rows.into_iter().chain(other.rows).collect();
        rows.retain(|row| floor.is_none_or(|floor| row.position >= floor));
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.position));
        Self { rows, floor }
    }
}

/// A page under way.
struct Search<'a> {
    conn: &'a Conn,
    account: AccountId,
    filter: &'a DeliveryFilter,
    limit: usize,
    found: Vec<Stored>,
    bytes: usize,
    searched: usize,
    /// The last place that was looked at.
    at: Position,
}

/// One page of the deliveries of an account, within a snapshot.
pub(crate) async fn list(conn: &Conn, account: AccountId, filter: &DeliveryFilter, page: PageAsk) -> Outcome<Page<DeliveryRecord>> {
    let mut search = Search {
        conn,
        account,
        filter,
        limit: page.limit.max(1),
        found: Vec::new(),
        bytes: 0,
        searched: 0,
        at: page.after.unwrap_or(LAST),
    };
    let step = if filter.event.is_some() {
        search.of_event().await?
    } else {
        search.walk().await?
    };
    let next = matches!(step, Step::Full).then_some(search.at);
    let rows = deliveries::records(conn, account, search.found).await?;
    Ok(Page { rows, next })
}

impl Search<'_> {
    /// From the newest to the oldest.
    async fn walk(&mut self) -> Outcome<Step> {
        loop {
            let limit = batch_rows(self.limit - self.found.len(), self.searched);
            let pending = match self.filter.status {
                None | Some(StatusFilter::Pending) => self.pending(limit).await?,
                Some(StatusFilter::Succeeded | StatusFilter::Failed) => Stretch::NOTHING,
            };
            let ended = match self.filter.status {
                Some(StatusFilter::Pending) => Stretch::NOTHING,
                None | Some(StatusFilter::Succeeded | StatusFilter::Failed) => self.ended(limit).await?,
            };
            let stretch = pending.merge(ended);
            if let Some(step) = self.all(stretch.rows).await? {
                return Ok(step);
            }
            match stretch.floor {
                None => return Ok(Step::End),
                Some(floor) => self.at = floor,
            }
            if self.searched >= SEARCHED_MAX {
                return Ok(Step::Full);
            }
        }
    }

    /// The next of what is pending.
    async fn pending(&mut self, limit: i64) -> Outcome<Stretch> {
        let Some(webhook) = self.filter.webhook else {
            return self.pending_of_all(limit).await;
        };
        if let Some(rows) = self.pending_of(webhook, limit).await? {
            return Ok(Stretch::of(rows, limit));
        }
        // Of one that so much waits for, its rows are found soon among those of all.
        let mut stretch = self.pending_of_all(batch_rows(BATCH_ROWS, self.searched)).await?;
        self.searched += stretch.rows.len();
        stretch.rows.retain(|row| row.webhook == webhook);
        self.searched -= stretch.rows.len();
        Ok(stretch)
    }

    async fn pending_of_all(&self, limit: i64) -> Outcome<Stretch> {
        let (major, minor) = columns(self.at);
        let sql = format!(
            "SELECT {PENDING} FROM postrider.queue WHERE account = $1 AND (major, minor) < ($2, $3)
             ORDER BY major DESC, minor DESC LIMIT $4"
        );
        let rows = self.conn.query(&sql, &[&self.owner(), &major, &minor, &limit]).await?;
        Ok(Stretch::of(deliveries::stored_of(self.account, &rows)?, limit))
    }

    /// Those of one webhook. The queue has no index for that, which each delivery would pay for: they are sorted. `None` where they are
    /// more than a page looks at. They come in the order of the index that has them together: by any other all of the account is read.
    async fn pending_of(&self, webhook: WebhookId, limit: i64) -> Outcome<Option<Vec<Stored>>> {
        let (major, minor) = columns(self.at);
        let sql = format!(
            "WITH its AS MATERIALIZED (
                 SELECT * FROM postrider.queue q WHERE slot = $1 AND account = $2 AND webhook = $3
                 ORDER BY {TURN}, major, minor LIMIT $4
             ), page AS (
                 SELECT {PENDING} FROM its WHERE (major, minor) < ($5, $6) ORDER BY major DESC, minor DESC LIMIT $7
             )
             SELECT page.*, its.count FROM (SELECT count(*) FROM its) AS its LEFT JOIN page ON true ORDER BY major DESC, minor DESC"
        );
        let slot = slot_column(webhook);
        let looked_max = SEARCHED_MAX as i64 + 1;
        let webhook = Uuid::from_u128(webhook.as_u128());
        let mut rows = self
            .conn
            .query(&sql, &[&slot, &self.owner(), &webhook, &looked_max, &major, &minor, &limit])
            .await?;
        for row in &rows {
            if row.try_get::<_, i64>(deliveries::COLUMNS)? >= looked_max {
                return Ok(None);
            }
        }
        // Without a delivery there is one row, which has the count alone.
        rows.retain(|row| row.try_get::<_, Uuid>(0).is_ok());
        Ok(Some(deliveries::stored_of(self.account, &rows)?))
    }

    /// The next of what has ended.
    async fn ended(&self, limit: i64) -> Outcome<Stretch> {
        let (major, minor) = columns(self.at);
        let ids = IdRange::of_times(self.filter.created);
        let of_webhook = if self.filter.webhook.is_some() { "AND webhook = $7" } else { "" };
        let sql = format!(
            "SELECT {ENDED} FROM postrider.deliveries
             WHERE account = $1 AND (major, minor) < ($2, $3) AND id BETWEEN $4 AND $5 {of_webhook}
             AND {PLACE_KEPT} AND {DELIVERY_KEPT}
             ORDER BY major DESC, minor DESC LIMIT $6"
        );
        let owner = self.owner();
        let webhook = self.filter.webhook.map(|webhook| Uuid::from_u128(webhook.as_u128()));
        let mut params: Vec<&dyn crate::param::Param> = vec![&owner, &major, &minor, &ids.first, &ids.last, &limit];
        if webhook.is_some() {
            params.push(&webhook);
        }
        let rows = self.conn.query(&sql, &params).await?;
        Ok(Stretch::of(deliveries::stored_of(self.account, &rows)?, limit))
    }

    /// The deliveries of one event: those that it was stored with, and those that were made of it later.
    async fn of_event(&mut self) -> Outcome<Step> {
        let Some(event) = &self.filter.event else { return Ok(Step::End) };
        let Some((key, first)) = event_reads::deliveries_of(self.conn, self.account, event).await? else {
            return Ok(Step::End);
        };
        let (major, minor) = columns(self.at);
        let ids = IdRange::of_ids(&first);
        // None was made before its event.
        let later = IdRange::behind(key).first;
        let sql = format!(
            "SELECT * FROM (
                 SELECT {PENDING} FROM unnest($2::uuid[]) AS first (of_event) CROSS JOIN LATERAL (
                     SELECT * FROM postrider.queue
                     WHERE account = $1 AND delivery BETWEEN of_event AND of_event ORDER BY delivery LIMIT 1
                 ) AS queue WHERE NOT is_later
                 UNION ALL SELECT {PENDING} FROM postrider.queue WHERE account = $1 AND event = $3 AND is_later
                 UNION ALL SELECT {ENDED} FROM postrider.deliveries
                           WHERE account = $1 AND id = ANY($2) AND id BETWEEN $4 AND $5 AND NOT is_later
                                 AND {DELIVERY_KEPT}
                 UNION ALL SELECT {ENDED} FROM postrider.deliveries
                           WHERE account = $1 AND event = $3 AND is_later AND id >= $9 AND {DELIVERY_KEPT}
             ) AS found WHERE (major, minor) < ($6, $7) ORDER BY major DESC, minor DESC LIMIT $8"
        );
        loop {
            let (major, minor) = if self.searched == 0 { (major, minor) } else { columns(self.at) };
            let limit = batch_rows(self.limit - self.found.len(), self.searched);
            let first = Array(first.clone());
            let rows = self
                .conn
                .query(
                    &sql,
                    &[&self.owner(), &first, &key, &ids.first, &ids.last, &major, &minor, &limit, &later],
                )
                .await?;
            let stretch = Stretch::of(deliveries::stored_of(self.account, &rows)?, limit);
            if let Some(step) = self.all(stretch.rows).await? {
                return Ok(step);
            }
            if stretch.floor.is_none() {
                return Ok(Step::End);
            }
        }
    }

    /// Looks at rows. `None` where the page has room for more.
    async fn all(&mut self, rows: Vec<Stored>) -> Outcome<Option<Step>> {
        let wanted: Vec<Uuid> = rows.iter().filter(|row| self.wants(row)).filter_map(|row| row.event).collect();
        let heads = event_reads::heads(self.conn, self.account, wanted).await?;
        for row in rows {
            if self.found.len() >= self.limit || self.searched >= SEARCHED_MAX {
                return Ok(Some(Step::Full));
            }
            self.searched += 1;
            let at = row.position;
            if let Some(bytes) = self.bytes_of(&row, &heads) {
                if !self.found.is_empty() && self.bytes + bytes > PAGE_BYTES_MAX {
                    return Ok(Some(Step::Full));
                }
                self.bytes += bytes;
                self.found.push(row);
            }
            self.at = at;
        }
        Ok(None)
    }

    /// How much a delivery carries; `None` where the filter does not want it, or its event is gone.
    fn bytes_of(&self, row: &Stored, heads: &FxHashMap<Uuid, Head>) -> Option<usize> {
        if !self.wants(row) {
            return None;
        }
        let is_of_event = self.filter.name.is_some() || self.filter.resource_id.is_some();
        let Some(event) = row.event else {
            // A test has no event: no filter of events wants it. Its body is one of ours, and small.
            return (!is_of_event).then_some(0);
        };
        let head = heads.get(&event)?;
        let has_name = self.filter.name.as_ref().is_none_or(|pattern| pattern.matches(&head.event.name));
        let has_resource = self.filter.resource_id.as_ref().is_none_or(|id| *id == head.event.resource.id);
        (has_name && has_resource).then_some(head.body_bytes)
    }

    fn wants(&self, row: &Stored) -> bool {
        let has_status = match (self.filter.status, row.status) {
            (None, _)
            | (Some(StatusFilter::Pending), Status::Pending { .. })
            | (Some(StatusFilter::Succeeded), Status::Succeeded { .. })
            | (Some(StatusFilter::Failed), Status::Failed { .. }) => true,
            (Some(_), _) => false,
        };
        has_status && self.filter.webhook.is_none_or(|webhook| row.webhook == webhook) && self.filter.created.contains(row.created_at)
    }

    fn owner(&self) -> Uuid {
        Uuid::from_u128(self.account.as_u128())
    }
}
