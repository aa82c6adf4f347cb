//! A store that was moved: restored from a dump into another server, whose transactions count from anew. Places have to go on.
//!
//! What is added to a transaction's id, `position_base`, is raised where a store opens and finds another server than before, or a place
//! behind the highest that was ever noted. That one is noted now and then only, so places go on with a wide gap.

use crate::conn::Conn;
use crate::fault::{Fault, Outcome};
use crate::migrate::{get_meta, put_meta};
use crate::position::{Positions, XID};

const BASE: &str = "position_base";
const SERVER: &str = "server";

/// More transactions than can go by between two notes of the highest place.
const GAP: i64 = 1 << 32;

/// A small durable write that notes the place it stands at.
pub(crate) async fn beat(conn: &Conn, positions: Positions) -> Outcome<()> {
    let sql = format!("UPDATE postrider.pulse SET beats = beats + 1, major = greatest(major, {XID} + $1)");
    conn.execute(&sql, &[&positions.base]).await?;
    Ok(())
}

/// What is added to ids of transactions from now on. Within a transaction.
pub(crate) async fn settle(conn: &Conn) -> Outcome<Positions> {
    // Held, so that of many nodes that find a moved store one raises the base, and the others find it raised.
    let sql = format!("SELECT major, {XID} FROM postrider.pulse FOR UPDATE");
    let row = conn.query_one(&sql, &[]).await?;
    let (noted, id): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let base = get_meta(conn, BASE).await?;
    let base = base.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
    let mut positions = Positions { base: base.unwrap_or(0) };
    let here = identity(conn).await?;
    let before = get_meta(conn, SERVER).await?;
    let is_elsewhere = before.is_some() && !here.is_empty() && before.as_ref() != Some(&here);
    if is_elsewhere || positions.base + id < noted {
        positions.base = noted.max(positions.base + id) + GAP - id;
        tracing::info!("the store was moved to another server: its places go on behind those of the former");
        put_meta(conn, BASE, positions.base.to_be_bytes().to_vec()).await?;
    }
    if !here.is_empty() && before.as_ref() != Some(&here) {
        put_meta(conn, SERVER, here).await?;
    }
    beat(conn, positions).await?;
    Ok(positions)
}

/// Which server this is: its standbys are the same. Empty where it does not tell us.
async fn identity(conn: &Conn) -> Outcome<Vec<u8>> {
    conn.batch("SAVEPOINT asked").await?;
    let told = conn.query_one("SELECT system_identifier::text FROM pg_control_system()", &[]).await;
    match told {
        Ok(row) => {
            conn.batch("RELEASE SAVEPOINT asked").await?;
            Ok(row.try_get::<_, String>(0)?.into_bytes())
        }
        // Some who run servers for others do not let everybody ask, or have no such thing.
        Err(Fault::Sql(error)) if error.code().is_some() => {
            conn.batch("ROLLBACK TO SAVEPOINT asked").await?;
            Ok(Vec::new())
        }
        Err(fault) => Err(fault),
    }
}
