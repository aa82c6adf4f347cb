//! Versions of the schema.
//!
//! However many nodes start together, one takes each step and the others wait. A step must leave all that the older version needs, which
//! runs beside it: columns come with a default or without NOT NULL, and what nobody reads any more goes a version later. It must lock no
//! large table for long: indexes are made CONCURRENTLY, in a step outside a transaction, and constraints are added NOT VALID.

use postrider_ports::StoreError;
use tokio_postgres::error::SqlState;

use crate::conn::Conn;
use crate::fault::{Fault, Outcome, unavailable};

/// One step of the schema.
struct Migration {
    step: Step,
    /// The oldest schema whose binaries may still use the store after this step.
    oldest_binary: u32,
}

/// What a step does.
#[derive(Clone, Copy)]
struct Step {
    /// In this order.
    statements: &'static [&'static str],
    /// All of it, or nothing. It waits for no lock for long, since whoever comes for a table behind it waits too: it is rather tried again.
    /// Where it is not at once, each statement is for itself: `CREATE INDEX CONCURRENTLY` and the like. Where they were broken off they
    /// are run again from the first: it takes away what was left half done.
    is_at_once: bool,
}

/// Step `n` (counted from one) makes schema `n`.
const MIGRATIONS: &[Migration] = &[Migration {
    step: Step {
        statements: &[include_str!("../migrations/0001_first.sql")],
        is_at_once: true,
    },
    oldest_binary: 1,
}];

/// The newest schema that this binary knows.
pub const SCHEMA_KNOWN: u32 = MIGRATIONS.len() as u32;

/// Names the lock under which one node at a time migrates: `PTRD` in ASCII.
const LOCK: i64 = 0x5054_5244;
/// How long a node waits for another's step before it looks anew, in milliseconds; and how often it does: a quarter of an hour.
const TURN_TIME_MS_MAX: u32 = 10_000;
const TURNS_MAX: u32 = 90;
/// How long a step waits for a lock, in milliseconds, and how often it is tried; between two tries the others have the table for half a
/// second.
const STEP_LOCK_TIME_MS_MAX: u32 = 1_000;
const STEP_TRIES_MAX: u32 = 120;
const STEP_PAUSE: &str = "SELECT pg_sleep(0.5)";
/// What is said where the settings of the connection have not come to the server.
const POOLED: &str = "this version makes changes to its schema that do not go through a pooler such as PgBouncer: start one node once with the \
     server's own address, without prepared_statements=false, then all of them as before";

/// Brings the store to the newest schema, or says why this binary must not use it. `guard` and `worker` are two connections: the lock is
/// held by a transaction of the first, for a lock of a session does not work behind a pooler.
pub(crate) async fn migrate(guard: &Conn, worker: &Conn) -> Outcome<()> {
    take_steps(guard, worker, MIGRATIONS).await
}

async fn take_steps(guard: &Conn, worker: &Conn, steps: &[Migration]) -> Outcome<()> {
    // Whoever comes to a store that is up to date needs no lock, and no right to change the schema.
    if has_meta(worker).await? && judge(worker, steps).await? == 0 {
        return Ok(());
    }
    take_turn(guard).await?;
    let done = take_missing(worker, steps).await;
    Ok(guard.end(done).await?)
}

/// Waits for the end of another node's steps. From then on a transaction of `guard` holds the lock.
async fn take_turn(guard: &Conn) -> Outcome<()> {
    for _ in 0..TURNS_MAX {
        guard.begin().await?;
        // A transaction without a snapshot of its own holds up no index that is made concurrently.
        let wait = format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = {TURN_TIME_MS_MAX}"
        );
        guard.batch(&wait).await?;
        // As text: with parameters its snapshot would stay, until the next statement.
        match guard.batch(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await {
            Ok(()) => return Ok(()),
            Err(fault) if fault.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => guard.roll_back().await,
            Err(fault) => return Err(fault),
        }
    }
    Err(unavailable("another node is still changing the schema").into())
}

async fn take_missing(worker: &Conn, steps: &[Migration]) -> Outcome<()> {
    if !has_meta(worker).await? {
        worker
            .batch(
                "CREATE SCHEMA IF NOT EXISTS postrider;
                 CREATE TABLE IF NOT EXISTS postrider.meta (name text PRIMARY KEY, value bytea NOT NULL)",
            )
            .await?;
    }
    let missing = judge(worker, steps).await?;
    let first = steps.len().saturating_sub(missing);
    for (version, migration) in (1u32..).zip(steps).skip(first) {
        tracing::info!(version, "the schema of the store is changed");
        let Step { statements, is_at_once } = migration.step;
        if is_at_once {
            at_once(worker, statements, (version, migration.oldest_binary)).await?;
        } else {
            one_by_one(worker, statements).await?;
            worker.begin().await?;
            let noted = note(worker, (version, migration.oldest_binary)).await;
            worker.end(noted).await?;
        }
    }
    Ok(())
}

/// How many steps are missing.
async fn judge(conn: &Conn, steps: &[Migration]) -> Outcome<usize> {
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let found = number(conn, "schema").await?.unwrap_or(0);
    let oldest = number(conn, "oldest_binary").await?.unwrap_or(found);
    if found > known && oldest > known {
        return Err(StoreError::NewerSchema { found, known }.into());
    }
    Ok(usize::try_from(known.saturating_sub(found)).unwrap_or(0))
}

async fn at_once(worker: &Conn, statements: &[&str], versions: (u32, u32)) -> Outcome<()> {
    for _ in 1..STEP_TRIES_MAX {
        match try_at_once(worker, statements, versions).await {
            Err(fault) if fault.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => worker.batch(STEP_PAUSE).await?,
            done => return done,
        }
    }
    try_at_once(worker, statements, versions).await
}

async fn try_at_once(worker: &Conn, statements: &[&str], versions: (u32, u32)) -> Outcome<()> {
    worker.begin().await?;
    let step = async {
        let limits = format!("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {STEP_LOCK_TIME_MS_MAX}");
        worker.batch(&limits).await?;
        for sql in statements {
            worker.batch_without_limit(sql).await?;
        }
        note(worker, versions).await
    };
    match step.await {
        Ok(()) => Ok(worker.end(Ok(())).await?),
        Err(fault) => {
            worker.roll_back().await;
            Err(fault)
        }
    }
}

/// They wait for locks as long as they must: what they take while they wait holds up no read and no write.
///
/// The limits are the session's, for `SET LOCAL` holds within a transaction alone. So it must be one session: not behind a pooler that gives
/// each statement another, which would break off what takes long, and leave that session to others without limits.
async fn one_by_one(worker: &Conn, statements: &[&str]) -> Outcome<()> {
    let sql = "SELECT source = 'client' FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'";
    if !worker.query_one(sql, &[]).await?.try_get::<_, bool>(0)? {
        return Err(Fault::Store(StoreError::CannotOpen {
            what: "the PostgreSQL database".to_owned(),
            reason: POOLED.to_owned(),
        }));
    }
    worker.spoil();
    worker.batch("SET statement_timeout = 0").await?;
    worker.batch("SET lock_timeout = 0").await?;
    for statement in statements {
        worker.batch_without_limit(statement).await?;
    }
    worker.batch("RESET statement_timeout").await?;
    worker.batch("RESET lock_timeout").await?;
    worker.unspoil();
    Ok(())
}

async fn note(worker: &Conn, (version, oldest_binary): (u32, u32)) -> Outcome<()> {
    put_number(worker, "schema", version).await?;
    put_number(worker, "oldest_binary", oldest_binary).await
}

async fn has_meta(conn: &Conn) -> Outcome<bool> {
    let row = conn.query_one("SELECT to_regclass('postrider.meta') IS NOT NULL", &[]).await?;
    Ok(row.try_get(0)?)
}

async fn number(conn: &Conn, name: &str) -> Outcome<Option<u32>> {
    let value = get_meta(conn, name).await?;
    Ok(value.and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?))))
}

async fn put_number(conn: &Conn, name: &str, value: u32) -> Outcome<()> {
    put_meta(conn, name, value.to_be_bytes().to_vec()).await
}

/// What stands under a name.
pub(crate) async fn get_meta(conn: &Conn, name: &str) -> Outcome<Option<Vec<u8>>> {
    let row = conn.query_opt("SELECT value FROM postrider.meta WHERE name = $1", &[&name]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Puts a value under a name.
pub(crate) async fn put_meta(conn: &Conn, name: &str, value: Vec<u8>) -> Outcome<()> {
    conn.execute(
        "INSERT INTO postrider.meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        &[&name, &value],
    )
    .await?;
    Ok(())
}

/// Puts a value under a name that has none yet; what stands there then.
pub(crate) async fn put_meta_first(conn: &Conn, name: &str, value: Vec<u8>) -> Outcome<Option<Vec<u8>>> {
    conn.execute(
        "INSERT INTO postrider.meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        &[&name, &value],
    )
    .await?;
    get_meta(conn, name).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postrider_model::seal::SealKey;
    use postrider_testkit::clock::SimClock;
    use postrider_testkit::postgres::Postgres;
    use postrider_testkit::random::SeededRandom;
    use tokio_postgres::NoTls;

    use super::*;
    use crate::open::{OpenOptions, connect};
    use crate::store::PostgresStore;

    async fn open(url: String) -> PostgresStore {
        let key = SealKey::from_bytes(&[7; 32]).unwrap();
        let random = Arc::new(SeededRandom::new(7));
        connect(OpenOptions::new(url, key, random, Arc::new(SimClock::new())))
            .await
            .unwrap()
    }

    const fn at_once_step(statements: &'static [&'static str]) -> Step {
        Step {
            statements,
            is_at_once: true,
        }
    }

    /// The steps that every store has, and these.
    fn and(more: Vec<Step>) -> Vec<Migration> {
        let taken = (0..MIGRATIONS.len()).map(|_| at_once_step(&["SELECT 1 / 0"]));
        let steps = taken.chain(more);
        let migration = |step| Migration { step, oldest_binary: 1 };
        steps.map(migration).collect()
    }

    async fn run(store: &PostgresStore, steps: &[Migration]) -> Outcome<()> {
        take_steps(&store.conn().await?, &store.conn().await?, steps).await
    }

    #[tokio::test]
    async fn a_step_never_stands_in_anybodys_way_for_long() {
        let server = Postgres::options().without_fsync().start();
        let database = server.create_database("in_the_way");
        let store = Arc::new(open(database.url()).await);
        let session = async || {
            let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        };
        let (slow, quick) = (session().await, session().await);
        slow.batch_execute("BEGIN; SELECT * FROM postrider.accounts").await.unwrap();
        let migrating = {
            let store = Arc::clone(&store);
            let steps = and(vec![at_once_step(&["ALTER TABLE postrider.accounts ADD COLUMN fresh integer"])]);
            tokio::spawn(async move { run(&store, &steps).await })
        };
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'postrider.accounts'::regclass";
        while quick.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        // Behind the step it would wait for the end of the slow one, which waits for this.
        quick.batch_execute("SELECT * FROM postrider.accounts").await.unwrap();
        slow.batch_execute("COMMIT").await.unwrap();
        migrating.await.unwrap().unwrap();
        quick.batch_execute("SELECT fresh FROM postrider.accounts").await.unwrap();
    }

    #[tokio::test]
    async fn a_step_outside_a_transaction_is_run_again_where_it_was_broken_off() {
        let server = Postgres::options().without_fsync().start();
        let database = server.create_database("broken_off");
        let store = open(database.url()).await;
        const STATEMENTS: &[&str] = &[
            "DROP INDEX CONCURRENTLY IF EXISTS postrider.accounts_by_name",
            "CREATE UNIQUE INDEX CONCURRENTLY accounts_by_name ON postrider.accounts (name)",
        ];
        let steps = and(vec![
            Step {
                statements: STATEMENTS,
                is_at_once: false,
            },
            at_once_step(&["CREATE TABLE postrider.later (one integer)"]),
        ]);
        let row = |id: u8| format!("('00000000-0000-0000-0000-00000000000{id}', {id}, 0, 'same', true, 1, 0, 0)");
        let columns = "(id, major, minor, name, is_active, version, created_at, modified_at)";
        database.psql(&format!("INSERT INTO postrider.accounts {columns} VALUES {}, {}", row(1), row(2)));
        let version = || database.psql("SELECT encode(value, 'hex') FROM postrider.meta WHERE name = 'schema'");
        let before = version();
        assert!(run(&store, &steps).await.is_err(), "two have one name");
        let state = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('postrider.accounts_by_name')";
        assert_eq!((database.psql(state).as_str(), version()), ("f", before), "it was left half done");
        database.psql("DELETE FROM postrider.accounts WHERE major = 2");
        run(&store, &steps).await.unwrap();
        assert_eq!(database.psql(state), "t");
        let known = format!("{:08x}", steps.len());
        assert_eq!(version(), known);
        database.psql("SELECT one FROM postrider.later");
        run(&store, &steps).await.expect("nothing is left to do");
    }

    #[tokio::test]
    async fn a_step_outside_a_transaction_is_refused_behind_a_pooler() {
        let server = Postgres::options().without_fsync().start();
        let database = server.create_database("pooled");
        let store = open(database.url()).await;
        let steps = and(vec![Step {
            statements: &["CREATE INDEX CONCURRENTLY accounts_by_name ON postrider.accounts (name)"],
            is_at_once: false,
        }]);
        // As behind a pooler, nothing of our settings is sent.
        let pooled = open(format!("{}?prepared_statements=false", database.url())).await;
        let fault = run(&pooled, &steps).await.unwrap_err();
        assert!(
            matches!(&fault, Fault::Store(StoreError::CannotOpen { reason, .. }) if reason.contains("PgBouncer")),
            "{fault:?}"
        );
        let made = "SELECT to_regclass('postrider.accounts_by_name') IS NOT NULL";
        assert_eq!(database.psql(made), "f");
        run(&store, &steps).await.unwrap();
        assert_eq!(database.psql(made), "t");
        for conn in [store.conn().await.unwrap(), store.conn().await.unwrap()] {
            let limits = "SELECT current_setting('statement_timeout') || current_setting('lock_timeout')";
            let row = conn.query_one(limits, &[]).await.unwrap();
            assert_eq!(row.try_get::<_, String>(0).unwrap(), "30s5s", "they are back");
        }
    }
}
