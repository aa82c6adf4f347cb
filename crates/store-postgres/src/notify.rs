//! Wakes between nodes: NOTIFY after the commit, on a connection of its own; within the committing transactions it would make them wait for
//! each other. Where LISTEN hears nothing (a pooler in between), looking every second takes its place.

use std::fmt::Write as _;
use std::time::Duration;

use postrider_model::id::{AccountId, WebhookId};
use postrider_model::queue::Position;
use postrider_ports::nodes::{NodeToken, Wake};
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::{Client, Notification};

use crate::fault::Outcome;
use crate::line::{Line, Way, query};
use crate::param::Array;

/// PostgreSQL takes payloads of less than 8,000 bytes.
const PAYLOAD_BYTES_MAX: usize = 7_900;
/// How long a notice to ourselves may take before it is taken for lost.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);
/// How often a node looks that hears nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Heard by all nodes.
const ALL: &str = "postrider";
/// What a node tells itself, to learn whether it hears.
const PROBE: &str = "p";

/// What a node may have missed.
const EVERYTHING: [Wake; 3] = [Wake::AnyWork, Wake::Changes, Wake::Slots];

/// A node's ear.
pub(crate) struct Ear {
    way: Way,
    /// Held by the one task that listens, across its waiting.
    listening: Mutex<Option<Listening>>,
}

struct Listening {
    token: NodeToken,
    /// Ends the connection when it is dropped.
    _client: Client,
    /// At most `NOTICES_MAX`.
    notices: mpsc::Receiver<Notification>,
    /// It hears nothing: something in between passes no notices on.
    is_deaf: bool,
}

impl Ear {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            way,
            listening: Mutex::new(None),
        }
    }

    /// Waits until the node is woken. What began to listen only now, or has lost something, looks at everything.
    pub(crate) async fn woken(&self, token: NodeToken, mouth: &Line) -> Outcome<Vec<Wake>> {
        let mut state = self.listening.lock().await;
        if let Some(listening) = state.as_mut().filter(|listening| listening.token == token) {
            if listening.is_deaf {
                self.way.clock.sleep_until(self.way.clock.mono() + POLL_INTERVAL).await;
                return Ok(EVERYTHING.to_vec());
            }
            let wakes = listening.hear().await;
            if !wakes.is_empty() {
                return Ok(wakes);
            }
        }
        *state = None;
        *state = Some(self.listen(token, mouth).await?);
        Ok(EVERYTHING.to_vec())
    }

    async fn listen(&self, token: NodeToken, mouth: &Line) -> Outcome<Listening> {
        let (client, mut notices) = self.way.connect().await?;
        let listen = format!("LISTEN {ALL}; LISTEN {}", channel(token));
        self.way.in_time(client.batch_execute(&listen)).await?;
        // From another connection: a pooler may pass on what comes while this one is at work.
        tell(mouth, &channel(token), vec![PROBE.to_owned()]).await?;
        let deadline = self.way.clock.mono() + PROBE_TIME_MAX;
        let is_deaf = tokio::select! {
            biased;
            notice = notices.recv() => notice.is_none(),
            () = self.way.clock.sleep_until(deadline) => true,
        };
        if is_deaf {
            tracing::warn!("LISTEN hears nothing, as behind a pooler of transactions: this node looks for work every second instead");
        }
        Ok(Listening {
            token,
            _client: client,
            notices,
            is_deaf,
        })
    }
}

impl Listening {
    /// What comes next, with all that waits behind it; nothing where the connection broke or what came was too much.
    async fn hear(&mut self) -> Vec<Wake> {
        let mut wakes = Vec::new();
        let Some(first) = self.notices.recv().await else { return wakes };
        let mut next = Some(first);
        while let Some(notice) = next {
            read(self.token, notice.payload(), &mut wakes);
            next = match self.notices.try_recv() {
                Ok(notice) => Some(notice),
                Err(mpsc::error::TryRecvError::Empty) => None,
                Err(mpsc::error::TryRecvError::Disconnected) => return Vec::new(),
            };
        }
        if wakes.is_empty() {
            // A word of our own, or of a newer version: nothing to do, but not the end.
            return Box::pin(self.hear()).await;
        }
        wakes
    }
}

/// Wakes one node, or all.
pub(crate) async fn wake(mouth: &Line, from: NodeToken, to: Option<NodeToken>, wakes: &[Wake]) -> Outcome<()> {
    let channel = to.map_or_else(|| ALL.to_owned(), channel);
    tell(mouth, &channel, payloads(from, wakes)).await
}

async fn tell(mouth: &Line, channel: &str, payloads: Vec<String>) -> Outcome<()> {
    let payloads: Array<String> = payloads.into_iter().collect();
    let sql = "SELECT count(pg_notify($1, payload)) FROM unnest($2) AS payload";
    let client = mouth.take().await?;
    mouth.way().in_time(query(&client, sql, &[&channel, &payloads])).await?;
    mouth.keep(client);
    Ok(())
}

fn channel(token: NodeToken) -> String {
    format!("postrider_{:032x}", token.0)
}

/// As few texts as they fit in: who speaks, and a word for each wake.
fn payloads(from: NodeToken, wakes: &[Wake]) -> Vec<String> {
    let begin = || format!("f{:032x}", from.0);
    let mut payloads = Vec::new();
    let mut payload = begin();
    for wake in wakes {
        let word = word(wake);
        if payload.len() + 1 + word.len() > PAYLOAD_BYTES_MAX {
            payloads.push(std::mem::replace(&mut payload, begin()));
        }
        payload.push(' ');
        payload.push_str(&word);
    }
    payloads.push(payload);
    payloads
}

fn word(wake: &Wake) -> String {
    match wake {
        Wake::AnyWork => "a".to_owned(),
        Wake::Changes => "c".to_owned(),
        Wake::Slots => "s".to_owned(),
        Wake::Work { account, webhook, through } => {
            let mut word = String::with_capacity(98);
            // Writing to a text cannot fail.
            let _ = write!(
                word,
                "w{:032x}{:032x}{:x}.{:x}",
                account.as_u128(),
                webhook.as_u128(),
                through.major,
                through.minor
            );
            word
        }
    }
}

/// Reads what another node said; words that are not known are those of a newer version.
fn read(token: NodeToken, payload: &str, wakes: &mut Vec<Wake>) {
    let mut words = payload.split(' ');
    let own = format!("f{:032x}", token.0);
    if words.next().is_none_or(|from| from == own || !from.starts_with('f')) {
        return;
    }
    for word in words {
        let wake = match word {
            "a" => Some(Wake::AnyWork),
            "c" => Some(Wake::Changes),
            "s" => Some(Wake::Slots),
            _ => work(word),
        };
        wakes.extend(wake);
    }
}

fn work(word: &str) -> Option<Wake> {
    let word = word.strip_prefix('w')?;
    let (account, rest) = word.split_at_checked(32)?;
    let (webhook, place) = rest.split_at_checked(32)?;
    let (major, minor) = place.split_once('.')?;
    Some(Wake::Work {
        account: AccountId::from_u128(u128::from_str_radix(account, 16).ok()?),
        webhook: WebhookId::from_u128(u128::from_str_radix(webhook, 16).ok()?),
        through: Position {
            major: u64::from_str_radix(major, 16).ok()?,
            minor: u32::from_str_radix(minor, 16).ok()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NodeToken = NodeToken(1);
    const OTHER: NodeToken = NodeToken(u128::MAX);

    fn work_of(number: u128) -> Wake {
        Wake::Work {
            account: AccountId::from_u128(u128::MAX),
            webhook: WebhookId::from_u128(number),
            through: Position {
                major: u64::MAX,
                minor: u32::MAX,
            },
        }
    }

    #[test]
    fn what_is_said_is_understood() {
        let said = [Wake::AnyWork, work_of(7), Wake::Changes, Wake::Slots, work_of(0)];
        let mut heard = Vec::new();
        for payload in payloads(ONE, &said) {
            read(OTHER, &payload, &mut heard);
        }
        assert_eq!(heard, said);
    }

    #[test]
    fn no_payload_is_too_long() {
        let said: Vec<Wake> = (0..1_000).map(work_of).collect();
        let payloads = payloads(OTHER, &said);
        assert!(
            payloads.iter().all(|payload| payload.len() <= PAYLOAD_BYTES_MAX),
            "{}",
            payloads.len()
        );
        let mut heard = Vec::new();
        payloads.iter().for_each(|payload| read(ONE, payload, &mut heard));
        assert_eq!(heard, said);
    }

    #[test]
    fn nobody_hears_itself_and_what_is_no_word_is_passed_over() {
        let mut heard = Vec::new();
        for payload in payloads(ONE, &[Wake::Changes]) {
            read(ONE, &payload, &mut heard);
        }
        for payload in [
            "",
            "p",
            "x a",
            "f00 w w12 wé z",
            "f00 wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww.1",
        ] {
            read(ONE, payload, &mut heard);
        }
        assert!(heard.is_empty());
    }
}
