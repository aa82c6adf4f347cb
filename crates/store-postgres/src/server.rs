//! Judges the server: whether a store can be on it, and what of its settings an operator should know.

use postrider_ports::StoreError;

use crate::conn::Conn;
use crate::fault::Outcome;

/// The oldest version: the first with ids of transactions of 64 bits (`pg_current_xact_id`).
const VERSION_MIN: i32 = 13;

/// Refuses a server that a store cannot be on.
pub(crate) async fn judge(conn: &Conn) -> Outcome<()> {
    let sql = "SELECT current_setting('server_version_num')::integer / 10000, current_setting('server_version'),
                      current_setting('transaction_read_only')::boolean, current_setting('server_encoding')";
    let row = conn.query_one(sql, &[]).await?;
    let (version, name): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    if version < VERSION_MIN {
        return Err(refused(format!("it is PostgreSQL {name}; version {VERSION_MIN} or newer is needed")).into());
    }
    let encoding: String = row.try_get(3)?;
    if encoding != "UTF8" {
        return Err(refused(format!("the database's encoding is {encoding}; it must be UTF8")).into());
    }
    if row.try_get(2)? {
        return Err(refused("it is read-only: a standby, or set so. Name the one that takes writes, or all hosts of the url").into());
    }
    Ok(())
}

/// What of the server's settings loses acknowledged events in some kind of failure. Nothing where all is well.
pub(crate) async fn warnings(conn: &Conn) -> Outcome<Vec<String>> {
    let sql = "SELECT current_setting('fsync')::boolean, current_setting('full_page_writes')::boolean,
                      current_setting('synchronous_commit'), current_setting('synchronous_standby_names') <> '',
                      (SELECT count(*) FROM pg_stat_replication)";
    let row = conn.query_one(sql, &[]).await?;
    let (fsync, full_pages): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    let commit: String = row.try_get(2)?;
    let (names_standbys, standbys): (bool, i64) = (row.try_get(3)?, row.try_get(4)?);
    let mut warnings = Vec::new();
    if !fsync {
        warnings.push("the database's fsync is off: a crash of its machine loses acknowledged events, or all of the database".to_owned());
    }
    if !full_pages {
        warnings.push("the database's full_page_writes is off: a crash of its machine may damage it".to_owned());
    }
    if commit == "off" {
        warnings.push("the database's synchronous_commit is off: a crash of it loses events that were acknowledged just before".to_owned());
    } else if names_standbys && commit == "local" {
        warnings.push(
            "the database's synchronous_commit is local: it waits for no standby, and a failover loses acknowledged events".to_owned(),
        );
    }
    if standbys > 0 && !names_standbys {
        warnings
            .push("the database has standbys, but its synchronous_standby_names is empty: a failover loses acknowledged events".to_owned());
    }
    Ok(warnings)
}

/// How many tables there are, and which process of the server's tells it.
pub(crate) async fn survey(conn: &Conn) -> Outcome<(u64, u32)> {
    let sql = "SELECT count(*), pg_backend_pid() FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let row = conn.query_one(sql, &[]).await?;
    let (tables, process): (i64, i32) = (row.try_get(0)?, row.try_get(1)?);
    Ok((tables.unsigned_abs(), process.unsigned_abs()))
}

fn refused(reason: impl Into<String>) -> StoreError {
    StoreError::CannotOpen {
        what: "the PostgreSQL server".to_owned(),
        reason: reason.into(),
    }
}
