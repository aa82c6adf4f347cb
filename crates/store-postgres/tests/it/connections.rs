//! Connections that are cut, missing, or left in the middle of something.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use postrider_ports::archive::Archive as _;
use postrider_ports::registry::AccountMade;
use postrider_ports::{Registry as _, Store as _, StoreError};
use postrider_store_postgres::{CONNECTIONS_MIN, OpenOptions, PostgresStore, connect};
use postrider_testkit::postgres::{Database, Postgres};
use tokio_postgres::NoTls;

use crate::pair::Pair;
use crate::registering::account;
use crate::support::options;

/// A session of somebody else's.
pub(crate) struct Other {
    client: tokio_postgres::Client,
}

impl Other {
    pub(crate) async fn of(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        // It ends with the client, or with the server.
        tokio::spawn(connection);
        Self { client }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// How many sessions there are of which this holds.
    pub(crate) async fn count(&self, sessions: &str) -> i64 {
        let sql =
            format!("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND {sessions}");
        // Within a transaction they are those of its first look, unless it is told to look anew.
        self.run("SELECT pg_stat_clear_snapshot()").await;
        self.client.query_one(&sql, &[]).await.unwrap().get(0)
    }

    /// Waits until the number of sessions of which this holds is so.
    pub(crate) async fn until(&self, sessions: &str, are: i64) {
        while self.count(sessions).await != are {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) const WAITING: &str = "wait_event_type = 'Lock'";
pub(crate) const IN_TRANSACTION: &str = "application_name = 'postrider' AND xact_start IS NOT NULL";
pub(crate) const LOCK: &str = "BEGIN; LOCK TABLE postrider.accounts";

async fn opened(database: &Database<'_>, change: impl FnOnce(&mut OpenOptions)) -> Arc<PostgresStore> {
    let mut options = options(database.url());
    options.lock_time_max = Duration::from_secs(600);
    options.statement_time_max = Duration::from_secs(600);
    change(&mut options);
    Arc::new(connect(options).await.unwrap())
}

/// A call that goes on by itself.
fn making(store: &Arc<PostgresStore>, number: u128) -> tokio::task::JoinHandle<Result<AccountMade, StoreError>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.create_account(account(number)).await })
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_needs_no_restart_of_ours() {
    let server = Postgres::options().without_fsync().start();
    let database = server.create_database("killed");
    let store = opened(&database, |_| {}).await;
    let other = Other::of(&database.url()).await;
    for round in 0..3 {
        let other = Other::of(&database.url()).await;
        other.run(LOCK).await;
        let calls: Vec<_> = (0..4).map(|number| making(&store, round * 10 + number)).collect();
        other.until(WAITING, 4).await;
        server.kill_9();
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            let is_passing = matches!(error, StoreError::Unavailable { .. } | StoreError::Unknown { .. });
            assert!(is_passing, "{error}");
        }
        let error = store.check().await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        server.start_again();
        assert_eq!(store.check().await, Ok(()));
        assert_eq!(store.create_account(account(round * 10 + 9)).await, Ok(AccountMade::Made));
    }
    assert!(other.client.is_closed());
}

#[tokio::test]
async fn who_finds_no_connection_free_is_told_so() {
    let server = Postgres::options().without_fsync().start();
    let database = server.create_database("busy");
    let change = |options: &mut OpenOptions| {
        options.connections_max = CONNECTIONS_MIN;
        options.connection_time_max = Duration::from_millis(300);
    };
    let store = opened(&database, change).await;
    let other = Other::of(&database.url()).await;
    other.run(LOCK).await;
    let calls = [making(&store, 1), making(&store, 2)];
    other.until(WAITING, 2).await;
    let error = store.check().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unavailable { reason, .. } if reason.contains("no connection is free")),
        "{error}"
    );
    other.run("COMMIT").await;
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(AccountMade::Made));
    }
    assert_eq!(store.check().await, Ok(()));
}

#[tokio::test]
async fn what_takes_too_long_is_broken_off() {
    let server = Postgres::options().without_fsync().start();
    let database = server.create_database("slow");
    let slow = opened(&database, |options| options.statement_time_max = Duration::from_millis(300)).await;
    let locked = opened(&database, |options| options.lock_time_max = Duration::from_millis(300)).await;
    let other = Other::of(&database.url()).await;
    other.run(LOCK).await;
    for (store, part) in [(&slow, "a statement took longer"), (&locked, "a lock was waited for")] {
        let error = store.create_account(account(1)).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Unavailable { reason, .. } if reason.contains(part)),
            "{error}"
        );
    }
    other.until(IN_TRANSACTION, 0).await;
    other.run("COMMIT").await;
    assert_eq!(slow.create_account(account(1)).await, Ok(AccountMade::Made));
}

/// What is counted is for the eye alone, of whoever watches a move.
#[tokio::test]
async fn what_takes_too_long_to_count_is_estimated() {
    let pair = Pair::new().await;
    pair.deliver(7).await;
    let session = pair.session().await;
    let slowly = "ALTER TABLE postrider.queue SET (autovacuum_enabled = off);
        CREATE FUNCTION public.slowly(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1 + 1 FROM pg_sleep(60)';
        CREATE AGGREGATE public.count(*) (SFUNC = public.slowly, STYPE = bigint, INITCOND = '0');
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$";
    session.batch_execute(slowly).await.unwrap();
    let node = pair.impatient().await;
    let records = node.standing().await.unwrap().records;
    assert!((14..200).contains(&records), "{records}");
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_transaction_open() {
    let server = Postgres::options().without_fsync().start();
    let database = server.create_database("dropped");
    let store = opened(&database, |options| options.connections_max = CONNECTIONS_MIN).await;
    let other = Other::of(&database.url()).await;
    other.run(LOCK).await;
    let call = making(&store, 1);
    other.until(WAITING, 1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    other.run("COMMIT").await;
    other.until(IN_TRANSACTION, 0).await;
    assert_eq!(
        store.account(postrider_model::account::AccountRef::Id(account(1).id)).await,
        Ok(None)
    );

    // At whatever place it is dropped.
    for polls in 0..60 {
        let mut call = pin!(store.create_account(account(100 + polls)));
        for _ in 0..polls {
            let is_done = call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            if is_done {
                break;
            }
            // The connection's own task, and the server, come a little further.
            other.run("SELECT 1").await;
        }
    }
    other.until(IN_TRANSACTION, 0).await;
    for number in 0..20 {
        assert_eq!(store.create_account(account(1_000 + number)).await, Ok(AccountMade::Made));
    }
    let kept = "SELECT count(*) FROM postrider.accounts WHERE version = 1";
    let kept: i64 = other.client.query_one(kept, &[]).await.unwrap().get(0);
    assert!(kept >= 20, "what was answered is kept, not left in a transaction: {kept}");
    let noted = "SELECT count(*) FROM postrider.accounts a WHERE NOT EXISTS (SELECT FROM postrider.changes c WHERE c.account = a.id)";
    let noted: i64 = other.client.query_one(noted, &[]).await.unwrap().get(0);
    assert_eq!(noted, 0, "all of a call, or nothing");
}
