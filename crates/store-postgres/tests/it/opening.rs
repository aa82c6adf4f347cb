//! Opening a store: who may, what it finds, and how it gets to the server.

use std::sync::Arc;

use postrider_model::seal::SealKey;
use postrider_ports::page::PageAsk;
use postrider_ports::registry::AccountMade;
use postrider_ports::{Registry as _, Store as _, StoreError};
use postrider_store_postgres::{OpenOptions, PostgresStore, SCHEMA_KNOWN, connect};
use postrider_testkit::ca::TestCa;
use postrider_testkit::clock::SimClock;
use postrider_testkit::postgres::{PASSWORD, Postgres};
use postrider_testkit::random::SeededRandom;

use crate::registering::account;
use crate::support::{Fresh, options};

/// With a key of these bytes.
fn keyed(url: String, byte: u8) -> OpenOptions {
    let key = SealKey::from_bytes(&[byte; 32]).unwrap();
    OpenOptions::new(url, key, Arc::new(SeededRandom::new(u64::from(byte))), Arc::new(SimClock::new()))
}

/// Why a store cannot be opened. No password is in it.
async fn refusal(options: OpenOptions) -> StoreError {
    let error = connect(options).await.err().expect("the store opens");
    let told = error.to_string();
    assert!(!told.contains(PASSWORD) && !told.contains("%40ss"), "{told}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_nodes_that_start_together_migrate_once() {
    let database = Postgres::shared().create_database("together");
    let opening: Vec<_> = (0..20).map(|_| tokio::spawn(connect(options(database.url())))).collect();
    let mut stores: Vec<PostgresStore> = Vec::new();
    for one in opening {
        stores.push(one.await.unwrap().expect("each of them opens"));
    }
    for (number, store) in stores.iter().enumerate() {
        assert_eq!(store.create_account(account(number as u128)).await, Ok(AccountMade::Made));
    }
    assert_eq!(database.psql("SELECT count(*) FROM postrider.slots"), "1024");
    assert_eq!(database.psql("SELECT count(*) FROM postrider.accounts"), "20");
}

#[tokio::test]
async fn the_first_nodes_key_stays() {
    let database = Postgres::shared().create_database("keys");
    let (one, other) = tokio::join!(connect(keyed(database.url(), 1)), connect(keyed(database.url(), 2)));
    let errors: Vec<StoreError> = [one.err(), other.err()].into_iter().flatten().collect();
    assert!(matches!(errors[..], [StoreError::Seal(_)]), "{errors:?}");
    let again = (connect(keyed(database.url(), 1)).await, connect(keyed(database.url(), 2)).await);
    assert_ne!(again.0.is_ok(), again.1.is_ok());
}

#[tokio::test]
async fn a_newer_schema_is_used_where_it_says_so() {
    let Fresh { database, .. } = &Fresh::empty().await;
    let set = |name: &str, value: u32| {
        let sql = format!("UPDATE postrider.meta SET value = '\\x{value:08x}' WHERE name = '{name}'");
        database.psql(&sql);
    };
    set("schema", SCHEMA_KNOWN + 5);
    set("oldest_binary", SCHEMA_KNOWN);
    assert!(
        connect(options(database.url())).await.is_ok(),
        "what came behind leaves us what we need"
    );
    set("oldest_binary", SCHEMA_KNOWN + 1);
    let expected = StoreError::NewerSchema {
        found: SCHEMA_KNOWN + 5,
        known: SCHEMA_KNOWN,
    };
    assert_eq!(refusal(options(database.url())).await, expected);
}

#[tokio::test]
async fn a_store_that_is_up_to_date_is_opened_without_rights_to_change_it() {
    let Fresh { database, .. } = &Fresh::empty().await;
    database.psql(
        "CREATE ROLE plain_node LOGIN PASSWORD 'plain';
         GRANT USAGE ON SCHEMA postrider TO plain_node;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA postrider TO plain_node",
    );
    let url = database.url();
    let (_, host) = url.split_once('@').unwrap();
    let opened = connect(options(format!("postgres://plain_node:plain@{host}"))).await;
    database.psql("DROP OWNED BY plain_node; DROP ROLE plain_node");
    assert_eq!(opened.err(), None);
}

/// The place of the newest account, as a cursor shows it.
async fn place(store: &PostgresStore) -> u64 {
    let page = PageAsk { limit: 1, after: None };
    store.list_accounts(page).await.unwrap().next.unwrap().major
}

#[tokio::test]
async fn places_go_on_where_a_store_was_moved() {
    let Fresh { store, database } = &Fresh::empty().await;
    store.create_account(account(1)).await.unwrap();
    store.create_account(account(2)).await.unwrap();
    let before = place(store).await;

    // As after a restore into a server whose transactions count from less.
    let high = 7_000_000_000;
    database.psql(&format!("UPDATE postrider.pulse SET major = {high}"));
    let (one, other) = tokio::join!(connect(options(database.url())), connect(options(database.url())));
    let (one, other) = (one.unwrap(), other.unwrap());
    one.create_account(account(3)).await.unwrap();
    let third = place(&one).await;
    assert!(before < high && third > high, "{before} {third}");
    other.create_account(account(4)).await.unwrap();
    let fourth = place(&other).await;
    assert!(fourth > third && fourth - third < 1_000, "both count alike: {third} {fourth}");
    let feed = one.changes(None).await.unwrap().through;
    assert!(feed > high, "{feed}");

    // As after one into a server that has counted on by chance: it is another.
    database.psql("UPDATE postrider.meta SET value = 'another' WHERE name = 'server'");
    let store = connect(options(database.url())).await.unwrap();
    store.create_account(account(5)).await.unwrap();
    let fifth = place(&store).await;
    assert!(fifth - fourth > 1 << 31, "with a gap, for what was not noted: {fourth} {fifth}");
    let again = connect(options(database.url())).await.unwrap();
    again.create_account(account(6)).await.unwrap();
    assert!(place(&again).await - fifth < 1_000, "it is raised once");
}

#[tokio::test]
async fn a_server_that_is_read_only_is_told() {
    let Fresh { store, database } = &Fresh::empty().await;
    assert_eq!(store.check().await, Ok(()));
    let set = |value: &str| {
        let name = database.name();
        database.psql(&format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = {value}"));
        database
            .psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    };
    set("on");
    let error = refusal(options(database.url())).await;
    assert!(
        matches!(&error, StoreError::CannotOpen { reason, .. } if reason.contains("read-only")),
        "{error}"
    );
    // The first call may still find the connection that was cut.
    let mut told = String::new();
    for _ in 0..10 {
        told = store.check().await.unwrap_err().to_string();
        if told.contains("read-only") {
            break;
        }
    }
    assert!(told.contains("the server is read-only"), "{told}");
}

#[tokio::test]
async fn what_is_wrong_with_a_url_is_told() {
    let database = Postgres::shared().create_database("wrong");
    let url = database.url();
    let (front, host) = url.split_once('@').unwrap();
    for (url, part) in [
        (format!("{front}x@{host}"), "password authentication failed"),
        (url.replace(database.name(), "not_there"), "does not exist"),
        (format!("{url}?sslmode=require"), "does not support TLS"),
        (format!("{url}?sslmode=verify-full&sslrootcert=/not/there"), "/not/there"),
        (format!("{url}?connections=many"), "connections must be"),
    ] {
        let told = refusal(options(url)).await.to_string();
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn a_certificate_is_judged_as_sslmode_says() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let server = Postgres::options().without_fsync().with_tls(&ca, &["localhost"]).start();
    server.psql("ALTER SYSTEM SET password_encryption = 'scram-sha-256'");
    let folder = std::env::temp_dir().join(format!("postrider-roots-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, pem: String| {
        let path = folder.join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let (ours, theirs) = (file("ours.pem", ca.root_pem()), file("theirs.pem", other.root_pem()));
    let by_name = server.url().replace("127.0.0.1", "localhost");
    let is_secure = "SELECT count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'postrider'";
    for (url, query, works) in [
        (&by_name, "sslmode=require".to_owned(), true),
        (&by_name, "sslmode=verify-full".to_owned(), false),
        (&by_name, format!("sslmode=verify-full&sslrootcert={ours}"), true),
        (&by_name, format!("sslmode=verify-full&sslrootcert={theirs}"), false),
        (&by_name, format!("sslmode=require&sslrootcert={theirs}"), false),
        (&server.url(), format!("sslmode=verify-full&sslrootcert={ours}"), false),
        (&server.url(), format!("sslmode=verify-ca&sslrootcert={ours}"), true),
        (&server.url(), format!("sslmode=verify-ca&sslrootcert={theirs}"), false),
        (&server.url(), "sslmode=prefer".to_owned(), true),
        (&server.url(), "sslmode=require".to_owned(), true),
    ] {
        let opened = connect(options(format!("{url}?{query}"))).await;
        assert_eq!(opened.is_ok(), works, "{query}: {:?}", opened.err());
        if opened.is_ok() {
            assert_eq!(server.psql(is_secure), "t", "{query}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_pooler_that_knows_no_prepared_statements_will_do() {
    let server = Postgres::options().without_fsync().start();
    let database = server.create_database("pooled");
    let bouncer = server.start_bouncer();
    let url = format!("{}?prepared_statements=false", bouncer.url_of(database.name()));
    let (one, other) = tokio::join!(connect(options(url.clone())), connect(options(url)));
    let (one, other) = (one.unwrap(), other.unwrap());
    one.create_account(account(1)).await.unwrap();
    for number in 0..20 {
        let (first, second) = tokio::join!(one.check(), other.create_account(account(number + 2)));
        assert_eq!((first, second), (Ok(()), Ok(AccountMade::Made)));
    }
}

#[tokio::test]
async fn settings_that_lose_events_are_told() {
    let server = Postgres::start();
    let warnings = async || {
        let store = connect(options(server.url())).await.unwrap();
        store.warnings().await.unwrap().join("; ")
    };
    assert_eq!(warnings().await, "", "the default settings lose nothing");
    for (setting, value) in [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")] {
        server.psql(&format!("ALTER SYSTEM SET {setting} = {value}"));
        server.restart();
        let told = warnings().await;
        assert!(told.contains(setting), "{setting}: {told}");
    }
    server.psql("ALTER SYSTEM RESET ALL");
    server.restart();
    let _standby = Postgres::options().start_standby(&server, "second");
    let told = warnings().await;
    assert!(told.contains("synchronous_standby_names is empty"), "{told}");
}
