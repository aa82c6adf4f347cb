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
