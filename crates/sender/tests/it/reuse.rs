//! Connections are used again, and a leftover that has died costs nobody an attempt.

use std::sync::Arc;
use std::time::Duration;

use postrider_model::attempt::ErrorKind;
use postrider_testkit::receiver::{Answer, Receiver, Script, Signal, Step};

use crate::world::{World, error, outgoing};

#[tokio::test]
async fn attempts_in_a_row_share_a_connection() {
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::status(200).body("thank you"))).await;
    for _ in 0..5 {
        assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    }
    assert_eq!((receiver.request_count(), receiver.connections()), (5, 1));
    assert_eq!(world.sender.idle_connections(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_no_attempt() {
    let world = World::new();
    let bye = Answer::steps([Step::Write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into()), Step::Close]);
    let receiver = Receiver::http(Script::always(bye)).await;
    for number in 1..=3 {
        assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
        assert_eq!(receiver.request_count(), number);
        assert_eq!(receiver.connections(), number);
    }
}

#[tokio::test]
async fn a_connection_that_dies_under_the_request_is_tried_once_more() {
    for death in [Answer::close(), Answer::reset()] {
        let world = World::new();
        let receiver = Receiver::http(Script::sequence([Answer::status(200), death, Answer::status(202)])).await;
        assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
        let outcome = world.send(outgoing(&receiver.url("/"))).await;
        assert_eq!(outcome.response.unwrap().status, 202);
        let requests = receiver.requests();
        assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 1, 2]);
        assert_eq!(requests[1].headers, requests[2].headers, "it is the same attempt");
        assert_eq!(requests[1].body, requests[2].body);
    }
}

#[tokio::test]
async fn it_is_tried_once_more_and_not_twice() {
    let world = World::new();
    let receiver = Receiver::http(Script::sequence([Answer::status(200), Answer::close()])).await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    let outcome = world.send(outgoing(&receiver.url("/"))).await;
    assert_eq!(
        error(&outcome),
        (ErrorKind::Protocol, "the receiver closed the connection before it answered")
    );
    assert_eq!(receiver.request_count(), 3);
}

#[tokio::test]
async fn what_has_begun_to_answer_is_not_tried_again() {
    let world = World::new();
    let half = Answer::steps([Step::Write("HTTP/1.1 20".into()), Step::Close]);
    let receiver = Receiver::http(Script::sequence([Answer::status(200), half, Answer::status(200)])).await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    let outcome = world.send(outgoing(&receiver.url("/"))).await;
    assert_eq!(error(&outcome).0, ErrorKind::Protocol);
    assert_eq!(receiver.request_count(), 2);
}

#[tokio::test]
async fn silence_on_a_connection_of_the_pool_is_an_attempt() {
    let world = World::new();
    let receiver = Receiver::http(Script::sequence([Answer::status(200), Answer::hang()])).await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    let attempt = world.start(outgoing(&receiver.url("/")));
    receiver.wait_for_requests(2).await;
    world.clock.wait_for_sleepers(2).await;
    world.clock.advance(Duration::from_secs(15));
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!((error(&outcome).0, outcome.duration), (ErrorKind::Timeout, Duration::from_secs(15)));
    assert_eq!(receiver.request_count(), 2);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let world = World::new();
    let twice = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 Smuggled\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::http(Script::sequence([Answer::raw(twice), Answer::status(204)])).await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    let outcome = world.send(outgoing(&receiver.url("/"))).await;
    assert_eq!(outcome.response.unwrap().status, 204);
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn idle_connections_are_closed_after_half_a_minute() {
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    for _ in 0..2 {
        world.clock.wait_for_sleepers(1).await;
        assert_eq!(world.sender.open_sockets(), 1);
        world.clock.advance(Duration::from_secs(15));
    }
    while receiver.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((world.sender.idle_connections(), world.sender.open_sockets()), (0, 0));
    // The sweeper has gone with the last connection, and comes back with the next.
    assert_eq!(world.clock.sleepers(), 0);
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    world.clock.wait_for_sleepers(1).await;
}

#[tokio::test]
async fn a_connection_is_used_for_five_minutes_and_no_longer() {
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    for _ in 0..15 {
        assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
        assert_eq!(receiver.connections(), 1);
        world.clock.advance(Duration::from_secs(20));
    }
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn idle_connections_have_limits_per_host_and_in_all() {
    let world = World::with(|options| {
        options.idle_per_key_max = 2;
        options.idle_max = 3;
    });
    let signal = Signal::new();
    let mut receivers = Vec::new();
    for _ in 0..2 {
        receivers.push(Receiver::http(Script::always(Answer::status(200).after(&signal))).await);
    }
    let attempts: Vec<_> = (0..8).map(|index| world.start(outgoing(&receivers[index % 2].url("/")))).collect();
    for receiver in &receivers {
        receiver.wait_for_requests(4).await;
    }
    assert_eq!(world.sender.open_sockets(), 8);
    signal.give();
    for attempt in attempts {
        assert!(attempt.await.unwrap().unwrap().is_success());
    }
    assert_eq!((world.sender.idle_connections(), world.sender.open_sockets()), (3, 3));
}

#[tokio::test]
async fn hosts_and_ports_do_not_mix() {
    let world = World::new();
    let one = Receiver::http(Script::always(Answer::status(200))).await;
    let other = Receiver::http(Script::always(Answer::status(201))).await;
    for _ in 0..2 {
        assert_eq!(world.send(outgoing(&one.url("/a"))).await.response.unwrap().status, 200);
        assert_eq!(world.send(outgoing(&other.url("/b"))).await.response.unwrap().status, 201);
    }
    assert_eq!((one.connections(), other.connections()), (1, 1));
}

#[tokio::test]
async fn the_sweeper_ends_though_the_last_connection_died_in_use() {
    let world = World::new();
    let receiver = Receiver::http(Script::sequence([
        Answer::status(200),
        Answer::steps([Step::Write("HTTP/1.1 2".into()), Step::Close]),
    ]))
    .await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    assert!(!world.send(outgoing(&receiver.url("/"))).await.is_success());
    world.clock.wait_for_sleepers(1).await;
    world.clock.advance(Duration::from_secs(15));
    // It would sleep again at once.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!((world.clock.sleepers(), world.sender.idle_connections()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attempt_is_lost_to_connections_that_close_at_any_time() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthank";
    let bye = Answer::steps([Step::Write(OK.into()), Step::Close]);
    // Every seventh answer is the last on its connection, and every eleventh leaves its body for the drain.
    let late = Answer::steps([Step::Write(OK.replace("thank", "th").into()), Step::Write("ank".into())]);
    let script = Script::by(move |number, _| match number {
        _ if number % 7 == 0 => bye.clone(),
        _ if number % 11 == 0 => late.clone(),
        _ => Answer::status(200).body("thank"),
    });
    let receiver = Receiver::http(script).await;
    let world = Arc::new(World::new());
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (world, url) = (Arc::clone(&world), receiver.url("/"));
            tokio::spawn(async move {
                for _ in 0..50 {
                    let outcome = world.send(outgoing(&url)).await;
                    assert!(outcome.is_success(), "{outcome:?}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(receiver.request_count() >= 1_600);
    assert!(receiver.connections() < receiver.request_count() / 2, "connections are used again");
}

#[tokio::test]
async fn each_url_of_a_host_keeps_its_own_path() {
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    let paths = ["/", "/a/../b", "/a%2Fb?c=d&e", "/?x=[1]", "/caf%C3%A9"];
    for path in paths {
        assert!(world.send(outgoing(&receiver.url(path))).await.is_success());
    }
    let sent: Vec<_> = receiver.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(sent, paths);
    assert_eq!(receiver.connections(), 1);
}
