//! What records are called: when they are counted, and when one of them is told.

use std::fmt;

use postrider_model::id::{AccountId, DeliveryId, EventId, JobId, KeyId, WebhookId};
use postrider_model::key::KeyOwner;
use postrider_ports::archive::{Kind, Record};
use postrider_ports::once::AnswerKey;

/// Records that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Sort {
    Accounts,
    Keys,
    Webhooks,
    Events,
    Deliveries,
    Fanouts,
    Stopping,
    Jobs,
    Answers,
}

impl Sort {
    /// All, in the order in which they are moved.
    pub(super) const ALL: [Self; 9] = [
        Self::Accounts,
        Self::Keys,
        Self::Webhooks,
        Self::Events,
        Self::Deliveries,
        Self::Fanouts,
        Self::Stopping,
        Self::Jobs,
        Self::Answers,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Keys => "keys",
            Self::Webhooks => "webhooks",
            Self::Events => "events",
            Self::Deliveries => "deliveries",
            Self::Fanouts => "fan-outs",
            Self::Stopping => "stopping",
            Self::Jobs => "jobs",
            Self::Answers => "answers",
        }
    }

    /// As what they are read.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Accounts => Kind::Accounts,
            Self::Keys => Kind::Keys,
            Self::Webhooks => Kind::Webhooks,
            Self::Events | Self::Deliveries => Kind::History,
            Self::Fanouts => Kind::Fanouts,
            Self::Stopping => Kind::Stopping,
            Self::Jobs => Kind::Jobs,
            Self::Answers => Kind::Answers,
        }
    }
}

/// Tells a record from all others of its store.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Name<'a> {
    Account(AccountId),
    Key(KeyId),
    Webhook(WebhookId),
    Event(AccountId, &'a EventId),
    Delivery(DeliveryId),
    Fanout(AccountId, &'a EventId, u32),
    Stopping(WebhookId),
    Job(JobId),
    Answer(&'a AnswerKey),
}

impl<'a> Name<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        match record {
            Record::Account { account, .. } => Self::Account(account.id),
            Record::Key { key, .. } => Self::Key(key.id),
            Record::Webhook { webhook, .. } => Self::Webhook(webhook.id),
            Record::Event { event, .. } => Self::Event(event.account, &event.id),
            Record::Delivery(kept) => Self::Delivery(kept.delivery.id),
            Record::Fanout { account, event, chunk, .. } => Self::Fanout(*account, event, *chunk),
            Record::Stopping { webhook, .. } => Self::Stopping(*webhook),
            Record::Job(kept) => Self::Job(kept.job.id),
            Record::Answer { at, .. } => Self::Answer(at),
        }
    }

    pub(super) const fn sort(&self) -> Sort {
        match self {
            Self::Account(_) => Sort::Accounts,
            Self::Key(_) => Sort::Keys,
            Self::Webhook(_) => Sort::Webhooks,
            Self::Event(..) => Sort::Events,
            Self::Delivery(_) => Sort::Deliveries,
            Self::Fanout(..) => Sort::Fanouts,
            Self::Stopping(_) => Sort::Stopping,
            Self::Job(_) => Sort::Jobs,
            Self::Answer(_) => Sort::Answers,
        }
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => write!(out, "the account {id}"),
            Self::Key(id) => write!(out, "the key {id}"),
            Self::Webhook(id) => write!(out, "the webhook {id}"),
            Self::Event(account, id) => write!(out, "the event {id} of the account {account}"),
            Self::Delivery(id) => write!(out, "the delivery {id}"),
            Self::Fanout(account, event, chunk) => {
                write!(
                    out,
                    "part {chunk} of what is still to be made of the event {event} of the account {account}"
                )
            }
            Self::Stopping(id) => write!(out, "the note that the deliveries of the deleted webhook {id} are to be ended"),
            Self::Job(id) => write!(out, "the job {id}"),
            Self::Answer(AnswerKey { owner, key }) => {
                let owner = match owner {
                    KeyOwner::Operator => "the operator".to_owned(),
                    KeyOwner::Account(account) => format!("the account {account}"),
                };
                write!(out, "the answer kept under the idempotency key {key:?} of {owner}")
            }
        }
    }
}

/// Whose order a record has a place in: the kind and the owner. `None` where it has none.
pub(super) fn line_of(record: &Record) -> Option<(Kind, u128)> {
    Some(match record {
        Record::Account { .. } => (Kind::Accounts, 0),
        Record::Key { key, .. } => match key.owner {
            KeyOwner::Operator => (Kind::Keys, 0),
            KeyOwner::Account(account) => (Kind::Keys, account.as_u128()),
        },
        Record::Webhook { webhook, .. } => (Kind::Webhooks, webhook.account.as_u128()),
        Record::Event { event, .. } => (Kind::History, event.account.as_u128()),
        Record::Delivery(kept) => (Kind::History, kept.delivery.account.as_u128()),
        Record::Job(kept) => (Kind::Jobs, kept.job.account.as_u128()),
        Record::Fanout { .. } | Record::Stopping { .. } | Record::Answer { .. } => return None,
    })
}
