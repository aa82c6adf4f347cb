//! What differs between two stores is found and named.

use postrider_testkit::postgres::Database;

use super::{fill, moved};
use crate::world::{Receiver, Site};

/// What is done to the store that was filled, and what is told of it.
const CHANGES: [(&str, &[&str]); 9] = [
    ("accounts SET name = name || 'x'", &["the account acc_", "differs in its name"]),
    (
        "webhooks SET secrets = set_byte(secrets, 60, 1 # get_byte(secrets, 60)) WHERE is_active AND deleted_at IS NULL",
        &["the webhook wh_", "damaged"],
    ),
    (
        "events SET body = set_byte(body, 7, 1 # get_byte(body, 7)) WHERE own_id = 'own-3'",
        &["the event own-3 of the account acc_", "differs in its body"],
    ),
    // Another id: one is missing, and one is too many.
    (
        "events SET own_id = 'own-4' WHERE own_id = 'own-3'",
        &["the event own-3 of the account acc_", "is in sqlite:", "alone"],
    ),
    (
        "event_ids SET own_id = 'own-4' WHERE own_id = 'own-3'",
        &["it is damaged: event_ids: own-"],
    ),
    (
        "attempts SET attempt = set_byte(attempt, 25, 1 # get_byte(attempt, 25))",
        &["the delivery whd_", "differs in its attempt 1: "],
    ),
    ("queue SET due = due + 1", &["the delivery whd_", "differs in its status"]),
    ("queue SET slot = 1023 - slot", &["it is damaged: queue: a delivery to wh_"]),
    (
        "deliveries SET major = 1000000 - major WHERE status = 1",
        &["do not hold the same: the ", "of its owner's, and the"],
    ),
];

#[test]
fn a_change_in_one_of_two_stores_is_named() {
    let (site, database, receiver) = (Site::on_sqlite(), Database::lent(), Receiver::start());
    fill(&site, &receiver);
    let target = Site::at(&database.url());
    let before = site.run(&["migrate-store", "--check-only", "--from", &site.store(), "--to", &target.store()]);
    assert_eq!(before.status.code(), Some(1), "nothing was moved yet: {before:?}");
    assert!(
        String::from_utf8(before.stderr)
            .unwrap()
            .contains("there is no store in this database")
    );
    let there = moved(&target, &["--from", &site.store(), "--to", &target.store()]);
    let template = database.into_template();
    for (change, told) in CHANGES {
        let copy = template.copy();
        copy.psql(&format!("UPDATE postrider.{change}"));
        let copy = Site::at(&copy.url());
        let output = copy.run(&["migrate-store", "--check-only", "--from", &site.store(), "--to", &copy.store()]);
        assert_eq!(output.status.code(), Some(1), "{change}: {output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        for word in told {
            assert!(text.contains(word), "{change}: {text}");
        }
    }
    let copy = template.copy();
    let copy = Site::at(&copy.url());
    let again = moved(&copy, &["--check-only", "--from", &site.store(), "--to", &copy.store()]);
    assert_eq!(again["digest"], there["digest"], "what was only read is as it was");
}
