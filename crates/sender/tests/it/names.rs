//! Names: asked for once at a time, kept, and used for longer where nobody answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_model::attempt::ErrorKind;
use postrider_ports::Sender as _;
use postrider_sender::{Answer as Found, HttpSender, Resolve, ResolveError, SenderOptions};
use postrider_testkit::clock::SimClock;
use postrider_testkit::receiver::{Answer, Receiver, Script, Signal};

use crate::world::{World, error, ip, outgoing};

type Answers = Mutex<Vec<Result<Found, ResolveError>>>;

/// Gives its answers in turn (the last stays), counts questions, and waits for its signal before each.
#[derive(Clone)]
struct Oracle {
    answers: Arc<Answers>,
    questions: Arc<AtomicUsize>,
    signal: Signal,
}

impl Oracle {
    fn new(answers: impl IntoIterator<Item = Result<Found, ResolveError>>) -> Self {
        let signal = Signal::new();
        signal.give();
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            questions: Arc::default(),
            signal,
        }
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Resolve for Oracle {
    async fn resolve(&self, _: &str) -> Result<Found, ResolveError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        self.signal.given().await;
        let mut answers = self.answers.lock();
        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
    }
}

fn found(addresses: &[IpAddr], seconds: u64) -> Result<Found, ResolveError> {
    Ok(Found {
        addresses: addresses.to_vec(),
        good_for: Duration::from_secs(seconds),
    })
}

fn world(oracle: &Oracle) -> World {
    let clock = SimClock::new();
    let mut options = SenderOptions::new(Arc::new(clock.clone()), Arc::new(oracle.clone()));
    options.address_policy.dev = true;
    // Each attempt dials, and so asks for the name.
    options.idle_max = 0;
    let sender = HttpSender::new(options).unwrap();
    World { clock, sender }
}

async fn receiver() -> (Receiver, String) {
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    let url = receiver.url_by_name("shop.example.com", "/");
    (receiver, url)
}

#[tokio::test]
async fn attempts_that_ask_together_ask_once() {
    let mut oracle = Oracle::new([found(&[ip("127.0.0.1")], 60)]);
    oracle.signal = Signal::new();
    let world = world(&oracle);
    let (receiver, url) = receiver().await;
    let attempts: Vec<_> = (0..10).map(|_| world.start(outgoing(&url))).collect();
    world.clock.wait_for_sleepers(10).await;
    oracle.signal.give();
    for attempt in attempts {
        assert!(attempt.await.unwrap().unwrap().is_success());
    }
    assert_eq!((oracle.questions(), receiver.request_count()), (1, 10));
}

#[tokio::test]
async fn answers_are_kept_for_their_ttl() {
    let oracle = Oracle::new([found(&[ip("127.0.0.1")], 60)]);
    let world = world(&oracle);
    let (_receiver, url) = receiver().await;
    for (wait, questions) in [(0, 1), (59, 1), (1, 2), (59, 2), (2, 3)] {
        world.clock.advance(Duration::from_secs(wait));
        assert!(world.send(outgoing(&url)).await.is_success());
        assert_eq!(oracle.questions(), questions);
    }
}

#[tokio::test]
async fn a_ttl_has_a_floor_and_a_ceiling() {
    for (ttl, kept) in [(0, 5), (1_000_000, 300)] {
        let oracle = Oracle::new([found(&[ip("127.0.0.1")], ttl)]);
        let world = world(&oracle);
        let (_receiver, url) = receiver().await;
        for (wait, questions) in [(0, 1), (kept - 1, 1), (1, 2)] {
            world.clock.advance(Duration::from_secs(wait));
            assert!(world.send(outgoing(&url)).await.is_success());
            assert_eq!(oracle.questions(), questions, "{ttl}");
        }
    }
}

#[tokio::test]
async fn an_old_answer_serves_while_nobody_answers() {
    let silence = Err(ResolveError::Unreachable("no name server answers".to_owned()));
    let oracle = Oracle::new([found(&[ip("127.0.0.1")], 60), silence]);
    let world = world(&oracle);
    let (_receiver, url) = receiver().await;
    assert!(world.send(outgoing(&url)).await.is_success());
    world.clock.advance(Duration::from_secs(61));
    assert!(world.send(outgoing(&url)).await.is_success());
    assert!(world.send(outgoing(&url)).await.is_success());
    assert_eq!(oracle.questions(), 2, "after a question without an answer there is a pause");
    world.clock.advance(Duration::from_secs(6 * 3600));
    assert!(world.try_send(outgoing(&url)).await.is_err(), "six hours later it is too old");
}

#[tokio::test]
async fn a_name_that_is_gone_is_not_served_from_old_answers() {
    let gone = Err(ResolveError::NotFound("there is no host shop.example.com".to_owned()));
    let oracle = Oracle::new([found(&[ip("127.0.0.1")], 60), gone]);
    let world = world(&oracle);
    let (_receiver, url) = receiver().await;
    assert!(world.send(outgoing(&url)).await.is_success());
    world.clock.advance(Duration::from_secs(61));
    let outcome = world.send(outgoing(&url)).await;
    assert_eq!(error(&outcome), (ErrorKind::Dns, "there is no host shop.example.com"));
}

#[tokio::test]
async fn who_is_to_blame_for_a_failed_lookup() {
    let text = || "why".to_owned();
    for (answer, expected) in [
        (Err(ResolveError::NotFound(text())), Some(ErrorKind::Dns)),
        (Err(ResolveError::Failed(text())), Some(ErrorKind::Dns)),
        (Err(ResolveError::TimedOut(text())), Some(ErrorKind::Timeout)),
        (found(&[], 60), Some(ErrorKind::Dns)),
        (Err(ResolveError::Unreachable(text())), None),
    ] {
        let world = world(&Oracle::new([answer.clone()]));
        let result = world.try_send(outgoing("http://shop.example.com/")).await;
        assert_eq!(result.ok().map(|outcome| error(&outcome).0), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_lookup_that_never_ends_ends_at_the_connect_limit() {
    let mut oracle = Oracle::new([found(&[ip("127.0.0.1")], 60)]);
    oracle.signal = Signal::new();
    let world = world(&oracle);
    let (_receiver, url) = receiver().await;
    let attempt = world.start(outgoing(&url));
    assert_eq!(world.let_limit_pass().await, Duration::from_secs(5));
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Timeout);
    assert!(error(&outcome).1.contains("name lookup"));
    // The question goes on, and its answer is there for the next.
    oracle.signal.give();
    assert!(world.sender.send(outgoing(&url)).await.unwrap().is_success());
    assert_eq!(oracle.questions(), 1);
}
