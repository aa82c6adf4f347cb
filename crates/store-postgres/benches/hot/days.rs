//! What a queue does to PostgreSQL over time: deliveries come and end at a steady rate, some of them stay for minutes, and each minute it is told
//! how large the queue and its indexes are, what autovacuum did, and how many pages each call looked into.

use std::collections::VecDeque;
use std::time::Duration;

use postrider_model::delivery::Change;
use postrider_model::id::{AccountId, DeliveryId};
use postrider_ports::store::{DueAsk, OutcomeRecord, Recorded, Submitted, WaitingAsk};
use postrider_ports::{Clock as _, Store as _};
use postrider_testkit::postgres::{Database, Postgres};
use tokio_postgres::{Client, NoTls};

use crate::{Bench, own_cpu};

/// How long a delivery stays that fails first.
const STAY: Duration = Duration::from_secs(300);
/// Every so many groups some webhooks are read, and at twice that all that wait are walked over: a few times a second.
const READ_EVERY: usize = 8;
/// Webhooks that one read asks for.
const ASKS: usize = 8;

/// Pages and calls of statements since they were last asked for, by what is in their texts.
const STATEMENTS: &str = "SELECT name, sum(calls)::bigint, (sum(shared_blks_hit + shared_blks_read) / sum(calls))::bigint
    FROM pg_stat_statements JOIN (VALUES ('fetch_due', '%WITH asked AS%'), ('waiting', '%RECURSIVE walk%'),
        ('commit_events', '%tx AS MATERIALIZED%'), ('record_outcomes', '%DELETE FROM postrider.queue%')) AS what (name, pattern)
    ON query LIKE pattern GROUP BY name ORDER BY name";
const SIZES: &str = "SELECT 'heap', pg_relation_size('postrider.queue') UNION ALL
    SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index WHERE indrelid = 'postrider.queue'::regclass ORDER BY 1";
const VACUUM: &str = "SELECT n_live_tup, n_dead_tup, autovacuum_count, autoanalyze_count FROM pg_stat_user_tables WHERE relname = 'queue'";

struct Staying {
    due: Duration,
    account: AccountId,
    delivery: DeliveryId,
}

/// Runs for as many minutes as the options say.
pub(crate) async fn watch(bench: &Bench, server: &Postgres, database: &Database<'_>) {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
    let group = bench.options.group;
    let groups_a_minute = 60 * bench.options.rate / group;
    let mut clock = now(&client, Duration::ZERO).await;
    let mut staying = VecDeque::new();
    for minute in 0..bench.options.minutes {
        let (began, cpu, own) = (clock, server.cpu_time(), own_cpu());
        for number in 0..groups_a_minute {
            let from = (minute * groups_a_minute + number) * group;
            deliver(bench, from, clock, &mut staying).await;
            if number % READ_EVERY == 0 {
                read(bench, from).await;
            }
            if number % (2 * READ_EVERY) == 0 {
                bench.store.waiting(WaitingAsk::first(1_000)).await.unwrap();
            }
            // As fast as was asked for, and no faster.
            let due = began + Duration::from_secs(60) * u32::try_from(number + 1).unwrap() / u32::try_from(groups_a_minute).unwrap();
            let then = now(&client, due).await;
            bench.clock.advance(then - clock);
            clock = then;
        }
        let deliveries = (groups_a_minute * group) as f64;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / deliveries;
        let rate = deliveries / (clock - began).as_secs_f64();
        print!(
            "{:3} min; {rate:.0}/s; CPU-µs: server {:.1}",
            minute + 1,
            each(server.cpu_time() - cpu)
        );
        println!(" + client {:.1}; {}", each(own_cpu() - own), tell(&client).await);
    }
}

/// The server's clock, once it has come to a time.
async fn now(client: &Client, until: Duration) -> Duration {
    let sql = "SELECT pg_sleep(greatest(0, $1 - extract(epoch FROM clock_timestamp())::float8))";
    client.query(sql, &[&until.as_secs_f64()]).await.unwrap();
    let row = client
        .query_one("SELECT extract(epoch FROM clock_timestamp())::float8", &[])
        .await
        .unwrap();
    Duration::from_secs_f64(row.get(0))
}

/// A group comes and goes, but for what fails first; and what failed long enough ago goes.
async fn deliver(bench: &Bench, from: usize, clock: Duration, staying: &mut VecDeque<Staying>) {
    let at = bench.clock.wall();
    let group: Vec<_> = (from..from + bench.options.group)
        .map(|number| bench.submission(number, at))
        .collect();
    let of = |one: &postrider_ports::store::Submission| (one.account, one.events[0].deliveries[0].0);
    let made: Vec<(AccountId, DeliveryId)> = group.iter().map(of).collect();
    let answers = bench.store.commit_events(group).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Submitted::Stored(_))), "{answers:?}");
    let mut outcomes = Vec::with_capacity(made.len());
    for (account, delivery) in made {
        let outcome = bench.outcome(account, delivery, 1);
        let is_failure = bench.random.below(1_000) < bench.options.staying as u64;
        if is_failure {
            let next = Some(at + STAY);
            staying.push_back(Staying {
                due: clock + STAY,
                account,
                delivery,
            });
            outcomes.push(OutcomeRecord {
                change: Change::AttemptFailed { number: 1, next },
                ..outcome
            });
        } else {
            outcomes.push(outcome);
        }
    }
    while let Some(one) = staying.front().filter(|one| one.due <= clock) {
        outcomes.push(bench.outcome(one.account, one.delivery, 2));
        staying.pop_front();
    }
    let recorded = bench.store.record_outcomes(outcomes).await.unwrap();
    assert!(recorded.iter().all(|recorded| *recorded == Recorded::Applied), "{recorded:?}");
}

async fn read(bench: &Bench, from: usize) {
    let ask = |number: usize| {
        let customer = &bench.customers[(from + number) % bench.customers.len()];
        DueAsk {
            account: customer.id,
            webhook: customer.webhooks[from % customer.webhooks.len()],
            rows_max: 256,
            bytes_max: 1 << 20,
            known: Vec::new(),
            tests_only: false,
        }
    };
    bench
        .store
        .fetch_due((0..ASKS).map(ask).collect(), bench.clock.wall())
        .await
        .unwrap();
}

async fn tell(client: &Client) -> String {
    let mut told = Vec::new();
    let vacuum = client.query_one(VACUUM, &[]).await.unwrap();
    let count = |column: usize| vacuum.get::<_, i64>(column);
    told.push(format!(
        "rows {} + {} dead; autovacuum {}, analyze {}",
        count(0),
        count(1),
        count(2),
        count(3)
    ));
    for row in client.query(SIZES, &[]).await.unwrap() {
        let (name, bytes): (&str, i64) = (row.get(0), row.get(1));
        told.push(format!("{} {:.1} MB", name.trim_start_matches("postrider."), bytes as f64 / 1e6));
    }
    for row in client.query(STATEMENTS, &[]).await.unwrap() {
        let (name, calls, pages): (&str, i64, i64) = (row.get(0), row.get(1), row.get(2));
        told.push(format!("{name} {pages} pages ({calls} calls)"));
    }
    client.query("SELECT pg_stat_statements_reset()", &[]).await.unwrap();
    told.join("; ")
}
