//! What the operator reads of failed attempts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_lanes::RetrySchedule;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{Does, World};

/// Keeps what is logged while it is alive, on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    fn begin(&self) -> tracing::subscriber::DefaultGuard {
        let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(self.clone());
        tracing::subscriber::set_default(log.finish())
    }

    /// The lines on attempts.
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"] == "postrider::attempts").collect()
    }
}

#[tokio::test]
async fn each_failed_attempt_is_one_line_and_the_last_one_warns() {
    let log = Log::default();
    let _guard = log.begin();
    let world = World::with(|settings| settings.lanes.schedule = RetrySchedule::new([Duration::from_secs(30)])).await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    world.post(&["order.filled"]).await.unwrap();
    let id = world.delivery().delivery.id;
    let lines = log.lines();
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!((line["level"].as_str(), line["attempt"].as_u64()), (Some("INFO"), Some(1)));
    assert_eq!(
        (line["host"].as_str(), line["error_type"].as_str()),
        (Some("h2.example.com"), Some("http"))
    );
    assert_eq!(
        (line["delivery"].as_str(), line["webhook"].as_str()),
        (Some(&*id.to_string()), Some(&*webhook.to_string()))
    );
    assert!(line["next_attempt_at"].as_str().unwrap().starts_with("2026-01-15T10:30:"), "{line}");
    let message = line["message"].as_str().unwrap();
    assert!(
        message.starts_with("the receiver answered 500 after 0 ms; next attempt in "),
        "{message}"
    );
    world.pass(Duration::from_secs(60)).await;
    let lines = log.lines();
    assert_eq!((lines.len(), lines[1]["level"].as_str()), (2, Some("WARN")));
    assert_eq!(lines[1]["next_attempt_at"], Value::Null);
}

#[tokio::test]
async fn nothing_is_logged_of_what_succeeds() {
    let log = Log::default();
    let _guard = log.begin();
    let world = World::new().await;
    world.webhook(2, &[]).await;
    world.post(&["order.filled"; 20]).await.unwrap();
    assert_eq!((world.succeeded(), log.lines().len()), (20, 0));
}

#[tokio::test]
async fn a_storm_of_failures_is_cut_off_and_counted() {
    let log = Log::default();
    let _guard = log.begin();
    let world = World::new().await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    world.post(&["order.filled"; 1_000]).await.unwrap();
    world.post(&["order.filled"; 1_000]).await.unwrap();
    let failed = world.sent().len();
    let lines = log.lines();
    // All in one second: a thousand of them, and the word that the rest is left out.
    assert!(failed > 1_100, "{failed}");
    assert_eq!(lines.len(), 1_001);
    world.pass(Duration::from_secs(2)).await;
    world.let_it(webhook, Does::Succeed);
    world.post(&["order.filled"]).await.unwrap();
    let lines = log.lines();
    let left_out = lines.iter().filter_map(|line| line["left_out"].as_u64()).sum::<u64>();
    let told = lines.iter().filter(|line| line["delivery"].is_string()).count();
    assert_eq!(left_out as usize + told, world.sent().len() - world.succeeded());
}
