//! Opening a store: the connections, the schema, the key that seals.

use std::sync::Arc;
use std::time::Duration;

use postrider_model::seal::SealKey;
use postrider_ports::{Clock, Random, StoreError};
use tokio_postgres::Config;

use crate::conn::Manner;
use crate::fault::Outcome;
use crate::line::Way;
use crate::migrate;
use crate::partitions;
use crate::pool::Pools;
use crate::position::Positions;
use crate::store::{Inner, PostgresStore};
use crate::tls::Tls;

/// How long the server works on one statement.
pub const STATEMENT_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a statement waits for a lock.
pub const LOCK_TIME_MAX: Duration = Duration::from_secs(5);
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
    /// How long the server works on one statement.
    pub statement_time_max: Duration,
    /// How long a statement waits for a lock.
    pub lock_time_max: Duration,
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
            statement_time_max: STATEMENT_TIME_MAX,
            lock_time_max: LOCK_TIME_MAX,
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
    let mut config: Config = options.url.parse().map_err(|error: tokio_postgres::Error| StoreError::CannotOpen {
        what: "the PostgreSQL url".to_owned(),
        reason: crate::fault::told(&error),
    })?;
    config.application_name("postrider");
    if options.is_prepared {
        config.options(format!(
            "-c statement_timeout={} -c lock_timeout={} -c jit=off",
            options.statement_time_max.as_millis(),
            options.lock_time_max.as_millis()
        ));
    }
    let roots = rustls::RootCertStore::empty();
    let tls = Tls::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let manner = Arc::new(Manner {
        clock: Arc::clone(&options.clock),
        answer_time_max: options.statement_time_max + ANSWER_MARGIN,
        is_prepared: options.is_prepared,
    });
    let pools = Pools::new(&config, &tls, options.connections_max, manner)?;
    let way = Way {
        config: config.clone(),
        tls: Arc::new(tls),
        clock: Arc::clone(&options.clock),
    };
    let conn = pools.other().await.map_err(crate::fault::Fault::into_store)?;
    conn.begin().await.map_err(crate::fault::Fault::into_store)?;
    let prepared = prepare(&conn, &options).await;
    let positions = conn.end(prepared).await?;
    partitions::ensure_ahead(&conn, options.clock.wall())
        .await
        .map_err(crate::fault::Fault::into_store)?;
    drop(conn);
    Ok(PostgresStore::new(Inner {
        pools,
        seal: Arc::new(options.seal),
        random: options.random,
        clock: options.clock,
        positions,
        way,
    }))
}

async fn prepare(conn: &crate::conn::Conn, options: &OpenOptions) -> Outcome<Positions> {
    migrate::migrate(conn).await?;
    match migrate::get_meta(conn, SEAL_CHECK).await? {
        Some(check) => {
            options.seal.unseal(&check, SEAL_CONTEXT)?;
        }
        None => {
            let sealed = options.seal.seal(SEAL_TEXT, SEAL_CONTEXT, nonce(&*options.random));
            migrate::put_meta(conn, SEAL_CHECK, sealed).await?;
        }
    }
    Ok(Positions { base: 0 })
}

/// A nonce for one sealing.
pub(crate) fn nonce(random: &dyn Random) -> [u8; 12] {
    let mut nonce = [0u8; 12];
    random.fill(&mut nonce);
    nonce
}
