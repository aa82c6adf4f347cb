//! What docs/receiving.md says is true: its test vector verifies, its code by hand takes that and nothing else, and its times are ours.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use postrider_lanes::RetrySchedule;
use postrider_model::limits::{
    CONNECT_TIME_MAX, EVENT_DATA_BYTES_MAX, GRACE_DEFAULT, READ_TIME_MAX, RESPONSE_BODY_KEPT_BYTES_MAX, RETENTION_DEFAULT, RETRY_AFTER_MAX,
    WRITE_TIME_MAX,
};
use serde_json::json;
use standardwebhooks::Webhook;

use crate::world::Site;

const GUIDE: &str = include_str!("../../../../docs/receiving.md");

/// Judges by the guide's own function, and by the public library, which signs what is given anew.
const JUDGE: &str = r#"
import datetime, json, sys
from standardwebhooks import Webhook

vector = json.load(sys.stdin)
guide = {}
exec(vector["code"], guide)
secret, webhook_id, timestamp, body = vector["secret"], vector["webhook-id"], vector["webhook-timestamp"], vector["body"]
signed_at = datetime.datetime.fromtimestamp(int(timestamp), datetime.timezone.utc)

def judge(secrets=[secret], webhook_id=webhook_id, timestamp=timestamp, signatures=vector["webhook-signature"], body=body, later=0):
    return guide["is_genuine"](secrets, webhook_id, timestamp, signatures, body.encode(), int(timestamp or 0) + later)

genuine = {
    "as it is": judge(),
    "five minutes later": judge(later=300),
    "while a secret is rotated, by the old one": judge(signatures=vector["rotating"]),
    "while a secret is rotated, by the new one": judge(secrets=[vector["next secret"]], signatures=vector["rotating"]),
    "with another secret before it": judge(secrets=[vector["next secret"], secret]),
    "signed by the library": judge(signatures=Webhook(secret).sign(webhook_id, signed_at, body)),
}
refused = {
    "another secret": judge(secrets=[vector["next secret"]]),
    "another id": judge(webhook_id=webhook_id + "x"),
    "no id": judge(webhook_id=""),
    "another time": judge(timestamp=str(int(timestamp) + 1)),
    "no time": judge(timestamp=""),
    "a time that is no time": guide["is_genuine"]([secret], webhook_id, "9" * 5000, vector["webhook-signature"], body.encode()),
    "no signature": judge(signatures=""),
    "a signature without its version": judge(signatures=vector["webhook-signature"].removeprefix("v1,")),
    "a number written anew": judge(body=body.replace("19.90", "19.9")),
    "a letter written anew": judge(body=body.replace("ë", "\\u00eb")),
    "a line break at the end": judge(body=body + "\n"),
    "too old": judge(later=301),
    "too new": judge(later=-301),
}
wrong = [name for name, taken in genuine.items() if not taken] + [name for name, taken in refused.items() if taken]
sys.exit(", ".join(wrong) or None)
"#;

/// The guide's words, whatever lines they stand on.
fn assert_says(words: &str) {
    let text = GUIDE.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(words), "the guide says no more: {words}");
}

/// The text of the first block of the guide that stands behind `mark`.
fn block_behind(mark: &str) -> &'static str {
    let (_, rest) = GUIDE.split_once(mark).unwrap_or_else(|| panic!("the guide says no more: {mark}"));
    let (_, rest) = rest.split_once("```").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("```").unwrap().0
}

/// A block of names and values.
fn values_behind(mark: &str) -> HashMap<&'static str, &'static str> {
    let pairs = block_behind(mark).lines().map(|line| line.split_once("  ").unwrap());
    pairs.map(|(name, value)| (name, value.trim_start())).collect()
}

fn signature(secret: &str, vector: &HashMap<&str, &str>) -> String {
    let at = vector["webhook-timestamp"].parse().unwrap();
    let signer = Webhook::new(secret).unwrap();
    signer.sign(vector["webhook-id"], at, vector["body"].as_bytes()).unwrap()
}

#[test]
fn the_test_vector_is_what_the_public_library_signs() {
    let vector = values_behind("<!-- vector:");
    assert_eq!(signature(vector["secret"], &vector), vector["webhook-signature"]);
    assert_says(&format!("The body has {} bytes", vector["body"].len()));
    assert_says(&format!("Now is {} here", vector["webhook-timestamp"]));
    let rotating = values_behind("the same delivery carries two signatures");
    let both = [rotating["next secret"], vector["secret"]].map(|secret| signature(secret, &vector));
    assert_eq!(rotating["webhook-signature"], both.join(" "));
}

#[test]
fn the_test_vector_is_genuine_to_the_command_line() {
    let (site, vector) = (Site::new(), values_behind("<!-- vector:"));
    std::fs::write(site.path("body.json"), vector["body"]).unwrap();
    std::fs::write(site.path("secret.txt"), vector["secret"]).unwrap();
    let mut args = vec![
        "verify",
        "--secret",
        "@secret.txt",
        "body.json",
        "--at",
        vector["webhook-timestamp"],
    ];
    args.extend(["--id", vector["webhook-id"], "--timestamp", vector["webhook-timestamp"]]);
    args.extend(["--signature", vector["webhook-signature"]]);
    let output = site.run(&args);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn the_code_by_hand_takes_the_test_vector_and_nothing_else() {
    let python = std::env::var_os("POSTRIDER_TEST_PYTHON").expect("POSTRIDER_TEST_PYTHON is not set: run ./test, which sets it");
    let (mut vector, rotating) = (
        values_behind("<!-- vector:"),
        values_behind("the same delivery carries two signatures"),
    );
    vector.insert("rotating", rotating["webhook-signature"]);
    vector.insert("next secret", rotating["next secret"]);
    vector.insert("code", block_behind("In Python, and with several secrets"));
    let mut judge = Command::new(python)
        .args(["-c", JUDGE])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    write!(judge.stdin.take().unwrap(), "{}", json!(vector)).unwrap();
    let output = judge.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "judged wrongly: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn its_times_and_sizes_are_those_of_the_server() {
    let seconds = READ_TIME_MAX.as_secs();
    assert_says(&format!("status and headers arrive within {seconds} seconds"));
    let (connect, write) = (CONNECT_TIME_MAX.as_secs(), WRITE_TIME_MAX.as_secs());
    assert_says(&format!("An attempt has {connect} seconds to connect"));
    assert_says(&format!("{write} to send, {seconds} to your status and headers"));
    assert_says(&format!("up to {} hours", RETRY_AFTER_MAX.as_secs() / 3_600));
    assert_says(&format!("From now on, for {} hours", GRACE_DEFAULT.as_secs() / 3_600));
    assert_says(&format!("Keep it for {} days", RETENTION_DEFAULT.as_secs() / 86_400));
    assert_says(&format!("`data` has up to {} KiB", EVENT_DATA_BYTES_MAX / 1_024));
    assert_says(&format!("its first {} KiB are kept", RESPONSE_BODY_KEPT_BYTES_MAX / 1_024));
    let (_, row) = GUIDE.split_once("| after the one before |").unwrap();
    let delays = row.lines().next().unwrap().trim_end_matches('|');
    let schedule: RetrySchedule = delays.replace(" min", "m").replace(' ', "").replace('|', ",").parse().unwrap();
    assert_eq!(schedule, RetrySchedule::default());
}
