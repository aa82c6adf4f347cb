//! What a delivery costs on PostgreSQL: CPU time of all its server processes and of this one, WAL, and dead rows.
//!
//! `cargo bench -p postrider-store-postgres --bench hot -- [--deliveries N] [--group N] [--accounts N] [--webhooks N] [--fanout N]
//! [--fetch] [--held] [--failing PERCENT] [--rounds N]`. One line for each round. `--fetch` reads what was committed as another node would;
//! `--held` keeps a snapshot open all the time. Run it alone, or compare CPU times only.
//!
//! With `--minutes N [--rate N] [--staying PERMILLE]` it is watched over time instead: see days.rs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod days;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::account::Account;
use postrider_model::attempt::{Attempt, AttemptError, ErrorKind, Response};
use postrider_model::delivery::Change;
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, AttemptId, DeliveryId, EventId, WebhookId};
use postrider_model::name::EventName;
use postrider_model::seal::SealKey;
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::Webhook;
use postrider_ports::registry::AccountVersion;
use postrider_ports::store::{DueAsk, NewEvent, OutcomeRecord, Recorded, Submission, Submitted, WaitingAsk};
use postrider_ports::{Clock as _, Registry as _, Store as _};
use postrider_store_postgres::{OpenOptions, PostgresStore, connect};
use postrider_testkit::clock::SimClock;
use postrider_testkit::postgres::{Database, Postgres};
use postrider_testkit::random::SeededRandom;

struct Options {
    deliveries: usize,
    group: usize,
    accounts: usize,
    webhooks: usize,
    fanout: usize,
    failing: usize,
    rounds: usize,
    minutes: usize,
    rate: usize,
    staying: usize,
    fetch: bool,
    held: bool,
}

impl Options {
    fn read() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let number = |name: &str, default: usize| {
            let place = arguments.iter().position(|argument| argument == name);
            place.map_or(default, |place| arguments[place + 1].parse().expect("a number"))
        };
        let flag = |name: &str| arguments.iter().any(|argument| argument == name);
        Self {
            deliveries: number("--deliveries", 100_000),
            group: number("--group", 64),
            accounts: number("--accounts", 1),
            webhooks: number("--webhooks", 1),
            fanout: number("--fanout", 1),
            failing: number("--failing", 0),
            rounds: number("--rounds", 3),
            minutes: number("--minutes", 0),
            rate: number("--rate", 2_500),
            staying: number("--staying", 5),
            fetch: flag("--fetch"),
            held: flag("--held"),
        }
    }
}

struct Customer {
    id: AccountId,
    version: AccountVersion,
    webhooks: Vec<WebhookId>,
}

struct Bench {
    options: Options,
    store: PostgresStore,
    clock: SimClock,
    random: SeededRandom,
    customers: Vec<Customer>,
    url: Arc<str>,
}

/// What was used since the round began.
struct Meter {
    server: Duration,
    own: Duration,
    wal: i64,
    wall: Duration,
}

impl Meter {
    fn start(server: &Postgres, database: &Database<'_>) -> Self {
        Self {
            server: server.cpu_time(),
            own: own_cpu(),
            wal: wal(database),
            wall: wall(database),
        }
    }

    fn line(&self, server: &Postgres, database: &Database<'_>, deliveries: usize) -> String {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / deliveries as f64;
        let (of_server, own) = (each(server.cpu_time() - self.server), each(own_cpu() - self.own));
        let bytes = (wal(database) - self.wal) as f64 / deliveries as f64;
        let dead = database.psql(
            "SELECT string_agg(n_dead_tup || ' of ' || pg_size_pretty(pg_relation_size(relid)) || ' + ' ||
                               pg_size_pretty(pg_indexes_size(relid)), ', ')
             FROM pg_stat_user_tables WHERE relname = 'queue'",
        );
        let rate = deliveries as f64 / (wall(database) - self.wall).as_secs_f64();
        format!(
            "{:6.1} CPU-µs a delivery = server {of_server:.1} + client {own:.1}; WAL {bytes:.0} B; {rate:.0}/s; queue: dead {dead}",
            of_server + own
        )
    }
}

fn own_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// The server's clock: that of this process is not to be had outside the binary.
fn wall(database: &Database<'_>) -> Duration {
    let seconds = database.psql("SELECT extract(epoch FROM clock_timestamp())");
    Duration::from_secs_f64(seconds.trim().parse().unwrap())
}

fn wal(database: &Database<'_>) -> i64 {
    database
        .psql("SELECT (pg_current_wal_lsn() - '0/0')::bigint")
        .trim()
        .parse()
        .unwrap()
}

impl Bench {
    fn bits(&self) -> u128 {
        u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64())
    }

    async fn customers(&mut self) {
        let now = self.clock.wall();
        for _ in 0..self.options.accounts {
            let id = AccountId::new(now, self.bits());
            let account = Account {
                id,
                external_id: None,
                name: "one".to_owned(),
                is_active: true,
                created_at: now,
                modified_at: now,
            };
            self.store.create_account(account).await.unwrap();
            let mut webhooks = Vec::new();
            for _ in 0..self.options.webhooks.max(self.options.fanout) {
                let webhook = Webhook {
                    id: WebhookId::new(now, self.bits()),
                    account: id,
                    url: WebhookUrl::parse(&self.url, &UrlPolicy::default()).unwrap(),
                    description: None,
                    is_active: true,
                    event_names: Vec::new(),
                    secrets: vec![WebhookSecret {
                        secret: SigningSecret::from_bytes(&[7; 32]).unwrap(),
                        expires_at: None,
                    }],
                    health: Health::Unproven,
                    created_at: now,
                    modified_at: now,
                };
                webhooks.push(webhook.id);
                self.store.create_webhook(webhook, usize::MAX).await.unwrap();
            }
            let version = self.store.account_snapshot(id).await.unwrap().unwrap().version;
            self.customers.push(Customer { id, version, webhooks });
        }
    }

    fn submission(&self, number: usize, now: Timestamp) -> Submission {
        let customer = &self.customers[number % self.customers.len()];
        let draft = EventDraft {
            name: EventName::parse("order.created").unwrap(),
            resource: Resource {
                id: format!("ord_{number}"),
                resource_type: "order".to_owned(),
            },
            data: &format!("{{\"text\":\"{}\"}}", "x".repeat(300)),
        };
        let event = Event::new(customer.id, EventId::new(now, self.bits()), draft, now);
        let first = number % customer.webhooks.len();
        let targets = (0..self.options.fanout).map(|n| customer.webhooks[(first + n) % customer.webhooks.len()]);
        let deliveries = targets.map(|webhook| (DeliveryId::new(now, self.bits()), webhook)).collect();
        Submission {
            account: customer.id,
            version: customer.version,
            events: vec![NewEvent {
                event: Arc::new(event),
                deliveries,
            }],
            keep: None,
        }
    }

    fn outcome(&self, account: AccountId, delivery: DeliveryId, number: u32) -> OutcomeRecord {
        let now = self.clock.wall();
        let fails = number == 1 && self.options.failing > 0 && self.random.below(100) < self.options.failing as u64;
        let attempt = Attempt {
            id: AttemptId::new(now, self.bits()),
            number,
            url: Arc::clone(&self.url),
            created_at: now,
            duration: Duration::from_micros(1_234),
            response: Some(Response {
                status: if fails { 500 } else { 204 },
                duration: Duration::from_micros(1_200),
                headers: fails.then(|| vec![("content-type".to_owned(), "text/plain".to_owned())]),
                body: fails.then(|| Bytes::from_static(b"no")),
                truncated: false,
            }),
            error: fails.then(|| AttemptError {
                kind: ErrorKind::Http,
                message: "the receiver answered 500".to_owned(),
            }),
        };
        let next = Some(now);
        OutcomeRecord {
            account,
            delivery,
            change: if fails {
                Change::AttemptFailed { number, next }
            } else {
                Change::Succeeded { number }
            },
            attempt: Some(attempt),
            at: now,
        }
    }

    async fn group(&self, from: usize, count: usize) {
        let now = self.clock.wall();
        let group: Vec<Submission> = (from..from + count).map(|number| self.submission(number, now)).collect();
        let made: Vec<(AccountId, DeliveryId)> = group
            .iter()
            .flat_map(|one| one.events[0].deliveries.iter().map(|(delivery, _)| (one.account, *delivery)))
            .collect();
        let answers = self.store.commit_events(group).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Submitted::Stored(_))), "{answers:?}");
        if self.options.fetch {
            self.fetch(made.len()).await;
        }
        let mut left: Vec<OutcomeRecord> = made
            .into_iter()
            .map(|(account, delivery)| self.outcome(account, delivery, 1))
            .collect();
        while !left.is_empty() {
            let again = left.iter().filter(|one| matches!(one.change, Change::AttemptFailed { .. }));
            let again: Vec<OutcomeRecord> = again.map(|one| self.outcome(one.account, one.delivery, 2)).collect();
            let recorded = self.store.record_outcomes(left).await.unwrap();
            assert!(recorded.iter().all(|recorded| *recorded == Recorded::Applied), "{recorded:?}");
            left = again;
        }
    }

    async fn fetch(&self, count: usize) {
        let webhooks = self
            .customers
            .iter()
            .flat_map(|one| one.webhooks.iter().map(|webhook| (one.id, *webhook)));
        let asks = webhooks.map(|(account, webhook)| DueAsk {
            account,
            webhook,
            rows_max: 256,
            bytes_max: 1 << 20,
            known: Vec::new(),
            tests_only: false,
        });
        let answers = self.store.fetch_due(asks.collect(), self.clock.wall()).await.unwrap();
        assert_eq!(answers.iter().map(|answer| answer.rows.len()).sum::<usize>(), count);
    }

    /// What single calls cost at this moment: CPU time of the server, of many of them.
    async fn reads(&self, server: &Postgres) -> String {
        let began = server.cpu_time();
        for _ in 0..READS {
            self.store.waiting(WaitingAsk::first(1_000)).await.unwrap();
        }
        let between = server.cpu_time();
        for _ in 0..READS {
            self.fetch(0).await;
        }
        let each = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(READS);
        let (waiting, fetch) = (each(between - began), each(server.cpu_time() - between));
        format!("waiting {waiting:.2} CPU-ms, fetch_due {fetch:.2} CPU-ms")
    }
}

/// Calls of each kind, for /proc counts in steps of 10 ms.
const READS: u32 = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::read();
    let server = Postgres::options()
        .with("shared_preload_libraries", "pg_stat_statements")
        .with("log_autovacuum_min_duration", "0")
        .with("log_checkpoints", "on")
        .start();
    let database = server.create_database("bench");
    let clock = SimClock::new();
    let key = SealKey::from_bytes(&[7; 32]).unwrap();
    let store = connect(OpenOptions::new(
        database.url(),
        key,
        Arc::new(SeededRandom::new(7)),
        Arc::new(clock.clone()),
    ));
    let mut bench = Bench {
        store: store.await.unwrap(),
        clock,
        random: SeededRandom::new(11),
        customers: Vec::new(),
        url: Arc::from("https://hooks.example.com/in/0123456789abcdef"),
        options,
    };
    bench.customers().await;
    // A session of its own, whose snapshot stays open until the bench ends.
    let _held = bench.options.held.then(|| {
        let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM postrider.accounts; SELECT pg_sleep(1e6);";
        std::process::Command::new("psql")
            .args([&database.url(), "-qc", sql])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("psql starts")
    });
    if bench.options.minutes > 0 {
        days::watch(&bench, &server, &database).await;
        return;
    }
    for round in 0..bench.options.rounds {
        let meter = Meter::start(&server, &database);
        let events = bench.options.deliveries / bench.options.fanout;
        for from in (0..events).step_by(bench.options.group) {
            bench.group(round * events + from, bench.options.group).await;
            bench.clock.advance(Duration::from_millis(5));
        }
        println!("{}", meter.line(&server, &database, bench.options.deliveries));
        println!("        {}", bench.reads(&server).await);
    }
    // What the server did beside: cleaning up, and checkpoints.
    let is_told = |line: &&str| {
        ["automatic ", "CPU: ", "checkpoint complete"]
            .iter()
            .any(|word| line.contains(word))
    };
    server.log().lines().filter(is_told).for_each(|line| println!("{line}"));
}
