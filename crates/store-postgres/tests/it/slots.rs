//! Nodes and their slots on PostgreSQL.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postrider_model::delivery::Change;
use postrider_model::id::{AccountId, DeliveryId};
use postrider_model::slot::Slot;
use postrider_model::time::Timestamp;
use postrider_ports::nodes::{NodeReport, NodeToken, Roles, Wake};
use postrider_ports::store::{OutcomeRecord, Recorded};
use postrider_ports::{Nodes, Store as _, StoreError};
use postrider_store_postgres::{OpenOptions, PostgresNodes, PostgresStore, connect};
use postrider_testkit::clock::SimClock;
use postrider_testkit::link::Link;
use postrider_testkit::postgres::{Database, Postgres};
use tracing::{Level, Metadata, span};

use crate::support::{Fresh, options};

const ONE: NodeToken = NodeToken(0x0101 << 100);
const OTHER: NodeToken = NodeToken(0x0202 << 100);

fn report() -> NodeReport {
    NodeReport {
        name: "one".to_owned(),
        version: "1".to_owned(),
        roles: Roles { api: true, dispatch: true },
        started_at: Timestamp::from_millis(0),
        in_flight: 0,
        waiting: 0,
        unrecorded: 0,
        is_leaving: false,
    }
}

async fn beside(fresh: &Fresh) -> PostgresStore {
    connect(options(fresh.database.url())).await.unwrap()
}

async fn history(nodes: &PostgresNodes) -> u64 {
    nodes.beat(ONE, report()).await.unwrap().history
}

#[tokio::test]
async fn every_promise_of_nodes_is_kept() {
    postrider_testkit::conformance::nodes::exercise_nodes(async || {
        let fresh = Fresh::empty().await;
        let beside = beside(&fresh).await;
        let one: Arc<dyn Nodes> = Arc::new(fresh.store.nodes());
        let other: Arc<dyn Nodes> = Arc::new(beside.nodes());
        ((beside, fresh), one, other)
    })
    .await;
}

#[tokio::test]
async fn the_clock_of_a_roster_is_the_databases() {
    let fresh = Fresh::empty().await;
    let wall = fresh.store.nodes().roster().await.unwrap().wall.as_millis();
    let told: i64 = fresh
        .database
        .psql("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        .parse()
        .unwrap();
    assert!((told - wall).unsigned_abs() < 60_000, "{wall} and {told}");
}

#[tokio::test]
async fn no_slot_is_left_with_a_node_that_is_removed_while_it_takes() {
    let fresh = Fresh::empty().await;
    let other = beside(&fresh).await.nodes();
    let one = fresh.store.nodes();
    for round in 0..60u16 {
        let beat = one.beat(ONE, report()).await.unwrap().nodes[0].beat;
        let wanted = Slot::all().map(|slot| (slot, None)).collect();
        let (taken, removed) = if round % 2 == 0 {
            tokio::join!(one.take_slots(ONE, wanted), other.remove_node(ONE, beat))
        } else {
            let (removed, taken) = tokio::join!(other.remove_node(ONE, beat), one.take_slots(ONE, wanted));
            (taken, removed)
        };
        assert!(removed.unwrap(), "nobody has beaten since");
        let taken = taken.unwrap().len();
        let roster = other.roster().await.unwrap();
        let left = roster.owners.iter().flatten().count();
        assert_eq!(left, 0, "round {round}: {taken} were taken");
    }
}

#[tokio::test]
async fn a_beat_that_a_removal_holds_up_is_told_what_was_freed() {
    let fresh = Fresh::empty().await;
    let one = fresh.store.nodes();
    let other = beside(&fresh).await.nodes();
    for _ in 0..60 {
        let roster = one.beat(ONE, report()).await.unwrap();
        one.take_slots(ONE, Slot::all().map(|slot| (slot, None)).collect()).await.unwrap();
        let beat = roster.nodes.iter().find(|node| node.token == ONE).unwrap().beat;
        let (removed, beaten) = tokio::join!(other.remove_node(ONE, beat), one.beat(ONE, report()));
        let ours = beaten.unwrap().owners.iter().flatten().count();
        let expected = if removed.unwrap() { 0 } else { 1_024 };
        assert_eq!(ours, expected, "what it is told is what it has");
    }
}

#[tokio::test]
async fn who_lost_its_ear_is_told_to_look_at_everything() {
    let fresh = Fresh::empty().await;
    let (one, other) = (fresh.store.nodes(), beside(&fresh).await.nodes());
    let everything = vec![Wake::Missed];
    assert_eq!(one.woken(ONE).await.unwrap(), everything, "from now on it hears");
    other.wake(OTHER, Some(ONE), vec![Wake::Changes]).await.unwrap();
    assert_eq!(one.woken(ONE).await.unwrap(), [Wake::Changes]);
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'";
    assert_eq!(fresh.database.psql(cut), "1");
    assert_eq!(one.woken(ONE).await.unwrap(), everything, "something may be lost");
    other.wake(OTHER, None, vec![Wake::AnyWork]).await.unwrap();
    assert_eq!(one.woken(ONE).await.unwrap(), [Wake::AnyWork], "and it hears again");
    other.wake(OTHER, Some(OTHER), vec![Wake::AnyWork]).await.unwrap();
    other.wake(ONE, None, vec![Wake::AnyWork]).await.unwrap();
    other.wake(OTHER, None, vec![Wake::Slots]).await.unwrap();
    assert_eq!(
        one.woken(ONE).await.unwrap(),
        [Wake::Slots],
        "not what is for others, nor what it said itself"
    );
}

#[tokio::test]
async fn behind_a_pooler_that_passes_no_notices_on_a_node_looks_every_second() {
    let database = Postgres::shared().create_database("pooled");
    let bouncer = Postgres::shared().start_bouncer();
    let clock = SimClock::new();
    let through = OpenOptions {
        clock: Arc::new(clock.clone()),
        is_prepared: false,
        ..options(bouncer.url_of(database.name()))
    };
    let store = connect(through).await.unwrap();
    let nodes = Arc::new(store.nodes());
    let roster = nodes.beat(ONE, report()).await.unwrap();
    assert_eq!(roster.nodes.len(), 1);
    assert_eq!(
        nodes
            .take_slots(ONE, vec![(Slot::from_number(3).unwrap(), None)])
            .await
            .unwrap()
            .len(),
        1
    );
    for round in 0..3 {
        assert_eq!(woken(&nodes, &clock).await, [Wake::Missed], "round {round}");
    }
}

/// A node with a clock that the test moves.
async fn with_clock(fresh: &Fresh) -> (Arc<PostgresNodes>, SimClock) {
    let clock = SimClock::new();
    let options = OpenOptions {
        clock: Arc::new(clock.clone()),
        ..options(fresh.database.url())
    };
    (Arc::new(connect(options).await.unwrap().nodes()), clock)
}

/// What it is woken for, time passing for it where nothing comes.
async fn woken(nodes: &Arc<PostgresNodes>, clock: &SimClock) -> Vec<Wake> {
    let listener = Arc::clone(nodes);
    let mut woken = tokio::spawn(async move { listener.woken(ONE).await });
    // Statements are given their time by the same clock: it only moves on while nothing else does.
    loop {
        tokio::select! {
            woken = &mut woken => return woken.unwrap().unwrap(),
            () = wait_a_moment() => clock.advance(Duration::from_millis(500)),
        }
    }
}

/// Instead of a notice: cuts the connections of all that listen.
const END_EARS: &str =
    "PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%';";

/// From now on what nodes tell each other in this database comes to this.
fn swallow_notices(fresh: &Fresh, instead: &str) {
    let database = fresh.database.name();
    fresh.database.psql(&format!(
        "ALTER DATABASE \"{database}\" SET search_path = public, pg_catalog;
         CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN {instead} END $$"
    ));
}

fn notices_come_through(fresh: &Fresh) {
    fresh.database.psql("DROP FUNCTION public.pg_notify(text, text)");
}

#[tokio::test]
async fn who_was_taken_for_deaf_listens_anew_every_minute() {
    let fresh = Fresh::empty().await;
    swallow_notices(&fresh, "RETURN;");
    let (one, clock) = with_clock(&fresh).await;
    // Twice: it finds itself deaf, and looks a second later.
    for _ in 0..2 {
        assert_eq!(woken(&one, &clock).await, [Wake::Missed]);
    }
    notices_come_through(&fresh);
    clock.advance(Duration::from_secs(60));
    assert_eq!(woken(&one, &clock).await, [Wake::Missed], "something may be lost");
    let other = beside(&fresh).await.nodes();
    other.wake(OTHER, Some(ONE), vec![Wake::Changes]).await.unwrap();
    assert_eq!(woken(&one, &clock).await, [Wake::Changes], "it hears");
}

#[tokio::test]
async fn who_loses_its_ear_before_it_has_heard_itself_is_not_taken_for_deaf() {
    let fresh = Fresh::empty().await;
    swallow_notices(&fresh, END_EARS);
    let (one, clock) = with_clock(&fresh).await;
    assert_eq!(woken(&one, &clock).await, [Wake::Missed]);
    notices_come_through(&fresh);
    assert_eq!(woken(&one, &clock).await, [Wake::Missed], "it looks a second later");
    assert_eq!(woken(&one, &clock).await, [Wake::Missed], "and listens again");
    let other = beside(&fresh).await.nodes();
    other.wake(OTHER, Some(ONE), vec![Wake::Changes]).await.unwrap();
    assert_eq!(woken(&one, &clock).await, [Wake::Changes], "it hears");
}

/// A url of two servers: what listens at this port, and behind it the one with the database.
fn behind(first: u16, database: &Database<'_>) -> String {
    let second = Postgres::shared().port();
    database
        .url()
        .replace(&format!(":{second}"), &format!(":{first},127.0.0.1:{second}"))
}

/// A server that accepts, and never answers. It ends when this is dropped.
fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Counts what an ear warns of, on this thread, while it is the default.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target() == "postrider_store_postgres::notify"
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn an_operator_is_told_once_that_nothing_is_heard() {
    let fresh = Fresh::empty().await;
    swallow_notices(&fresh, END_EARS);
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let (one, clock) = with_clock(&fresh).await;
    let warned = async |wakes: usize| {
        for _ in 0..wakes {
            assert_eq!(woken(&one, &clock).await, [Wake::Missed]);
        }
        warnings.0.load(Ordering::Relaxed)
    };
    assert_eq!(warned(1).await, 0, "that it broke says nothing");
    notices_come_through(&fresh);
    swallow_notices(&fresh, "RETURN;");
    assert_eq!(warned(2).await, 1, "it looked a second later, and listened again");
    for _ in 0..2 {
        clock.advance(Duration::from_secs(60));
        assert_eq!(warned(1).await, 1, "it is still so");
    }
    notices_come_through(&fresh);
    clock.advance(Duration::from_secs(60));
    assert_eq!(warned(1).await, 1, "it hears");
}

#[tokio::test]
async fn where_the_first_of_two_servers_swallows_everything_the_next_beat_goes_to_the_other() {
    let database = Postgres::shared().create_database("swallowed");
    let link = Link::to(Postgres::shared().port());
    let nodes = connect(options(behind(link.port(), &database))).await.unwrap().nodes();
    // Whoever keeps a lease gives up a beat that is not answered within it.
    let beat = async || {
        tokio::select! {
            biased;
            beaten = nodes.beat(ONE, report()) => Some(beaten.unwrap()),
            () = wait_a_while() => None,
        }
    };
    nodes.beat(ONE, report()).await.unwrap();
    link.block();
    let mut given_up = 0;
    while beat().await.is_none() {
        given_up += 1;
        assert!(given_up < 20, "each beat waits for the first server again");
    }
    assert!(given_up > 0, "the first beats went to the server that swallows them");
    link.cut();
    for _ in 0..5 {
        nodes.roster().await.unwrap();
        nodes.wake(ONE, None, vec![Wake::Slots]).await.unwrap();
    }
}

#[tokio::test]
async fn where_the_beat_went_the_calls_of_the_store_go_too() {
    let database = Postgres::shared().create_database("followed");
    let link = Link::to(Postgres::shared().port());
    let store = connect(options(behind(link.port(), &database))).await.unwrap();
    let nodes = store.nodes();
    nodes.beat(ONE, report()).await.unwrap();
    link.block();
    link.cut();
    let beats = async || {
        tokio::select! {
            biased;
            beaten = nodes.beat(ONE, report()) => beaten.is_ok(),
            () = wait_a_while() => false,
        }
    };
    let mut given_up = 0;
    while !beats().await {
        given_up += 1;
        assert!(given_up < 20, "each beat waits for the first server again");
    }
    let outcome = OutcomeRecord {
        account: AccountId::from_u128(1),
        delivery: DeliveryId::from_u128(2),
        change: Change::Succeeded { number: 1 },
        attempt: None,
        at: Timestamp::from_millis(0),
    };
    assert_eq!(store.record_outcomes(vec![outcome]).await, Ok(vec![Recorded::Superseded]));
    assert_eq!(store.check().await, Ok(()));
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_costs_a_connection_two_seconds() {
    let database = Postgres::shared().create_database("accepted");
    let (_listener, port) = silent();
    let clock = SimClock::new();
    let through = OpenOptions {
        clock: Arc::new(clock.clone()),
        ..options(behind(port, &database))
    };
    let mut opening = tokio::spawn(connect(through));
    tokio::select! {
        opened = &mut opening => panic!("{:?}", opened.unwrap().err()),
        () = clock.wait_for_sleepers(1) => clock.advance(Duration::from_secs(2)),
    }
    opening.await.unwrap().unwrap().check().await.unwrap();
}

#[tokio::test]
async fn those_that_connect_together_do_not_push_each_other_past_a_server_that_answers() {
    let database = Postgres::shared().create_database("together");
    let (_listener, silent) = silent();
    let real = Postgres::shared().port();
    let url = database.url().replace(&format!(":{real}"), &format!(":{real},127.0.0.1:{silent}"));
    let nodes = connect(options(url)).await.unwrap().nodes();
    let together = async { tokio::join!(nodes.beat(ONE, report()), nodes.roster(), nodes.wake(ONE, None, vec![Wake::Slots])) };
    let waiting = async {
        for _ in 0..5 {
            wait_a_while().await;
        }
    };
    tokio::select! {
        biased;
        (beaten, roster, woken) = together => {
            beaten.unwrap();
            roster.unwrap();
            woken.unwrap();
        }
        () = waiting => panic!("one of them waits for the server that does not answer"),
    }
}

/// As long as a round trip to the server, by the real clock.
async fn wait_a_moment() {
    let moment = tokio::task::spawn_blocking(|| Postgres::shared().psql("SELECT 1"));
    drop(moment.await.unwrap());
}

async fn wait_a_while() {
    for _ in 0..3 {
        wait_a_moment().await;
    }
}

#[tokio::test]
async fn a_promoted_standby_has_another_history_and_a_restarted_server_the_same() {
    let primary = Postgres::start();
    let standby = Postgres::options().start_standby(&primary, "second");
    let store = connect(options(primary.url_of_both(&standby, "postgres"))).await.unwrap();
    let nodes = store.nodes();
    let before = history(&nodes).await;
    primary.kill_9();
    let error = nodes.beat(ONE, report()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    primary.start_again();
    assert_eq!(history(&nodes).await, before, "a server that was killed goes on where it was");
    primary.stop();
    assert!(nodes.beat(ONE, report()).await.is_err(), "a standby takes no beats");
    standby.promote();
    let after = nodes.beat(ONE, report()).await.unwrap();
    assert_ne!(after.history, before);
    store.check().await.unwrap();
    assert_eq!(after.nodes.len(), 1);
}
