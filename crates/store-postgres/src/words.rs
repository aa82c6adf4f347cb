//! What nodes say to each other: texts of notices.
//!
//! A text begins with a letter for its kind and who speaks. `f`: words, parted by spaces. `d`: deliveries, one after the other. Others
//! are those of a newer version, and passed over.

use std::fmt::Write as _;

use bytes::Bytes;
use postrider_model::delivery::Progress;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::queue::{Position, Queued};
use postrider_model::time::Timestamp;
use postrider_ports::nodes::{Committed, NodeToken, Wake};
use postrider_ports::registry::AccountVersion;

/// PostgreSQL takes payloads of less than 8,000 bytes.
const PAYLOAD_BYTES_MAX: usize = 7_900;
/// Stands for a body that the delivery before had already.
const SAME: &str = "=";

/// As few texts as they fit in. A delivery that fits into none, or all where `hands_over` is false, are told as work that is to be read.
pub(crate) fn payloads(from: NodeToken, wakes: &[Wake], hands_over: bool) -> Vec<String> {
    let mut words = Texts::new('f', from);
    let mut deliveries = Texts::new('d', from);
    let mut last_event = None;
    for wake in wakes {
        if let Wake::Committed(committed) = wake {
            let Queued {
                account,
                webhook,
                position,
                ..
            } = committed.queued;
            let event = Some((account, &committed.queued.event));
            let is_told = hands_over && deliver(&mut deliveries, committed, event == last_event);
            last_event = if is_told { event } else { last_event };
            if !is_told {
                words.push(&work(account, webhook, position));
            }
        } else {
            words.push(&word(wake));
        }
    }
    deliveries.end().chain(words.end()).collect()
}

/// Texts in the making.
struct Texts {
    begin: String,
    text: String,
    /// As many as it takes.
    full: Vec<String>,
}

impl Texts {
    fn new(kind: char, from: NodeToken) -> Self {
        let begin = format!("{kind}{:032x}", from.0);
        Self {
            text: begin.clone(),
            begin,
            full: Vec::new(),
        }
    }

    fn fits(&self, part: &str) -> bool {
        self.text.len() + part.len() <= PAYLOAD_BYTES_MAX
    }

    fn push(&mut self, part: &str) {
        if !self.fits(part) {
            self.full.push(std::mem::replace(&mut self.text, self.begin.clone()));
        }
        self.text.push_str(part);
    }

    fn end(mut self) -> impl Iterator<Item = String> {
        if self.text.len() > self.begin.len() {
            self.full.push(self.text);
        }
        self.full.into_iter()
    }
}

fn word(wake: &Wake) -> String {
    let word = match wake {
        Wake::AnyWork => " a",
        Wake::Changes => " c",
        Wake::Slots => " s",
        Wake::Missed => " m",
        Wake::Work { account, webhook, through } => return work(*account, *webhook, *through),
        Wake::Committed(committed) => return work(committed.queued.account, committed.queued.webhook, committed.queued.position),
    };
    word.to_owned()
}

fn work(account: AccountId, webhook: WebhookId, through: Position) -> String {
    let (account, webhook) = (account.as_u128(), webhook.as_u128());
    format!(" w{account:032x}{webhook:032x}{:x}.{:x}", through.major, through.minor)
}

/// Adds a delivery. False where that cannot be.
fn deliver(texts: &mut Texts, committed: &Committed, is_of_last_event: bool) -> bool {
    let Committed { queued, version } = committed;
    let is_fresh = queued.progress == Progress::new(queued.due) && !queued.is_urgent;
    let (true, Some(event), Ok(body)) = (is_fresh, &queued.event, std::str::from_utf8(&queued.body)) else {
        return false;
    };
    let mut delivery = String::with_capacity(256 + body.len());
    // Writing to a text cannot fail.
    let _ = write!(
        delivery,
        "{:032x}{:032x}{:032x}{} {} {} {} {event} ",
        queued.account.as_u128(),
        queued.webhook.as_u128(),
        queued.delivery.as_u128(),
        queued.position.major,
        queued.position.minor,
        version.0,
        queued.due.as_millis(),
    );
    let with_body = |head: &str| format!("{head}{} {body}", body.len());
    if is_of_last_event {
        let same = format!("{delivery}{SAME} ");
        let text = if texts.fits(&same) { same } else { with_body(&delivery) };
        texts.push(&text);
        return true;
    }
    let text = with_body(&delivery);
    let fits = texts.begin.len() + text.len() <= PAYLOAD_BYTES_MAX && !body.contains('\0');
    if fits {
        texts.push(&text);
    }
    fits
}

/// Reads what another node said, to this one alone (`is_for_us`) or to all. Deliveries are taken only where it was said by who knows this
/// node's token: whoever has a connection to the database may speak to all.
pub(crate) fn read(token: NodeToken, is_for_us: bool, payload: &str, wakes: &mut Vec<Wake>) {
    let mut text = Text(payload);
    let kind = text.take(1);
    if text.hex().is_none_or(|from| from == token.0) {
        return;
    }
    match kind {
        Some("f") => wakes.extend(text.0.split(' ').filter_map(read_word)),
        Some("d") if is_for_us => read_deliveries(text, wakes),
        _ => {}
    }
}

fn read_word(word: &str) -> Option<Wake> {
    match word {
        "a" => Some(Wake::AnyWork),
        "c" => Some(Wake::Changes),
        "s" => Some(Wake::Slots),
        "m" => Some(Wake::Missed),
        _ => read_work(Text(word.strip_prefix('w')?)),
    }
}

fn read_work(mut text: Text<'_>) -> Option<Wake> {
    let (account, webhook) = (text.hex()?, text.hex()?);
    let (major, minor) = text.0.split_once('.')?;
    Some(Wake::Work {
        account: AccountId::from_u128(account),
        webhook: WebhookId::from_u128(webhook),
        through: Position {
            major: u64::from_str_radix(major, 16).ok()?,
            minor: u32::from_str_radix(minor, 16).ok()?,
        },
    })
}

/// What cannot be read is found by the next look at all that waits.
fn read_deliveries(mut text: Text<'_>, wakes: &mut Vec<Wake>) {
    let mut body = Bytes::new();
    while !text.0.is_empty() {
        let Some(committed) = text.delivery(&mut body) else {
            return wakes.push(Wake::Missed);
        };
        wakes.push(Wake::Committed(Box::new(committed)));
    }
}

/// What is left to read.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn hex(&mut self) -> Option<u128> {
        u128::from_str_radix(self.take(32)?, 16).ok()
    }

    fn until_space(&mut self) -> Option<&'a str> {
        let (taken, rest) = self.0.split_once(' ')?;
        self.0 = rest;
        Some(taken)
    }

    fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.until_space()?.parse().ok()
    }

    /// `body` is that of the delivery before, and then of this one.
    fn delivery(&mut self, body: &mut Bytes) -> Option<Committed> {
        let (account, webhook, delivery) = (self.hex()?, self.hex()?, self.hex()?);
        let position = Position {
            major: self.number()?,
            minor: self.number()?,
        };
        let version = AccountVersion(self.number()?);
        let due = Timestamp::from_millis(self.number()?);
        let event: EventId = self.number()?;
        let size = self.until_space()?;
        if size != SAME {
            *body = Bytes::copy_from_slice(self.take(size.parse().ok()?)?.as_bytes());
        }
        let queued = Queued {
            delivery: DeliveryId::from_u128(delivery),
            account: AccountId::from_u128(account),
            webhook: WebhookId::from_u128(webhook),
            event: Some(event),
            progress: Progress::new(due),
            due,
            is_urgent: false,
            position,
            body: body.clone(),
        };
        Some(Committed { queued, version })
    }
}

#[cfg(test)]
mod tests;
