//! Answers that are kept under idempotency keys, in the transaction of the work that they answer.

use bytes::Bytes;
use postrider_model::key::KeyOwner;
use postrider_model::limits::IDEMPOTENCY_KEPT;
use postrider_model::seal::SealKey;
use postrider_model::time::Timestamp;
use postrider_ports::once::{AnswerKey, Keep, Kept, KeptAnswer, Once, Write, Written};
use rusqlite::{Connection, ToSql, params};
use zeroize::Zeroizing;

use crate::codec::Reader;
use crate::fault::Outcome;
use crate::keys::owner_bytes;
use crate::retention::Budget;
use crate::tx::Tx;
use crate::{accounts, codec, jobs, key_file, keys, retries, webhooks};

/// Bytes of answers that one step takes away, the first whatever its size: the pages of each are visited one by one.
const STEP_BYTES_MAX: i64 = 1024 * 1024;

/// Does a write and keeps its answer, unless one stands there already.
pub(crate) fn write_once(tx: &mut Tx<'_>, write: &Write, keep: &Keep) -> Outcome<Once> {
    if let Some(kept) = find(tx.conn, &keep.at, keep.now, &tx.memory.seal)? {
        return Ok(Once::Kept(kept));
    }
    let written = carry_out(tx, write)?;
    put(tx, keep, &written)?;
    Ok(Once::Done(written))
}

fn carry_out(tx: &mut Tx<'_>, write: &Write) -> Outcome<Written> {
    Ok(match write {
        Write::Nothing => Written::Nothing,
        Write::CreateAccount(account) => Written::Account(accounts::create(tx, account)?),
        Write::CreateKey(key, hash) => Written::Key(keys::create(tx, key, hash)?),
        Write::CreateWebhook(webhook, webhooks_max) => Written::Webhook(webhooks::create(tx, webhook, *webhooks_max)?),
        Write::EditWebhook {
            webhook: (account, webhook),
            edit,
            now,
        } => Written::Edited(webhooks::edit(tx, *account, *webhook, edit.clone(), *now)?),
        Write::CreateTest(delivery, body) => Written::Test(retries::create_test(tx, delivery, body)?),
        Write::RetryDelivery(ask) => Written::Retried(retries::retry(tx, *ask)?),
        Write::CreateJob(job, recovery) => Written::Job(jobs::create(tx, job, *recovery)?),
    })
}

/// The answer that stands under a key, where it has not ended.
pub(crate) fn find(conn: &Connection, at: &AnswerKey, now: Timestamp, seal: &SealKey) -> Outcome<Option<Kept>> {
    let mut statement =
        conn.prepare_cached("SELECT fingerprint, is_secret, answer FROM kept_answers WHERE owner = ? AND key = ? AND ends_at > ?")?;
    let mut rows = statement.query(params![owner_bytes(at.owner), at.key, now.as_millis()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(kept_of(at, (row.get(0)?, row.get(1)?), row.get_ref(2)?.as_blob()?, seal)?))
}

/// An answer from what its row has.
pub(crate) fn kept_of(at: &AnswerKey, (fingerprint, is_secret): ([u8; 32], bool), bytes: &[u8], seal: &SealKey) -> Outcome<Kept> {
    let answer = if is_secret {
        decode(&seal.unseal(bytes, &context(at))?, is_secret)?
    } else {
        decode(bytes, is_secret)?
    };
    Ok(Kept { fingerprint, answer })
}

/// Keeps the answer of what was written, where there is one to keep. One that has ended makes way.
pub(crate) fn put(tx: &Tx<'_>, keep: &Keep, written: &Written) -> Outcome<()> {
    let Some(answer) = (keep.render)(written) else {
        return Ok(());
    };
    insert(tx, &keep.at, keep.fingerprint, keep.now + IDEMPOTENCY_KEPT, &answer)
}

/// Puts an answer under its key.
pub(crate) fn insert(tx: &Tx<'_>, at: &AnswerKey, fingerprint: [u8; 32], ends_at: Timestamp, answer: &KeptAnswer) -> Outcome<()> {
    let mut bytes = encode(answer);
    if answer.is_secret {
        let plain = Zeroizing::new(bytes);
        bytes = tx.memory.seal.seal(&plain, &context(at), key_file::nonce(&*tx.memory.random));
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO kept_answers (owner, key, ends_at, fingerprint, is_secret, answer) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (owner, key) DO UPDATE SET ends_at = excluded.ends_at, fingerprint = excluded.fingerprint,
                                                    is_secret = excluded.is_secret, answer = excluded.answer",
        )?
        .execute(params![
            owner_bytes(at.owner),
            at.key,
            ends_at.as_millis(),
            fingerprint,
            answer.is_secret,
            bytes,
        ])?;
    Ok(())
}

/// Takes away answers that have ended, as far as the step may.
pub(crate) fn purge(conn: &Connection, now: Timestamp, budget: &mut Budget) -> Outcome<()> {
    remove(conn, "ends_at <= ? ORDER BY ends_at", now.as_millis(), budget)
}

/// Takes away the answers of a deleted account, as far as the step may.
pub(crate) fn erase(conn: &Connection, account: [u8; 16], budget: &mut Budget) -> Outcome<()> {
    remove(conn, "owner = ?", account, budget)
}

/// Takes answers away until the step has done enough, by rows or by bytes.
fn remove(conn: &Connection, which: &str, of: impl ToSql, budget: &mut Budget) -> Outcome<()> {
    let mut bytes = 0;
    let mut removed: Vec<i64> = Vec::new();
    {
        let mut statement = conn.prepare_cached(&format!("SELECT number, length(answer) FROM kept_answers WHERE {which} LIMIT ?"))?;
        let mut rows = statement.query(params![of, budget.rows()])?;
        while let Some(row) = rows.next()? {
            bytes += row.get::<_, i64>(1)?;
            if bytes > STEP_BYTES_MAX && !removed.is_empty() {
                budget.end();
                break;
            }
            removed.push(row.get(0)?);
        }
    }
    let mut delete = conn.prepare_cached("DELETE FROM kept_answers WHERE number = ?")?;
    for number in &removed {
        delete.execute([number])?;
    }
    budget.write(removed.len());
    Ok(())
}

/// What an answer is sealed for: it opens under its own key alone.
fn context(at: &AnswerKey) -> Vec<u8> {
    let kind = match at.owner {
        KeyOwner::Operator => b'o',
        KeyOwner::Account(_) => b'a',
    };
    [b"kept_answers/", &[kind][..], &owner_bytes(at.owner), at.key.as_bytes()].concat()
}

/// Status, number of headers, each name and value with its length, and the body.
fn encode(answer: &KeptAnswer) -> Vec<u8> {
    let headers: usize = answer.headers.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
    // One piece from the start: a vector that grows would leave parts of a secret behind in memory.
    let mut out = Vec::with_capacity(2 + 4 + headers + answer.body.len());
    out.extend_from_slice(&answer.status.to_be_bytes());
    out.extend_from_slice(&u32::try_from(answer.headers.len()).unwrap_or(u32::MAX).to_be_bytes());
    for (name, value) in &answer.headers {
        codec::push_blob(&mut out, name.as_bytes());
        codec::push_blob(&mut out, value.as_bytes());
    }
    out.extend_from_slice(&answer.body);
    out
}

fn decode(bytes: &[u8], is_secret: bool) -> Outcome<KeptAnswer> {
    let mut from = Reader(bytes);
    let status = u16::from_be_bytes(from.array()?);
    let count = u32::from_be_bytes(from.array()?);
    Ok(KeptAnswer {
        status,
        headers: (0..count).map(|_| Ok((from.text()?, from.text()?))).collect::<Outcome<_>>()?,
        body: Bytes::copy_from_slice(from.0),
        is_secret,
    })
}

#[cfg(test)]
mod tests {
    use postrider_model::id::AccountId;

    use super::*;

    fn answer() -> KeptAnswer {
        KeptAnswer {
            status: 201,
            headers: vec![
                ("location".to_owned(), "/webhooks/1".to_owned()),
                ("x-empty".to_owned(), String::new()),
            ],
            body: Bytes::from_static(b"{\"id\":1}\0\xff"),
            is_secret: true,
        }
    }

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let bytes = encode(&answer());
        assert_eq!(decode(&bytes, true).unwrap(), answer());
        let bare = KeptAnswer {
            status: 204,
            headers: Vec::new(),
            body: Bytes::new(),
            is_secret: false,
        };
        assert_eq!(decode(&encode(&bare), false).unwrap(), bare);
    }

    #[test]
    fn an_answer_that_is_cut_is_told() {
        let bytes = encode(&answer());
        let head = bytes.len() - answer().body.len();
        for length in 0..head {
            assert!(decode(&bytes[..length], true).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn no_two_keys_are_sealed_for_one_place() {
        let at = |owner, key: &str| {
            context(&AnswerKey {
                owner,
                key: key.to_owned(),
            })
        };
        let account = AccountId::from_u128(u128::from_be_bytes(*b"sixteen letters."));
        assert_ne!(at(KeyOwner::Account(account), "key"), at(KeyOwner::Operator, "sixteen letters.key"));
        assert_ne!(at(KeyOwner::Account(account), "key"), at(KeyOwner::Account(account), "keys"));
    }
}
