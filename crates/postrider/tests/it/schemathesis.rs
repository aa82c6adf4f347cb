//! The API of a real server against its own description: Schemathesis makes requests of `/openapi.json`, good ones and bad ones, and
//! judges every answer.

use std::process::Command;

use serde_json::json;

use crate::world::{Client, OPERATOR_KEY, Server, Site};

/// Set by `./test` to an interpreter that has what `tests/requirements.txt` names.
const PYTHON: &str = "POSTRIDER_TEST_PYTHON";
/// The account that the operator's key acts for.
const ACCOUNT: &str = "described";

/// Python in the site's folder: the tools leave files behind.
fn python(site: &Site) -> Command {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| panic!("{PYTHON} is not set: run ./test in the root of the repository"));
    let mut command = Command::new(python);
    command.current_dir(site.path("")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs a program to its end, which must be a good one.
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&said));
}

/// A server that judges urls as in earnest. Urls of tests end with .localhost, and nothing is sent to where that leads.
fn start(site: &Site) -> Server {
    site.start_strict(&["--allow-host-suffix", ".localhost"])
}

#[test]
fn the_description_is_openapi_3_1() {
    let site = Site::new();
    let server = start(&site);
    let description = Client::connect(server.address, OPERATOR_KEY).unwrap().get("/openapi.json");
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1."));
    let path = site.path("openapi.json");
    std::fs::write(&path, description.to_string()).unwrap();
    run(python(&site).args(["-m", "openapi_spec_validator", "--errors", "all"]).arg(path));
}

/// The id of a delivery of the account's, to a webhook that cannot be reached.
fn deliver(operator: &mut Client, server: &Server) -> String {
    let key = operator.post(&format!("/accounts/{ACCOUNT}/keys"), &json!({ "name": "Described" }));
    let mut client = Client::connect(server.address, key["token"].as_str().unwrap()).unwrap();
    client.post("/webhooks", &json!({ "url": "https://hooks.localhost/" }));
    client.post("/events", &json!({ "name": "a", "resource": { "id": "1", "resource_type": "r" } }));
    client.get("/deliveries")[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn schemathesis_finds_nothing() {
    let site = Site::new();
    let server = start(&site);
    let mut operator = Client::connect(server.address, OPERATOR_KEY).unwrap();
    operator.post("/accounts", &json!({ "name": "Described", "external_id": ACCOUNT }));
    let delivery = deliver(&mut operator, &server);
    run(python(&site)
        .env("POSTRIDER_TEST_DELIVERY", delivery)
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
        .args(["-m", "schemathesis.cli", "run", "--no-color", "--continue-on-failure"])
        .args([
            "--checks",
            "all",
            "--max-examples",
            "25",
            "--seed",
            "1",
            "--generation-database",
            "none",
        ])
        .args(["--header", &format!("Authorization: Bearer {OPERATOR_KEY}")])
        .args(["--header", &format!("Account-Id: {ACCOUNT}")])
        .arg(format!("http://{}/openapi.json", server.address)));
}
