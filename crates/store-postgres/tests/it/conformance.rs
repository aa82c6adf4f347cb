//! The suite that every store must pass, on PostgreSQL. One promise alone: `cargo test -p postrider-store-postgres conformance::jobs`.

postrider_testkit::every_promise!(crate::support::Fresh::empty);

#[tokio::test]
async fn an_empty_store_has_its_schema_and_nothing_in_it() {
    let fresh = crate::support::Fresh::empty().await;
    assert_eq!(fresh.database.psql("SELECT count(*) FROM postrider.queue"), "0");
}
