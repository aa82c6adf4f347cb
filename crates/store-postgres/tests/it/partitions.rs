//! Partitions are there when they are needed, however many nodes make them at once.

use postrider_store_postgres::connect;

use crate::support::{Fresh, options};

const COUNT: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'postrider.events'::regclass";

#[tokio::test]
async fn nodes_that_start_together_make_each_once() {
    let fresh = Fresh::empty().await;
    let names = fresh
        .database
        .psql("SELECT string_agg(inhrelid::regclass::text, ', ') FROM pg_inherits WHERE inhparent = 'postrider.events'::regclass");
    for name in names.split(", ") {
        for table in ["events", "deliveries", "attempts"] {
            fresh.database.psql(&format!("DROP TABLE {}", name.replace("events", table)));
        }
    }
    let url = fresh.database.url();
    let opening: Vec<_> = (0..8).map(|_| tokio::spawn(connect(options(url.clone())))).collect();
    for store in opening {
        store.await.unwrap().unwrap();
    }
    assert_eq!(fresh.database.psql(COUNT), "3", "today and the next two days");
}

#[tokio::test]
async fn they_have_all_indexes_of_their_parents() {
    let fresh = Fresh::empty().await;
    for table in ["events", "deliveries", "attempts"] {
        let apart = format!(
            "SELECT count(*) FROM pg_inherits i JOIN pg_index x ON x.indrelid = i.inhrelid
             WHERE i.inhparent = 'postrider.{table}'::regclass AND NOT EXISTS (SELECT FROM pg_inherits o WHERE o.inhrelid = x.indexrelid)"
        );
        assert_eq!(fresh.database.psql(&apart), "0", "none of {table} stands apart from its parent's");
        let (of_parent, of_one) = (
            format!("SELECT count(*) FROM pg_index WHERE indrelid = 'postrider.{table}'::regclass"),
            format!(
                "SELECT count(*) FROM pg_index WHERE indrelid =
                 (SELECT min(inhrelid::oid) FROM pg_inherits WHERE inhparent = 'postrider.{table}'::regclass)"
            ),
        );
        assert_eq!(fresh.database.psql(&of_parent), fresh.database.psql(&of_one));
    }
}

#[tokio::test]
async fn opening_again_makes_none_twice() {
    let fresh = Fresh::empty().await;
    let before = fresh.database.psql(COUNT);
    connect(options(fresh.database.url())).await.unwrap();
    assert_eq!(fresh.database.psql(COUNT), before);
}

/// The tables that a function of the script is called for, and their columns.
fn called(function: &str) -> Vec<(&'static str, &'static str)> {
    const SCRIPT: &str = include_str!("../../../../docs/scaling/create_distributed_tables.sql");
    let calls = SCRIPT
        .lines()
        .filter_map(|line| line.strip_prefix("SELECT ")?.strip_prefix(function));
    let names = calls.map(|call| {
        let mut quoted = call.split('\'').skip(1).step_by(2);
        (
            quoted.next().unwrap().strip_prefix("postrider.").unwrap(),
            quoted.next().unwrap_or(""),
        )
    });
    names.collect()
}

#[tokio::test]
async fn what_belongs_to_an_account_could_be_distributed_by_it() {
    let fresh = Fresh::empty().await;
    let distributed = called("create_distributed_table");
    assert_eq!(distributed.len(), 11);
    for (table, column) in &distributed {
        let apart = format!(
            "SELECT string_agg(indexrelid::regclass::text, ' ') FROM pg_index WHERE indrelid = 'postrider.{table}'::regclass AND indisunique
             AND indkey[0] <> (SELECT attnum FROM pg_attribute WHERE attrelid = indrelid AND attname = '{column}')"
        );
        assert_eq!(
            fresh.database.psql(&apart),
            "",
            "unique indexes of {table} that do not lead with {column}"
        );
    }
    // Each of the others is named by the migration's head, as one that is copied or as one that is not.
    let mut small: Vec<&str> = include_str!("../../migrations/0001_first.sql")
        .lines()
        .find(|line| line.contains("(accounts"))
        .unwrap()
        .split(['(', ')'])
        .skip(1)
        .step_by(2)
        .flat_map(|names| names.split(", "))
        .collect();
    let copied: Vec<&str> = called("create_reference_table").into_iter().map(|(table, _)| table).collect();
    assert_eq!(small[..copied.len()], copied);
    small.extend(distributed.iter().map(|(table, _)| *table));
    small.sort_unstable();
    let all = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
               WHERE relnamespace = 'postrider'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition";
    assert_eq!(small.join(" "), fresh.database.psql(all));
}
