//! Nodes and the slots that they own: beats, rosters, compare-and-set.

use postrider_model::slot::{SLOTS, Slot};
use postrider_model::time::Timestamp;
use postrider_ports::nodes::{NODES_MAX, NodeReport, NodeSeen, NodeToken, Roles, Roster};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::{Outcome, corrupt, unavailable};
use crate::line::{self, Line};
use crate::param::{Array, Nullable, Param};

/// The time by this database's clock: not that at which the transaction began.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const NODES: &str =
    "SELECT token, beat, seen_at, name, version, is_api, is_dispatch, started_at, in_flight, waiting, unrecorded, is_leaving
    FROM postrider.nodes ORDER BY token";
const OWNERS: &str = "SELECT slot, owner FROM postrider.slots WHERE owner IS NOT NULL";
/// A promoted standby goes on another timeline, from its first write on. (The file that holds what is written now is named after it.)
const HISTORY: &str = "SELECT system_identifier, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()";

/// Renews a node's row, then reads the roster: in a statement of its own, which sees what a takeover has freed that the first waited for.
pub(crate) async fn beat(line: &Line, token: NodeToken, report: &NodeReport) -> Outcome<Roster> {
    let client = line.take().await?;
    let roster = line
        .way()
        .in_time(async {
            if !renew(&client, token, report).await? {
                return Ok(None);
            }
            Ok(Some(read(&client).await?))
        })
        .await?;
    line.keep(client);
    roster.map_or_else(
        || Err(unavailable(format!("the store has {NODES_MAX} nodes already")).into()),
        Read::roster,
    )
}

/// The beats of a row begin anywhere: who has slept while it was removed and made anew must not find the beat that it remembers.
async fn renew(client: &Client, token: NodeToken, report: &NodeReport) -> Result<bool, tokio_postgres::Error> {
    let sql = format!(
        "INSERT INTO postrider.nodes AS node (token, beat, seen_at, name, version, is_api, is_dispatch, started_at, in_flight, waiting,
             unrecorded, is_leaving)
         SELECT $1, (random() * 4e18)::bigint, {NOW}, $2, $3, $4, $5, $6, $7, $8, $9, $10
         WHERE (SELECT count(*) FROM postrider.nodes) < {NODES_MAX} OR EXISTS (SELECT FROM postrider.nodes WHERE token = $1)
         ON CONFLICT (token) DO UPDATE SET beat = node.beat + 1, seen_at = excluded.seen_at, in_flight = excluded.in_flight,
             waiting = excluded.waiting, unrecorded = excluded.unrecorded, is_leaving = excluded.is_leaving, name = excluded.name,
             version = excluded.version, is_api = excluded.is_api, is_dispatch = excluded.is_dispatch
         RETURNING beat"
    );
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let params: [&dyn Param; 10] = [
        &Uuid::from_u128(token.0),
        &report.name,
        &report.version,
        &report.roles.api,
        &report.roles.dispatch,
        &report.started_at.as_millis(),
        &number(report.in_flight),
        &number(report.waiting),
        &number(report.unrecorded),
        &report.is_leaving,
    ];
    Ok(!line::query(client, &sql, &params).await?.is_empty())
}

/// What is read for a roster.
struct Read {
    wall: Option<Row>,
    history: Option<Row>,
    nodes: Vec<Row>,
    owners: Vec<Row>,
}

/// One round trip: the statements follow each other without waiting for answers.
async fn read(client: &Client) -> Result<Read, tokio_postgres::Error> {
    let wall = format!("SELECT {NOW}");
    let (history, nodes, owners, wall) = tokio::join!(
        line::query(client, HISTORY, &[]),
        line::query(client, NODES, &[]),
        line::query(client, OWNERS, &[]),
        line::query(client, &wall, &[]),
    );
    Ok(Read {
        wall: wall?.pop(),
        history: told_history(history)?,
        nodes: nodes?,
        owners: owners?,
    })
}

/// Engines that only speak as PostgreSQL does may know no timelines: their history never changes as far as anybody can tell.
fn told_history(rows: Result<Vec<Row>, tokio_postgres::Error>) -> Result<Option<Row>, tokio_postgres::Error> {
    let unknown = [
        SqlState::UNDEFINED_FUNCTION,
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::INSUFFICIENT_PRIVILEGE,
    ];
    match rows {
        Ok(rows) => Ok(rows.into_iter().next()),
        Err(error) if error.code().is_some_and(|code| unknown.contains(code)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Read {
    fn roster(self) -> Outcome<Roster> {
        let wall = self.wall.ok_or_else(|| unavailable("the server told no time"))?;
        let mut roster = Roster::empty(Timestamp::from_millis(wall.try_get(0)?));
        if let Some(row) = self.history {
            let (system, timeline): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            let timeline = u32::from_str_radix(&timeline, 16).map_err(corrupt)?;
            // Timelines are few, so the low bits of both do not meet.
            roster.history = system.unsigned_abs().rotate_left(32) ^ u64::from(timeline);
        }
        roster.nodes = self.nodes.iter().map(seen).collect::<Outcome<_>>()?;
        for row in &self.owners {
            let (slot, owner): (i16, Uuid) = (row.try_get(0)?, row.try_get(1)?);
            let place = usize::try_from(slot).ok().and_then(|slot| roster.owners.get_mut(slot));
            *place.ok_or_else(|| corrupt(format!("slot {slot} of {SLOTS}")))? = Some(NodeToken(owner.as_u128()));
        }
        Ok(roster)
    }
}

fn seen(row: &Row) -> Outcome<NodeSeen> {
    let number = |at: usize| row.try_get(at).map(i64::unsigned_abs);
    Ok(NodeSeen {
        token: NodeToken(row.try_get::<_, Uuid>(0)?.as_u128()),
        beat: number(1)?,
        seen_at: Timestamp::from_millis(row.try_get(2)?),
        report: NodeReport {
            name: row.try_get(3)?,
            version: row.try_get(4)?,
            roles: Roles {
                api: row.try_get(5)?,
                dispatch: row.try_get(6)?,
            },
            started_at: Timestamp::from_millis(row.try_get(7)?),
            in_flight: number(8)?,
            waiting: number(9)?,
            unrecorded: number(10)?,
            is_leaving: row.try_get(11)?,
        },
    })
}

/// The roster without a beat.
pub(crate) async fn roster(line: &Line) -> Outcome<Roster> {
    let client = line.take().await?;
    let roster = line.way().in_time(read(&client)).await?;
    line.keep(client);
    roster.roster()
}

/// Takes slots, each where its owner is the one named. The row of who takes them is held, so that its removal waits, and sees them; they are
/// locked in order, so that two that take the same do not stand in each other's way.
pub(crate) async fn take(conn: &Conn, token: NodeToken, slots: &[(Slot, Option<NodeToken>)]) -> Outcome<Vec<Slot>> {
    let numbers: Array<i16> = slots.iter().map(|(slot, _)| number(*slot)).collect();
    let owners: Nullable<Uuid> = slots.iter().map(|(_, owner)| owner.map(|owner| Uuid::from_u128(owner.0))).collect();
    let sql = "WITH me AS MATERIALIZED (SELECT token FROM postrider.nodes WHERE token = $1 FOR KEY SHARE),
             held AS MATERIALIZED (SELECT slot FROM postrider.slots WHERE slot = ANY ($2) ORDER BY slot FOR UPDATE)
         UPDATE postrider.slots AS slots SET owner = $1
         FROM unnest($2, $3) AS wanted (slot, owner)
         WHERE slots.slot = wanted.slot AND slots.owner IS NOT DISTINCT FROM wanted.owner
             AND EXISTS (SELECT FROM me) AND (SELECT count(*) FROM held) > 0
         RETURNING slots.slot";
    let rows = conn.query(sql, &[&Uuid::from_u128(token.0), &numbers, &owners]).await?;
    let mut taken = rows.iter().map(|row| slot(row.try_get(0)?)).collect::<Outcome<Vec<Slot>>>()?;
    taken.sort_unstable();
    Ok(taken)
}

/// Gives slots up that are the node's.
pub(crate) async fn release(conn: &Conn, token: NodeToken, slots: &[Slot]) -> Outcome<()> {
    let numbers: Array<i16> = slots.iter().map(|slot| number(*slot)).collect();
    let sql = "UPDATE postrider.slots SET owner = NULL WHERE slot = ANY ($2) AND owner = $1";
    conn.execute(sql, &[&Uuid::from_u128(token.0), &numbers]).await?;
    Ok(())
}

/// Removes a node's row where it has not beaten since, then frees its slots: within a transaction, so that its next beat sees both.
pub(crate) async fn remove(conn: &Conn, token: NodeToken, beat: u64) -> Outcome<bool> {
    let (token, beat) = (Uuid::from_u128(token.0), i64::try_from(beat).unwrap_or(i64::MAX));
    let removed = conn
        .execute("DELETE FROM postrider.nodes WHERE token = $1 AND beat = $2", &[&token, &beat])
        .await?;
    if removed == 0 {
        return Ok(false);
    }
    conn.execute("UPDATE postrider.slots SET owner = NULL WHERE owner = $1", &[&token])
        .await?;
    Ok(true)
}

/// Slots are fewer than such a number holds.
fn number(slot: Slot) -> i16 {
    i16::try_from(slot.number()).unwrap_or(i16::MAX)
}

fn slot(number: i16) -> Outcome<Slot> {
    let slot = u16::try_from(number).ok().and_then(Slot::from_number);
    slot.ok_or_else(|| corrupt(format!("slot {number} of {SLOTS}")))
}
