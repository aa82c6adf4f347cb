//! Accounts, as the operator keeps them.

use std::time::Duration;

use serde_json::json;

use crate::app::{App, OPERATOR, named};

#[tokio::test]
async fn an_account_is_made_read_changed_and_deleted() {
    let app = App::new().await;
    let made = app
        .post(OPERATOR, "/accounts", &json!({"name": "Shop", "external_id": "shop-1"}))
        .await
        .expect(201);
    let id = made["id"].as_str().unwrap();
    let moment = "2026-01-15T10:30:00.000Z";
    let expected =
        json!({"id": id, "external_id": "shop-1", "name": "Shop", "is_active": true, "created_at": moment, "modified_at": moment});
    assert_eq!(made, expected);
    for path in [format!("/accounts/{id}"), "/accounts/shop-1".to_owned()] {
        assert_eq!(app.get(OPERATOR, &path).await.expect(200), expected);
    }
    app.clock.advance(Duration::from_secs(1));
    let changed = app
        .put(OPERATOR, "/accounts/shop-1", &json!({"external_id": null}))
        .await
        .expect(200);
    assert_eq!((&changed["external_id"], &changed["name"]), (&json!(null), &json!("Shop")));
    assert_eq!(changed["modified_at"], "2026-01-15T10:30:01.000Z");
    assert_eq!(app.get(OPERATOR, "/accounts/shop-1").await.code(404), "account_not_found");
    assert_eq!(app.delete(OPERATOR, &format!("/accounts/{id}")).await.status, 204);
    for reply in [
        app.get(OPERATOR, &format!("/accounts/{id}")).await,
        app.delete(OPERATOR, &format!("/accounts/{id}")).await,
    ] {
        assert_eq!(reply.code(404), "account_not_found");
    }
}

#[tokio::test]
async fn the_same_external_id_again_is_the_first_account() {
    let app = App::new().await;
    let first = app
        .post(OPERATOR, "/accounts", &json!({"name": "One", "external_id": "x"}))
        .await
        .expect(201);
    let again = app
        .post(OPERATOR, "/accounts", &json!({"name": "Two", "external_id": "x"}))
        .await
        .expect(200);
    assert_eq!(again, first);
    let other = app
        .post(OPERATOR, "/accounts", &json!({"name": "Other", "external_id": null}))
        .await
        .expect(201);
    let path = format!("/accounts/{}", other["id"].as_str().unwrap());
    assert_eq!(
        app.put(OPERATOR, &path, &json!({"external_id": "x"})).await.code(409),
        "external_id_taken"
    );
}

#[tokio::test]
async fn wrong_fields_are_refused() {
    let app = App::new().await;
    let id = app.account().await.id;
    let long = "n".repeat(256);
    for (draft, faults) in [
        (json!({}), vec![("body.name", "missing_field")]),
        (
            json!({"name": "", "external_id": ""}),
            vec![("body.name", "too_short"), ("body.external_id", "too_short")],
        ),
        (json!({"name": long}), vec![("body.name", "too_long")]),
        (
            json!({"name": "a", "external_id": "acc_1"}),
            vec![("body.external_id", "reserved_prefix")],
        ),
        (
            json!({"name": "a", "external_id": " x"}),
            vec![("body.external_id", "invalid_character")],
        ),
        (
            json!({"name": "a", "external_id": "x\ny"}),
            vec![("body.external_id", "invalid_character")],
        ),
        (
            json!({"name": null, "is_active": true}),
            vec![("body.name", "null_not_allowed"), ("body.is_active", "unknown_field")],
        ),
    ] {
        assert_eq!(app.post(OPERATOR, "/accounts", &draft).await.params(), named(&faults), "{draft}");
    }
    let nulls = json!({"name": null, "is_active": null, "id": "acc_x"});
    let reply = app.put(OPERATOR, &format!("/accounts/{id}"), &nulls).await;
    let faults = [
        ("body.name", "null_not_allowed"),
        ("body.is_active", "null_not_allowed"),
        ("body.id", "unknown_field"),
    ];
    assert_eq!(reply.params(), named(&faults));
}
