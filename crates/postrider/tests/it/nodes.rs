//! Nodes on one PostgreSQL: what the operator sees of them, and those that do half of the work.

use postrider_testkit::postgres::Database;
use serde_json::{Value, json};

use crate::world::{Account, Client, OPERATOR_KEY, PATIENCE, Receiver, Server, Site};

/// Asks for the nodes until they are as they should be.
#[expect(clippy::disallowed_methods, reason = "bounds a wait for other processes")]
fn nodes_when(server: &Server, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begin = std::time::Instant::now();
    let mut operator = Client::connect(server.address, OPERATOR_KEY).unwrap();
    loop {
        let nodes = operator.get("/nodes");
        let nodes = nodes.as_array().unwrap();
        if is_so(nodes) {
            return nodes.clone();
        }
        assert!(begin.elapsed() < PATIENCE, "still {nodes:?}");
    }
}

fn slots(nodes: &[Value]) -> Vec<u64> {
    nodes.iter().map(|node| node["slots"].as_u64().unwrap()).collect()
}

#[test]
fn the_operator_sees_each_node_its_slots_and_whether_it_lives() {
    let database = Database::lent();
    let site = Site::at(&database.url());
    let lease = ["--lease", "1s"];
    let one = site.start(&[&lease[..], &["--node-name", "one"]].concat());
    let alone = nodes_when(&one, |nodes| slots(nodes) == [1_024]);
    assert_eq!((&alone[0]["name"], &alone[0]["is_this"]), (&json!("one"), &json!(true)));
    let two = site.start(&[&lease[..], &["--node-name", "two"]].concat());
    let both = nodes_when(&two, |nodes| {
        nodes.len() == 2 && slots(nodes).iter().sum::<u64>() == 1_024 && !slots(nodes).contains(&0)
    });
    assert_eq!((&both[0]["name"], &both[1]["name"]), (&json!("two"), &json!("one")));
    assert_eq!(both[1]["id"], alone[0]["id"], "a node has the same id on every other");
    assert!(both.iter().all(|node| node["status"] == "alive"));
    one.kill();
    let left = nodes_when(&two, |nodes| slots(nodes) == [1_024]);
    assert_eq!(left[0]["name"], "two");
}

#[test]
fn what_one_node_takes_in_another_sends() {
    let database = Database::lent();
    let site = Site::at(&database.url());
    let receiver = Receiver::start();
    let api = site.start(&["--only", "api"]);
    let dispatch = site.start(&["--only", "dispatch"]);
    let nodes = nodes_when(&dispatch, |nodes| nodes.len() == 2 && slots(nodes) == [1_024, 0]);
    assert_eq!((&nodes[0]["roles"], &nodes[1]["roles"]), (&json!(["dispatch"]), &json!(["api"])));
    let account = Account::make(api.address);
    account.webhook(api.address, &receiver.url());
    let event = json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" } });
    account.client(api.address).post("/events", &event);
    receiver.wait(|arrivals| arrivals.len() == 1);
    let refused = account.client(dispatch.address).ask("POST", "/events", Some(&event)).unwrap();
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("dispatch_only")));
}

#[test]
fn a_key_of_the_operators_is_made_on_the_database_itself() {
    let database = Database::lent();
    let site = Site::at(&database.url());
    let made = site.run(&["keys", "create", "--operator", "--store", &site.store(), "--json"]);
    assert!(made.status.success(), "{made:?}");
    let key: Value = serde_json::from_slice(&made.stdout).unwrap();
    let server = site.start(&[]);
    let me = Client::connect(server.address, key["token"].as_str().unwrap()).unwrap().get("/me");
    assert_eq!(me["operator"], true);
}
