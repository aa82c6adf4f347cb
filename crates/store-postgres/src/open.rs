//! Opening a store: the connections, the schema, the key that seals.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_model::seal::SealKey;
use postrider_ports::{Clock, Random, StoreError};
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;

use crate::conn::{Conn, Manner};
use crate::fault::{Fault, Outcome};
use crate::line::Way;
use crate::pool::{CONNECTION_TIME_MAX, HOT_LOCK_TIME_MAX, HOT_SETTINGS, Pools};
use crate::position::Positions;
use crate::store::{Inner, PostgresStore};
use crate::tls::Tls;
use crate::{archive, migrate, moved, partitions, server, url};

/// How long the server works on one statement.
pub const STATEMENT_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a statement waits for a lock.
pub const LOCK_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the server lets a transaction wait for its next statement. Its locks are everybody's, so a node that stands still in the midst of
/// one is thrown out. No transaction of ours waits for anything but the server, those apart that say otherwise (`migrate.rs`).
pub(crate) const IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// After how long the server gives a session up whose other end is gone: probes after 10 s of silence, five seconds apart, and what was sent
/// and is not taken. Nothing of it counts on a socket of the same machine.
const GONE_SETTINGS: &str = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=4 -c tcp_user_timeout=30000";
/// How much longer than the server's own limit an answer is waited for.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);
/// Connections of one node.
pub const CONNECTIONS_MAX: usize = 20;

const SEAL_CHECK: &str = "seal_check";
const SEAL_TEXT: &[u8] = b"postrider";
const SEAL_CONTEXT: &[u8] = b"meta/seal_check";

/// How a store is opened.
pub struct OpenOptions {
    /// `postgres://user:password@host:port/database?…`
    pub url: String,
    /// Seals its secrets.
    pub seal: SealKey,
    /// Gives ids and nonces.
    pub random: Arc<dyn Random>,
    /// Ends what takes too long.
    pub clock: Arc<dyn Clock>,
    /// Connections that this node opens at most.
    pub connections_max: usize,
    /// How long a call waits for one of them, where all are taken or a new one has to be made.
    pub connection_time_max: Duration,
    /// How long the server works on one statement.
    pub statement_time_max: Duration,
    /// How long a statement waits for a lock.
    pub lock_time_max: Duration,
    /// How long the server lets a transaction wait for its next statement.
    pub idle_time_max: Duration,
    /// For `Archive` alone: it may be filled in part.
    pub is_filled: bool,
    /// Statements are prepared: not behind a pooler that knows nothing of it (`?prepared_statements=false` in the url).
    pub is_prepared: bool,
}

impl OpenOptions {
    /// With the usual limits.
    pub fn new(url: impl Into<String>, seal: SealKey, random: Arc<dyn Random>, clock: Arc<dyn Clock>) -> Self {
        Self {
            url: url.into(),
            seal,
            random,
            clock,
            connections_max: CONNECTIONS_MAX,
            connection_time_max: CONNECTION_TIME_MAX,
            statement_time_max: STATEMENT_TIME_MAX,
            lock_time_max: LOCK_TIME_MAX,
            idle_time_max: IDLE_TIME_MAX,
            is_filled: false,
            is_prepared: true,
        }
    }
}

/// Opens a store: connects, brings the schema up to date, and judges the key.
///
/// # Errors
/// `CannotOpen` where the url is wrong or the server cannot be reached, `NewerSchema`, `Seal` where its secrets are sealed under another
/// key, `Unavailable`.
pub async fn connect(options: OpenOptions) -> Result<PostgresStore, StoreError> {
    let (pools, way) = lines(&options)?;
    let positions = prepare(&pools, &options).await.map_err(into_opening)?;
    Ok(PostgresStore::new(Inner {
        pools,
        seal: Arc::new(options.seal),
        random: options.random,
        positions,
        marks: crate::marks::Marks::default(),
        stopped_through: Mutex::default(),
        way,
    }))
}

/// What a database is like before a store is made in it. The connection that has told it lives as long as this.
pub struct Survey {
    /// Tables that are not PostgreSQL's own, ours included.
    pub tables: u64,
    /// The server's process that answered, by its number on the server's machine.
    pub process: u32,
    _conn: Conn,
}

/// Looks at a database, and changes nothing in it.
///
/// # Errors
/// Those of `connect`, but for what only a store can bring about.
pub async fn survey(options: &OpenOptions) -> Result<Survey, StoreError> {
    let (pools, _) = lines(options)?;
    let look = async {
        let conn = pools.other().await?;
        let (tables, process) = server::survey(&conn).await?;
        Ok(Survey {
            tables,
            process,
            _conn: conn,
        })
    };
    look.await.map_err(into_opening)
}

/// The connections that the options ask for; none is made yet.
fn lines(options: &OpenOptions) -> Result<(Pools, Way), StoreError> {
    let target = url::read(&options.url)?;
    let is_prepared = target.is_prepared.unwrap_or(options.is_prepared);
    let (mut config, mut hot) = (target.config.clone(), target.config);
    if is_prepared {
        set(&mut config, &ours(options, options.lock_time_max), "");
        set(&mut hot, &ours(options, options.lock_time_max.min(HOT_LOCK_TIME_MAX)), HOT_SETTINGS);
    } else if hot.get_options().is_some() {
        set(&mut hot, "", HOT_SETTINGS);
    }
    let tls = Tls::new(&target.trust)?;
    let manner = Arc::new(Manner {
        clock: Arc::clone(&options.clock),
        answer_time_max: options.statement_time_max + ANSWER_MARGIN,
        is_prepared,
        renewals: AtomicU64::new(0),
    });
    let connections_max = target.connections_max.unwrap_or(options.connections_max);
    let way = Way::new(config, tls, Arc::clone(&options.clock));
    let pools = Pools::new((&way, &way.with(hot)), connections_max, options.connection_time_max, manner)?;
    Ok((pools, way))
}

/// What each session is told at its beginning.
fn ours(options: &OpenOptions, lock_time_max: Duration) -> String {
    format!(
        "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} {GONE_SETTINGS} -c jit=off",
        options.statement_time_max.as_millis(),
        lock_time_max.as_millis(),
        options.idle_time_max.as_millis(),
    )
}

/// What the url says stands between, and counts more than what is before it.
fn set(config: &mut Config, before: &str, behind: &str) {
    let theirs = config.get_options().unwrap_or_default();
    let all = format!("{before} {theirs} {behind}");
    config.options(all.trim());
}

async fn prepare(pools: &Pools, options: &OpenOptions) -> Outcome<Positions> {
    let (conn, guard) = (pools.other().await?, pools.other().await?);
    server::judge(&conn).await?;
    migrate::migrate(&guard, &conn).await?;
    drop(guard);
    conn.begin().await?;
    let settled = async {
        judge_key(&conn, options).await?;
        if !options.is_filled {
            archive::check_whole(&conn).await?;
        }
        moved::settle(&conn).await
    };
    let settled = settled.await;
    let positions = conn.end(settled).await?;
    partitions::ensure_ahead(&conn, options.clock.wall()).await?;
    Ok(positions)
}

/// Judges the key by what the first node of the store has sealed with its own.
async fn judge_key(conn: &Conn, options: &OpenOptions) -> Outcome<()> {
    let check = match migrate::get_meta(conn, SEAL_CHECK).await? {
        Some(check) => Some(check),
        None => {
            let sealed = options.seal.seal(SEAL_TEXT, SEAL_CONTEXT, nonce(&*options.random));
            // Of two nodes with different keys the second waits here, and then finds the other's.
            migrate::put_meta_first(conn, SEAL_CHECK, sealed).await?
        }
    };
    options.seal.unseal(&check.unwrap_or_default(), SEAL_CONTEXT)?;
    Ok(())
}

/// What is wrong with the url, and no passing matter: the name of the database, or of the user, or the password.
fn into_opening(fault: Fault) -> StoreError {
    let is_of_the_url = fault
        .code()
        .is_some_and(|code| code.code().starts_with("28") || *code == SqlState::INVALID_CATALOG_NAME);
    match fault.into_store() {
        StoreError::Unavailable { reason, .. } if is_of_the_url => StoreError::CannotOpen {
            what: "the PostgreSQL database".to_owned(),
            reason,
        },
        error => error,
    }
}

/// A nonce for one sealing.
pub(crate) fn nonce(random: &dyn Random) -> [u8; 12] {
    let mut nonce = [0u8; 12];
    random.fill(&mut nonce);
    nonce
}

#[cfg(test)]
mod tests {
    use postrider_testkit::clock::SimClock;
    use postrider_testkit::postgres::Postgres;
    use postrider_testkit::random::SeededRandom;

    use super::*;

    /// What a session goes by.
    const TOLD: &str = "SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'),
        current_setting('idle_in_transaction_session_timeout'), current_setting('tcp_keepalives_idle'),
        current_setting('tcp_keepalives_interval'), current_setting('tcp_keepalives_count'), current_setting('tcp_user_timeout'),
        current_setting('plan_cache_mode'))";

    async fn told(conn: Conn) -> String {
        conn.query_one(TOLD, &[]).await.unwrap().try_get(0).unwrap()
    }

    #[tokio::test]
    async fn each_session_is_bounded_and_what_the_url_says_counts_more() {
        let server = Postgres::options().without_fsync().start();
        let settings = async |more: &str| {
            let seal = SealKey::from_bytes(&[7; 32]).unwrap();
            let (random, clock) = (Arc::new(SeededRandom::new(1)), Arc::new(SimClock::new()));
            let options = OpenOptions::new(format!("{}{more}", server.url()), seal, random, clock);
            let (pools, _) = lines(&options).unwrap();
            (told(pools.other().await.unwrap()).await, told(pools.hot().await.unwrap()).await)
        };
        let (other, hot) = settings("").await;
        assert_eq!(other, "30s 5s 10s 10 5 4 30000 auto");
        assert_eq!(hot, "30s 2s 10s 10 5 4 30000 force_generic_plan");
        let (other, hot) = settings("?options=-c%20lock_timeout%3D7s%20-c%20idle_in_transaction_session_timeout%3D9s").await;
        assert_eq!(other, "30s 7s 9s 10 5 4 30000 auto");
        assert_eq!(hot, "30s 7s 9s 10 5 4 30000 force_generic_plan");
        // Through a pooler that takes no options nothing is said: it is as for anybody. What the kernel has for it, no test knows.
        let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let bare: String = client.query_one(TOLD, &[]).await.unwrap().get(0);
        assert!(bare.starts_with("0 0 0 ") && bare.ends_with(" auto"), "{bare}");
        assert_eq!(settings("?prepared_statements=false").await, (bare.clone(), bare));
    }
}
