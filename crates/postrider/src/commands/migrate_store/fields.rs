//! A record as a list of named fields, every one that is kept: a field that is added to a record does not compile here until it is named.

use aws_lc_rs::digest::{Context, SHA256};
use postrider_model::account::Account;
use postrider_model::attempt::{Attempt, AttemptError, Response};
use postrider_model::delivery::{Delivery, Progress, Status};
use postrider_model::event::{Event, Resource};
use postrider_model::health::Health;
use postrider_model::id::{EventId, WebhookId};
use postrider_model::job::{Job, Recovery};
use postrider_model::key::{Key, KeyOwner, TokenHash};
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;
use postrider_ports::archive::{DeliveryKept, JobKept, Record};
use postrider_ports::once::{AnswerKey, Kept, KeptAnswer};

/// A hash of SHA-256.
pub(super) type Hash32 = [u8; 32];

/// Takes the fields of a record in: into one hash, and where it is asked for into one of each.
pub(super) struct Fields {
    all: Context,
    apart: Option<Vec<(String, Hash32)>>,
    /// A part of the record that there are several of, by its number.
    within: Option<(&'static str, u64)>,
}

impl Fields {
    /// Of a record, as one hash.
    pub(super) fn hash(record: &Record) -> Hash32 {
        let mut fields = Self::new(None);
        fields.record(record);
        finish(fields.all)
    }

    /// Of a record, each with its name.
    pub(super) fn apart(record: &Record) -> Vec<(String, Hash32)> {
        let mut fields = Self::new(Some(Vec::new()));
        fields.record(record);
        fields.apart.unwrap_or_default()
    }

    fn new(apart: Option<Vec<(String, Hash32)>>) -> Self {
        Self {
            all: Context::new(&SHA256),
            apart,
            within: None,
        }
    }

    /// Its length goes before it, so that no two lists of fields look alike.
    fn put(&mut self, name: &'static str, bytes: &[u8]) {
        self.all.update(&(bytes.len() as u64).to_be_bytes());
        self.all.update(bytes);
        if let Some(apart) = &mut self.apart {
            let name = match self.within {
                Some((part, number)) => format!("{part} {number}: {name}"),
                None => name.to_owned(),
            };
            let mut hash = Context::new(&SHA256);
            hash.update(bytes);
            apart.push((name, finish(hash)));
        }
    }

    fn number(&mut self, name: &'static str, number: impl Into<u128>) {
        self.put(name, &number.into().to_be_bytes());
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.put(name, text.as_bytes());
    }

    fn time(&mut self, name: &'static str, time: Timestamp) {
        self.put(name, &time.as_millis().to_be_bytes());
    }

    /// What is not there is told apart from what is empty, by one more field.
    fn maybe<T>(&mut self, name: &'static str, value: Option<T>, put: impl FnOnce(&mut Self, &'static str, T)) {
        self.put(name, &[u8::from(value.is_some())]);
        if let Some(value) = value {
            put(self, name, value);
        }
    }

    fn maybe_time(&mut self, name: &'static str, time: Option<Timestamp>) {
        self.maybe(name, time, Self::time);
    }

    fn maybe_text(&mut self, name: &'static str, text: Option<&str>) {
        self.maybe(name, text, Self::text);
    }

    fn headers(&mut self, name: &'static str, headers: &[(String, String)]) {
        self.number(name, headers.len() as u64);
        for (header, value) in headers {
            self.text(name, header);
            self.text(name, value);
        }
    }

    fn owner(&mut self, owner: KeyOwner) {
        let account = match owner {
            KeyOwner::Operator => None,
            KeyOwner::Account(account) => Some(account.as_u128()),
        };
        self.maybe("owner", account, Self::number);
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Account {
                account,
                version,
                deleted_at,
                is_erased,
            } => {
                self.account(account);
                self.number("version", *version);
                self.maybe_time("deleted_at", *deleted_at);
                self.number("is_erased", u8::from(*is_erased));
            }
            Record::Key { key, hash } => self.key(key, hash),
            Record::Webhook { webhook, deleted_at } => {
                self.webhook(webhook);
                self.maybe_time("deleted_at", *deleted_at);
            }
            Record::Event { event, deliveries } => {
                self.event(event);
                let ids = deliveries.iter().flat_map(|id| id.as_u128().to_be_bytes());
                self.put("deliveries", &ids.collect::<Vec<u8>>());
            }
            Record::Delivery(kept) => self.delivery(kept),
            Record::Fanout {
                account,
                event,
                chunk,
                created_at,
                pairs,
            } => {
                self.number("account", account.as_u128());
                self.text("event", &event.to_string());
                self.number("chunk", *chunk);
                self.time("created_at", *created_at);
                let ids = pairs.iter().flat_map(|(delivery, webhook)| [delivery.as_u128(), webhook.as_u128()]);
                self.put("pairs", &ids.flat_map(u128::to_be_bytes).collect::<Vec<u8>>());
            }
            Record::Stopping { account, webhook } => {
                self.number("account", account.as_u128());
                self.number("webhook", webhook.as_u128());
            }
            Record::Job(kept) => self.job(kept),
            Record::Answer { at, ends_at, kept } => self.answer(at, *ends_at, kept),
        }
    }

    fn account(&mut self, account: &Account) {
        let Account {
            id,
            external_id,
            name,
            is_active,
            created_at,
            modified_at,
        } = account;
        self.number("id", id.as_u128());
        self.maybe_text("external_id", external_id.as_deref());
        self.text("name", name);
        self.number("is_active", u8::from(*is_active));
        self.time("created_at", *created_at);
        self.time("modified_at", *modified_at);
    }

    fn key(&mut self, key: &Key, hash: &TokenHash) {
        let Key {
            id,
            owner,
            name,
            hint,
            scopes,
            created_at,
            expires_at,
            last_used_at,
        } = key;
        self.number("id", id.as_u128());
        self.owner(*owner);
        self.put("hash", hash.as_bytes());
        self.text("name", name);
        self.text("hint", hint);
        self.number("scopes", scopes.bits());
        self.time("created_at", *created_at);
        self.maybe_time("expires_at", *expires_at);
        self.maybe_time("last_used_at", *last_used_at);
    }

    fn webhook(&mut self, webhook: &Webhook) {
        let Webhook {
            id,
            account,
            url,
            description,
            is_active,
            event_names,
            secrets,
            health,
            created_at,
            modified_at,
        } = webhook;
        self.number("id", id.as_u128());
        self.number("account", account.as_u128());
        self.text("url", url.as_str());
        self.maybe_text("description", description.as_deref());
        self.number("is_active", u8::from(*is_active));
        self.number("event_names", event_names.len() as u64);
        for name in event_names {
            self.text("event_names", name.as_str());
        }
        self.number("secrets", secrets.len() as u64);
        for secret in secrets {
            self.put("secrets", secret.secret.as_bytes());
            self.maybe_time("secrets", secret.expires_at);
        }
        match health {
            Health::Unproven => self.number("health", 0u8),
            Health::Well => self.number("health", 1u8),
            Health::Ill { failures, since } => {
                self.number("health", 2u8);
                self.number("health", *failures);
                self.time("health", *since);
            }
        }
        self.time("created_at", *created_at);
        self.time("modified_at", *modified_at);
    }

    fn event(&mut self, event: &Event) {
        let Event {
            id,
            account,
            name,
            resource: Resource {
                id: resource,
                resource_type,
            },
            created_at,
            body,
        } = event;
        self.text("id", &id.to_string());
        self.number("account", account.as_u128());
        self.text("name", name.as_str());
        self.text("resource id", resource);
        self.text("resource_type", resource_type);
        self.time("created_at", *created_at);
        self.put("body", body);
    }

    fn delivery(&mut self, kept: &DeliveryKept) {
        let DeliveryKept {
            delivery:
                Delivery {
                    id,
                    account,
                    webhook,
                    event,
                    status,
                    progress:
                        Progress {
                            attempts: count,
                            schedule_base,
                            schedule_began_at,
                        },
                    created_at,
                    modified_at,
                },
            is_urgent,
            is_later,
            attempts,
            test,
        } = kept;
        self.number("id", id.as_u128());
        self.number("account", account.as_u128());
        self.number("webhook", webhook.as_u128());
        self.maybe_text("event", event.as_ref().map(EventId::to_string).as_deref());
        let (code, at) = match *status {
            Status::Pending { due } => (0, due),
            Status::Succeeded { at } => (1, at),
            Status::Failed { at, reason } => (1 + reason as u8, at),
        };
        self.number("status", code);
        self.time("status", at);
        self.number("attempts", *count);
        self.number("schedule_base", *schedule_base);
        self.time("schedule_began_at", *schedule_began_at);
        self.time("created_at", *created_at);
        self.time("modified_at", *modified_at);
        self.number("is_urgent", u8::from(*is_urgent));
        self.number("is_later", u8::from(*is_later));
        self.maybe("body", test.as_deref(), Self::put);
        self.number("attempts", attempts.len() as u64);
        for attempt in attempts {
            self.attempt(attempt);
        }
        self.within = None;
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let Attempt {
            id,
            number,
            url,
            created_at,
            duration,
            response,
            error,
        } = attempt;
        self.within = Some(("attempt", u64::from(*number)));
        self.number("number", *number);
        self.number("id", id.as_u128());
        self.text("url", url);
        self.time("created_at", *created_at);
        self.number("duration", duration.as_nanos());
        self.maybe("response", response.as_ref(), |fields, _, response| fields.response(response));
        self.maybe("error", error.as_ref(), |fields, name, error| {
            let AttemptError { kind, message } = error;
            fields.number(name, *kind as u8);
            fields.text(name, message);
        });
    }

    fn response(&mut self, response: &Response) {
        let Response {
            status,
            duration,
            headers,
            body,
            truncated,
        } = response;
        self.number("response status", *status);
        self.number("response duration", duration.as_nanos());
        self.maybe("response headers", headers.as_deref(), Self::headers);
        self.maybe("response body", body.as_deref(), Self::put);
        self.number("response truncated", u8::from(*truncated));
    }

    fn job(&mut self, kept: &JobKept) {
        let JobKept {
            job:
                Job {
                    id,
                    account,
                    kind,
                    webhook,
                    status,
                    done,
                    total,
                    error,
                    ended_at,
                    created_at,
                    modified_at,
                },
            recovery:
                Recovery {
                    webhook: to,
                    since,
                    until,
                    what,
                },
            counted,
            through,
        } = kept;
        self.number("id", id.as_u128());
        self.number("account", account.as_u128());
        self.number("kind", *kind as u8);
        self.maybe("webhook", webhook.map(WebhookId::as_u128), Self::number);
        self.number("status", *status as u8);
        self.number("done", *done);
        self.maybe("total", *total, Self::number);
        self.maybe_text("error", error.as_deref());
        self.maybe_time("ended_at", *ended_at);
        self.time("created_at", *created_at);
        self.time("modified_at", *modified_at);
        self.number("webhook", to.as_u128());
        self.time("since", *since);
        self.time("until", *until);
        self.number("what", *what as u8);
        self.number("counted", *counted);
        self.maybe_text("through", through.as_ref().map(EventId::to_string).as_deref());
    }

    fn answer(&mut self, at: &AnswerKey, ends_at: Timestamp, kept: &Kept) {
        let AnswerKey { owner, key } = at;
        let Kept {
            fingerprint,
            answer:
                KeptAnswer {
                    status,
                    headers,
                    body,
                    is_secret,
                },
        } = kept;
        self.owner(*owner);
        self.text("key", key);
        self.time("ends_at", ends_at);
        self.put("fingerprint", fingerprint);
        self.number("status", *status);
        self.headers("headers", headers);
        self.put("body", body);
        self.number("is_secret", u8::from(*is_secret));
    }
}

fn finish(context: Context) -> Hash32 {
    let mut hash = [0; 32];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}
