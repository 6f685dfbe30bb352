//! Tests of draining, stopping, locks and the metrics server.

use sweep_proto::v1::PollResponse;
use sweep_proto::v1::finish_request::Ending as How;
use sweep_worker::{Ending, Error, Handle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::env::{Env, GATED, assignment, eventually, runs};

/// A worker that drains during a trial finishes the trial and exits.
async fn drains_in_a_trial(drain: impl FnOnce(&Env, &Handle)) {
    let env = Env::new(GATED);
    let (worker, gate, lease) = env.start_and_train_to_the_gate().await;
    drain(&env, &worker);
    env.coordinator.until("a draining poll", |state| state.polls.last()?.draining.then_some(())).await;
    gate.open().await;
    assert_eq!(worker.join().await.unwrap(), Ending::Drained);
    assert!(matches!(env.coordinator.finish(&lease).await.ending, Some(How::Result(_))));
    assert!(env.pids("starts").into_iter().all(|pid| !runs(pid)));
}

#[tokio::test]
async fn a_drained_worker_finishes_what_it_has_and_leaves() {
    drains_in_a_trial(|env, _| env.coordinator.say(PollResponse { drain: true, ..PollResponse::default() })).await;
}

#[tokio::test]
async fn a_worker_that_drains_itself_says_so_and_finishes_what_it_has() {
    drains_in_a_trial(|_, worker| worker.drain()).await;
}

#[tokio::test]
async fn a_worker_without_a_trial_for_long_enough_asks_to_leave_and_ends() {
    let mut env = Env::new("whole");
    env.config.idle_exit = Some(std::time::Duration::from_millis(20));
    env.config.pool = Some("spot".to_owned());
    let worker = env.start().await;
    assert_eq!(worker.join().await.unwrap(), Ending::Drained);
    let state = env.coordinator.state();
    assert_eq!(state.registrations[0].pool, "spot");
    let draining = state.polls.iter().filter(|poll| poll.draining).count();
    assert_eq!(draining, 2, "it asked, was answered, and said goodbye: {:?}", state.polls);
}

#[tokio::test]
async fn a_worker_with_a_trial_is_not_idle_however_long_that_takes() {
    let mut env = Env::new(GATED);
    env.config.idle_exit = Some(std::time::Duration::from_millis(1_500));
    let gate = env.gate("gate");
    let lease = env.assign(1);
    let worker = env.start().await;
    env.coordinator.points(&lease, 1).await;
    // Each poll is parked for a second: three polls take longer than the worker's idle time.
    let polls = env.coordinator.state().polls.len();
    env.coordinator.until("more polls", |state| (state.polls.len() > polls + 3).then_some(())).await;
    assert!(env.coordinator.state().polls.iter().all(|poll| !poll.draining));
    gate.open().await;
    assert_eq!(worker.join().await.unwrap(), Ending::Drained);
    assert!(matches!(env.coordinator.finish(&lease).await.ending, Some(How::Result(_))));
}

#[tokio::test]
async fn a_trial_that_was_assigned_while_an_idle_worker_asked_to_leave_is_trained() {
    let mut env = Env::new("whole");
    env.config.idle_exit = Some(std::time::Duration::from_millis(20));
    let (lease, assignment) = assignment(1);
    let answer = PollResponse { start: vec![assignment], ..PollResponse::default() };
    env.coordinator.state().drain_answer = Some(answer);
    let worker = env.start().await;
    assert_eq!(worker.join().await.unwrap(), Ending::Drained);
    assert!(matches!(env.coordinator.finish(&lease).await.ending, Some(How::Result(_))));
}

#[tokio::test]
async fn an_idle_worker_ends_though_no_coordinator_answers() {
    let mut env = Env::new("whole");
    env.config.idle_exit = Some(std::time::Duration::from_millis(20));
    env.kill_coordinator();
    let worker = sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await.unwrap();
    assert_eq!(worker.join().await.unwrap(), Ending::Drained);
}

#[tokio::test]
async fn a_stopped_worker_gives_its_attempts_back() {
    let env = Env::new("started; trap 'exit 75' TERM; epoch 1; while :; do sleep 0.05; done");
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    env.shutdown.cancel();
    assert_eq!(worker.join().await.unwrap(), Ending::Stopped);
    let finish = env.coordinator.finish(&lease).await;
    let Some(How::Stopped(stopped)) = finish.ending else { panic!("{:?}", finish.ending) };
    assert_eq!(stopped.reason, "the worker is shutting down");
    let state = env.coordinator.state();
    assert!(state.polls.last().unwrap().draining);
    assert!(env.pids("starts").into_iter().all(|pid| !runs(pid)));
}

#[tokio::test]
async fn a_worker_that_is_told_to_leave_gives_its_attempts_back() {
    let env = Env::new("started; trap 'exit 75' TERM; epoch 1; while :; do sleep 0.05; done");
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    env.coordinator.say(PollResponse { leave: true, ..PollResponse::default() });
    assert_eq!(worker.join().await.unwrap(), Ending::Drained);
    let finish = env.coordinator.finish(&lease).await;
    let Some(How::Stopped(stopped)) = finish.ending else { panic!("{:?}", finish.ending) };
    assert_eq!(stopped.reason, "the coordinator requested the worker's exit");
    assert!(env.pids("starts").into_iter().all(|pid| !runs(pid)));
}

#[tokio::test]
async fn why_a_worker_is_out_of_service_is_shown_while_it_is() {
    let env = Env::new("whole");
    let worker = env.start().await;
    let shown = |line: &str| worker.metrics().render().unwrap().contains(line);
    assert!(shown("sweep_worker_out_of_service{worker=\"w1\"} 0"));
    env.coordinator.state().out_of_service = Some("five trials in a row failed here".to_owned());
    eventually("its end of service", || shown("sweep_worker_out_of_service{worker=\"w1\"} 1")).await;
    let polls = || env.coordinator.state().polls.len();
    let before = polls();
    eventually("two answers without news", || polls() >= before + 3).await;
    assert!(
        shown("sweep_worker_out_of_service{worker=\"w1\"} 1"),
        "an answer without news put the worker back in service"
    );
    env.coordinator.state().out_of_service = Some(String::new());
    eventually("its return", || shown("sweep_worker_out_of_service{worker=\"w1\"} 0")).await;
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_worker_leaves_though_nobody_listens() {
    let mut env = Env::new("started; epoch 1; while :; do sleep 0.05; done");
    env.config.shutdown = std::time::Duration::from_secs(2);
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    env.kill_coordinator();
    assert_eq!(worker.stop().await.unwrap(), Ending::Stopped);
    assert!(env.pids("starts").into_iter().all(|pid| !runs(pid)));
}

#[tokio::test]
async fn two_workers_do_not_share_a_folder() {
    let env = Env::new("whole");
    let worker = env.start().await;
    let second = sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await;
    assert!(matches!(second, Err(Error::Locked { .. })));
    worker.stop().await.unwrap();
    let second = sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await.unwrap();
    second.stop().await.unwrap();
}

async fn page(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn the_pages_show_what_the_worker_does() {
    let mut env = Env::new(GATED);
    env.config.listen_http = Some(([127, 0, 0, 1], 0).into());
    let gate = env.gate("gate");
    let worker = env.start().await;
    let address = worker.http_address.unwrap();
    assert!(worker.registered().await);
    assert!(page(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(page(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    let text = page(address, "/metrics").await;
    for line in [
        "sweep_worker_slots{state=\"running\",worker=\"w1\"} 1",
        "sweep_worker_images_per_second{slot=\"0\",worker=\"w1\"} 128",
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
    gate.open().await;
    env.coordinator.finish(&lease).await;
    let text = page(address, "/metrics").await;
    assert!(text.contains("sweep_worker_attempts_total{outcome=\"converged\",worker=\"w1\"} 1"), "{text}");
    assert!(!text.contains("sweep_worker_images_per_second{slot=\"0\""), "{text}");
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_no_coordinator_has_taken_is_not_ready() {
    let mut env = Env::new("whole");
    env.config.listen_http = Some(([127, 0, 0, 1], 0).into());
    env.kill_coordinator();
    let worker = sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await.unwrap();
    assert!(page(worker.http_address.unwrap(), "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(page(worker.http_address.unwrap(), "/healthz").await.starts_with("HTTP/1.1 200"));
    worker.stop().await.unwrap();
}
