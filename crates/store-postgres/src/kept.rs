//! Answers that are kept under idempotency keys, in the transaction of the work that they answer.
//!
//! Who wants to do the work takes its key first: an empty row, which nobody sees before the transaction ends. Of two at once the second
//! waits for the end of the first, and then finds its answer, before it has done anything itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use postrider_model::key::KeyOwner;
use postrider_model::limits::IDEMPOTENCY_KEPT;
use postrider_model::seal::SealKey;
use postrider_model::time::Timestamp;
use postrider_ports::once::{AnswerKey, Keep, Kept, KeptAnswer, Once, Write, Written};
use tokio_postgres::Row;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::codec::{Reader, push_blob, push_number};
use crate::conn::Conn;
use crate::fault::{Outcome, corrupt, unavailable};
use crate::open::nonce;
use crate::param::Array;
use crate::rows::owner_column;
use crate::store::Inner;
use crate::{accounts, jobs, keys, retries, webhooks};

/// How often a key is asked for that others take and free all the time.
const CLAIMS_MAX: usize = 5;

/// What came of asking for a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is this transaction's: it has to say by `put_many` what is kept.
    Mine,
    /// An answer stands under it: nothing is to be done.
    Kept(Kept),
}

/// Does a write and keeps its answer, within a transaction, unless one stands there already.
pub(crate) async fn write_once(conn: &Conn, inner: &Inner, write: Write, keep: &Keep) -> Outcome<Once> {
    if let Some(Claim::Kept(kept)) = claim_many(conn, inner, &[keep]).await?.pop() {
        return Ok(Once::Kept(kept));
    }
    let written = carry_out(conn, inner, write).await?;
    put_many(conn, inner, &[(keep, (keep.render)(&written))]).await?;
    Ok(Once::Done(written))
}

async fn carry_out(conn: &Conn, inner: &Inner, write: Write) -> Outcome<Written> {
    let positions = inner.positions;
    Ok(match write {
        Write::Nothing => Written::Nothing,
        Write::CreateAccount(account) => Written::Account(accounts::create(conn, positions, &account).await?),
        Write::CreateKey(key, hash) => Written::Key(keys::create(conn, positions, &key, &hash).await?),
        Write::CreateWebhook(webhook, webhooks_max) => Written::Webhook(webhooks::create(conn, inner, &webhook, webhooks_max).await?),
        Write::EditWebhook { webhook, edit, now } => Written::Edited(webhooks::edit(conn, inner, webhook, edit, now).await?),
        Write::CreateTest(delivery, body) => Written::Test(retries::create_test(conn, positions, &delivery, &body).await?),
        Write::RetryDelivery(ask) => Written::Retried(retries::retry(conn, positions, ask).await?),
        Write::CreateJob(job, recovery) => Written::Job(jobs::create(conn, positions, &job, recovery).await?),
    })
}

/// Takes keys for this transaction, in their order, so that two that do it at once never wait for each other in a circle. No key may be
/// named twice. One claim for each, in the order of `keeps`.
pub(crate) async fn claim_many(conn: &Conn, inner: &Inner, keeps: &[&Keep]) -> Outcome<Vec<Claim>> {
    let mut left: Vec<usize> = (0..keeps.len()).collect();
    let mut claims: BTreeMap<usize, Claim> = BTreeMap::new();
    for _ in 0..CLAIMS_MAX {
        // Looked at first: who only finds an answer writes nothing.
        let asked: Vec<(usize, &Keep)> = left.iter().filter_map(|place| Some((*place, *keeps.get(*place)?))).collect();
        let found = find_many(conn, &inner.seal, &asked).await?;
        claims.extend(found.into_iter().map(|(place, kept)| (place, Claim::Kept(kept))));
        let asked = asked.into_iter().filter(|(place, _)| !claims.contains_key(place)).collect();
        let taken = take_many(conn, asked).await?;
        claims.extend(taken.into_iter().map(|place| (place, Claim::Mine)));
        left.retain(|place| !claims.contains_key(place));
        if left.is_empty() {
            return Ok(claims.into_values().collect());
        }
        // Another was faster. It may also have given the key back, or its answer has ended by now.
    }
    Err(unavailable("others take and free the idempotency key all the time").into())
}

/// Takes those keys that are free, or whose answer has ended. Their places.
async fn take_many(conn: &Conn, mut asked: Vec<(usize, &Keep)>) -> Outcome<Vec<usize>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    asked.sort_by(|(_, one), (_, other)| place_of(one).cmp(&place_of(other)));
    let owners: Array<Uuid> = asked.iter().map(|(_, keep)| owner_column(keep.at.owner)).collect();
    let keys: Array<&str> = asked.iter().map(|(_, keep)| keep.at.key.as_str()).collect();
    let ends: Array<i64> = asked.iter().map(|(_, keep)| (keep.now + IDEMPOTENCY_KEPT).as_millis()).collect();
    let kept_time = i64::try_from(IDEMPOTENCY_KEPT.as_millis()).unwrap_or(i64::MAX);
    let taken = conn
        .query(
            "INSERT INTO postrider.kept_answers AS k (owner, key, ends_at, fingerprint, is_secret, answer)
             SELECT owner, key, ends_at, '', false, '' FROM unnest($1, $2, $3) AS asked (owner, key, ends_at)
             ON CONFLICT (owner, key) DO UPDATE SET ends_at = excluded.ends_at WHERE k.ends_at <= excluded.ends_at - $4
             RETURNING k.owner, k.key",
            &[&owners, &keys, &ends, &kept_time],
        )
        .await?;
    let taken: Outcome<Vec<(Uuid, String)>> = taken.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect();
    let mut taken = taken?;
    taken.sort();
    let is_taken = |keep: &Keep| {
        let (owner, key) = place_of(keep);
        taken
            .binary_search_by(|(one, text)| (*one, text.as_str()).cmp(&(owner, key)))
            .is_ok()
    };
    Ok(asked
        .into_iter()
        .filter_map(|(place, keep)| is_taken(keep).then_some(place))
        .collect())
}

fn place_of(keep: &Keep) -> (Uuid, &str) {
    (owner_column(keep.at.owner), &keep.at.key)
}

/// The answers that stand under keys, each with its place.
async fn find_many(conn: &Conn, seal: &SealKey, asked: &[(usize, &Keep)]) -> Outcome<Vec<(usize, Kept)>> {
    let owners: Array<Uuid> = asked.iter().map(|(_, keep)| owner_column(keep.at.owner)).collect();
    let keys: Array<&str> = asked.iter().map(|(_, keep)| keep.at.key.as_str()).collect();
    let times: Array<i64> = asked.iter().map(|(_, keep)| keep.now.as_millis()).collect();
    let found = conn
        .query(
            "SELECT k.fingerprint, k.is_secret, k.answer, asked.n
             FROM unnest($1, $2, $3) WITH ORDINALITY AS asked (owner, key, now, n)
             JOIN postrider.kept_answers k ON k.owner = asked.owner AND k.key = asked.key AND k.ends_at > asked.now",
            &[&owners, &keys, &times],
        )
        .await?;
    let mut kept = Vec::with_capacity(found.len());
    for row in &found {
        let number = usize::try_from(row.try_get::<_, i64>(3)?).map_err(corrupt)?;
        if let Some((place, keep)) = asked.get(number.saturating_sub(1)) {
            kept.push((*place, kept_of(row, &keep.at, seal)?));
        }
    }
    Ok(kept)
}

/// The answer that stands under a key, where it has not ended.
pub(crate) async fn find(conn: &Conn, seal: &SealKey, at: &AnswerKey, now: Timestamp) -> Outcome<Option<Kept>> {
    let row = conn
        .query_opt(
            "SELECT fingerprint, is_secret, answer FROM postrider.kept_answers WHERE owner = $1 AND key = $2 AND ends_at > $3",
            &[&owner_column(at.owner), &at.key, &now.as_millis()],
        )
        .await?;
    row.map(|row| kept_of(&row, at, seal)).transpose()
}

pub(crate) fn kept_of(row: &Row, at: &AnswerKey, seal: &SealKey) -> Outcome<Kept> {
    let is_secret: bool = row.try_get(1)?;
    let bytes: &[u8] = row.try_get(2)?;
    let answer = if is_secret {
        decode(&seal.unseal(bytes, &context(at))?, is_secret)?
    } else {
        decode(bytes, is_secret)?
    };
    let fingerprint: &[u8] = row.try_get(0)?;
    Ok(Kept {
        fingerprint: fingerprint.try_into().map_err(corrupt)?,
        answer,
    })
}

/// Keeps answers under keys that this transaction has taken; a key without an answer is given back.
pub(crate) async fn put_many(conn: &Conn, inner: &Inner, answers: &[(&Keep, Option<KeptAnswer>)]) -> Outcome<()> {
    let (kept, free): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, answer)| answer.is_some());
    if !kept.is_empty() {
        let owners: Array<Uuid> = kept.iter().map(|(keep, _)| owner_column(keep.at.owner)).collect();
        let keys: Array<&str> = kept.iter().map(|(keep, _)| keep.at.key.as_str()).collect();
        let fingerprints: Array<Vec<u8>> = kept.iter().map(|(keep, _)| keep.fingerprint.to_vec()).collect();
        let secrets: Array<bool> = kept.iter().map(|(_, answer)| is_secret(answer.as_ref())).collect();
        let bytes: Array<Vec<u8>> = kept
            .iter()
            .map(|(keep, answer)| answer.as_ref().map(|answer| bytes_of(inner, &keep.at, answer)).unwrap_or_default())
            .collect();
        conn.execute(
            "UPDATE postrider.kept_answers k SET fingerprint = kept.fingerprint, is_secret = kept.is_secret, answer = kept.answer
             FROM unnest($1, $2, $3, $4, $5) AS kept (owner, key, fingerprint, is_secret, answer)
             WHERE k.owner = kept.owner AND k.key = kept.key",
            &[&owners, &keys, &fingerprints, &secrets, &bytes],
        )
        .await?;
    }
    if !free.is_empty() {
        let owners: Array<Uuid> = free.iter().map(|(keep, _)| owner_column(keep.at.owner)).collect();
        let keys: Array<&str> = free.iter().map(|(keep, _)| keep.at.key.as_str()).collect();
        conn.execute(
            "DELETE FROM postrider.kept_answers k USING unnest($1, $2) AS free (owner, key)
             WHERE k.owner = free.owner AND k.key = free.key",
            &[&owners, &keys],
        )
        .await?;
    }
    Ok(())
}

fn is_secret(answer: Option<&KeptAnswer>) -> bool {
    answer.is_some_and(|answer| answer.is_secret)
}

pub(crate) fn bytes_of(inner: &Inner, at: &AnswerKey, answer: &KeptAnswer) -> Vec<u8> {
    let bytes = encode(answer);
    if !answer.is_secret {
        return bytes;
    }
    let plain = Zeroizing::new(bytes);
    inner.seal.seal(&plain, &context(at), nonce(&*inner.random))
}

/// What an answer is sealed for: it opens under its own key alone.
fn context(at: &AnswerKey) -> Vec<u8> {
    let kind = match at.owner {
        KeyOwner::Operator => b'o',
        KeyOwner::Account(_) => b'a',
    };
    [b"kept_answers/", &[kind][..], owner_column(at.owner).as_bytes(), at.key.as_bytes()].concat()
}

/// Status, number of headers, each name and value, and the body.
fn encode(answer: &KeptAnswer) -> Vec<u8> {
    let headers: usize = answer.headers.iter().map(|(name, value)| 20 + name.len() + value.len()).sum();
    // One piece from the start: a vector that grows would leave parts of a secret behind in memory.
    let mut out = Vec::with_capacity(2 + 10 + headers + answer.body.len());
    out.extend_from_slice(&answer.status.to_be_bytes());
    push_number(&mut out, answer.headers.len() as u64);
    for (name, value) in &answer.headers {
        push_blob(&mut out, name.as_bytes());
        push_blob(&mut out, value.as_bytes());
    }
    out.extend_from_slice(&answer.body);
    out
}

fn decode(bytes: &[u8], is_secret: bool) -> Outcome<KeptAnswer> {
    let mut from = Reader(bytes);
    let status = u16::from_be_bytes(from.array()?);
    let count = from.number()?;
    Ok(KeptAnswer {
        status,
        headers: (0..count)
            .map(|_| Ok((from.text()?.to_owned(), from.text()?.to_owned())))
            .collect::<Outcome<_>>()?,
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
                ("x-long".to_owned(), "é".repeat(300)),
            ],
            body: Bytes::from_static(b"{\"id\":1}\0\xff"),
            is_secret: true,
        }
    }

    #[test]
    fn an_answer_comes_back_as_it_was() {
        assert_eq!(decode(&encode(&answer()), true).unwrap(), answer());
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
        let account = KeyOwner::Account(AccountId::from_u128(0));
        assert_ne!(at(account, "key"), at(KeyOwner::Operator, "key"));
        assert_ne!(at(account, "key"), at(account, "keys"));
    }
}
