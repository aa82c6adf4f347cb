//! The command line and the configuration. What each command does in full is in the tests of its own.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::world::{Client, OPERATOR_KEY, Site, postrider};

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let site = Site::new();
    fs::write(site.path("p.toml"), "listen = \"from-the-file\"\n").unwrap();
    let serve = |args: &[&str], variable: Option<(&str, &str)>| {
        let args = [&["serve", "--config", "p.toml"], args].concat();
        let output = postrider(&args).envs(variable).current_dir(site.path(".")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        stderr(&output)
    };
    assert!(serve(&[], None).contains("listen in p.toml"));
    assert!(serve(&[], Some(("POSTRIDER_LISTEN", "x"))).contains("POSTRIDER_LISTEN"));
    assert!(serve(&["--listen", "x"], Some(("POSTRIDER_LISTEN", "x"))).contains("--listen"));
}

#[test]
fn the_operator_key_of_the_environment_has_32_characters_or_more_and_may_be_several() {
    let site = Site::new();
    let short = postrider(&["serve"])
        .env("POSTRIDER_OPERATOR_KEY", "too-short")
        .current_dir(site.path("."))
        .output()
        .unwrap();
    assert_eq!(short.status.code(), Some(2));
    assert!(stderr(&short).contains("POSTRIDER_OPERATOR_KEY") && !stderr(&short).contains("too-short"));
    let server = site.start(&[]);
    let me = Client::connect(server.address, OPERATOR_KEY).unwrap().get("/me");
    assert_eq!(me["operator"], true);
}

#[test]
fn keys_create_operator_makes_one_on_the_servers_own_store() {
    let site = Site::new();
    let output = site.run(&["keys", "create", "--operator", "--json", "--store", &site.store()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let key: Value = serde_json::from_slice(&output.stdout).unwrap();
    let server = site.start(&[]);
    let me = Client::connect(server.address, key["token"].as_str().unwrap()).unwrap().get("/me");
    assert_eq!((&me["operator"], &me["key"]["id"]), (&json!(true), &key["id"]));
}

#[test]
fn a_key_is_made_beside_the_database_for_its_owner_alone_and_a_wrong_one_is_an_error_at_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::on_sqlite();
    drop(site.start(&[]));
    let key = site.path("postrider.db.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let args = ["serve", "--listen", "127.0.0.1:0", "--store", &site.store()];
    let output = postrider(&args).env("POSTRIDER_SECRET_KEY", other).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!stderr(&output).contains(other));
}

#[test]
fn serve_is_ready_when_readyz_answers_and_ends_with_0_on_sigterm() {
    let server = Site::new().start(&[]);
    Client::connect(server.address, "").unwrap().get("/readyz");
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn webhooks_per_account_is_a_limit_that_can_be_set() {
    let world = super::World::with(&["--webhooks-per-account", "2"]);
    world.webhook();
    world.webhook();
    let draft = json!({ "url": world.receiver.url() });
    assert_eq!(world.refused(409, "POST /webhooks", Some(&draft)), "too_many_webhooks");
}

#[test]
fn no_secret_is_shown_by_a_file_that_cannot_be_read() {
    let site = Site::new();
    fs::write(site.path("p.toml"), "dev = true\nsecret_key = \"hush-hush-hush\n").unwrap();
    let output = site.run(&["serve", "--config", "p.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("line 2") && !stderr(&output).contains("hush"),
        "{}",
        stderr(&output)
    );
}
