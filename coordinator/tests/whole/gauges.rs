//! Metrics about trouble: failures and retries, silent workers, progress of sweeps, calls, disk space.

use sweep_coordinator::Args;
use sweep_coordinator::clock::Manual;
use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;
use tonic::codegen::Service;

use crate::env::{Env, SPEC, STEP, by_filters, key, reference, short_lease, timed};
use crate::watching::http;

/// The number of the line that begins with `series`; fails without such a line.
fn number(scrape: &str, series: &str) -> f64 {
    let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let text = line.unwrap_or_else(|| panic!("no {series} in\n{scrape}"));
    text.parse().unwrap_or_else(|_| panic!("{series} is {text}"))
}

async fn scrape(env: &Env) -> String {
    http(env, "/metrics").await
}

#[tokio::test]
async fn a_failure_is_counted_by_class_and_so_is_what_is_tried_again() {
    let env = Env::with(Args { max_failures: Some("2".into()), ..Args::default() }).await;
    env.submit(SPEC).await;
    let mut worker = env.worker("w1", 1).await;
    worker.until_running().await;
    let failure = v1::Failure { class: v1::FailureClass::Trainer.into(), reason: "it is meant to".into() };
    let mut failed = std::collections::HashMap::<Vec<u8>, u32>::new();
    while failed.values().all(|times| *times < 2) {
        worker.until_running().await;
        let lease = worker.held().remove(0);
        worker.finish(&lease, 0, Ending::Failure(failure.clone())).await;
        worker.running.remove(&key(&lease));
        *failed.entry(lease.trial_id.to_vec()).or_default() += 1;
    }
    let all: u32 = failed.values().sum();
    let text = scrape(&env).await;
    assert_eq!(number(&text, r#"sweep_attempt_failures_total{class="trainer"}"#), f64::from(all));
    assert_eq!(number(&text, r#"sweep_trials_failed_total{class="trainer"}"#), 1.0);
    assert_eq!(number(&text, r#"sweep_retries_total{class="trainer"}"#), f64::from(all - 1));
    assert_eq!(number(&text, r#"sweep_retries_total{class="data"}"#), 0.0);
}

#[tokio::test]
async fn a_silent_worker_is_lost_and_one_that_said_that_it_leaves_is_not() {
    let clock = Manual::begin();
    let env = Env::by(&clock, short_lease()).await;
    env.submit(SPEC).await;
    let mut leaving = env.worker("leaving", 1).await;
    let request = v1::PollRequest { session: leaving.session, draining: true, ..Default::default() };
    leaving.client.poll(request).await.unwrap();
    let mut silent = env.worker("silent", 1).await;
    silent.until_running().await;
    let mut worker = env.worker("w1", 1).await;
    let connected = |text: &str| {
        number(text, r#"sweep_workers{state="connected"}"#) + number(text, r#"sweep_workers{state="draining"}"#)
    };
    let text = loop {
        clock.advance(STEP);
        worker.poll().await.unwrap();
        let text = scrape(&env).await;
        if connected(&text) == 1.0 {
            break text;
        }
    };
    assert_eq!(number(&text, "sweep_workers_lost_total"), 1.0);
    assert_eq!(number(&text, r#"sweep_attempt_failures_total{class="lost"}"#), 1.0);
    assert_eq!(number(&text, r#"sweep_retries_total{class="lost"}"#), 1.0);
}

#[tokio::test]
async fn a_sweep_says_when_it_came_on_last_how_long_it_waits_and_whether_it_rests() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let series = |name: &str| format!("{name}{{sweep=\"{sweep}\"}}");
    let before = scrape(&env).await;
    assert!(number(&before, &series("sweep_queue_wait_seconds")) > 0.0, "nobody takes its trials");
    assert_eq!(number(&before, &series("sweep_scheduling_paused")), 0.0);
    let mut worker = env.worker("w1", 1).await;
    worker.until_running().await;
    let lease = worker.held().remove(0);
    worker.report(&lease, 1..=1).await;
    let text = scrape(&env).await;
    let at = |text: &str| number(text, &series("sweep_last_progress_timestamp_seconds"));
    assert!(at(&text) > at(&before));
    let request = v1::PauseSweepRequest { sweep: reference(sweep), paused: true, ..Default::default() };
    env.sweeps().await.pause_sweep(request).await.unwrap();
    let text = scrape(&env).await;
    assert_eq!(number(&text, &series("sweep_scheduling_paused")), 1.0);
}

#[tokio::test]
async fn an_expected_end_comes_with_the_first_answer_and_goes_with_the_sweep() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    assert!(!scrape(&env).await.contains("sweep_remaining_seconds{"), "nothing was ever measured");
    worker.until_running().await;
    let (lease, settings, _) = worker.running.values().next().unwrap().clone();
    worker.report(&lease, 1..=3).await;
    worker.finish(&lease, 3, timed()(&settings)).await;
    worker.running.remove(&key(&lease));
    let text = scrape(&env).await;
    let bound = |bound: &str| number(&text, &format!("sweep_remaining_seconds{{bound=\"{bound}\",sweep=\"{sweep}\"}}"));
    assert!(0.0 <= bound("low") && bound("low") < bound("expected") && bound("expected") < bound("high"), "{text}");
    worker.work(&env, sweep, &by_filters()).await;
    assert!(!scrape(&env).await.contains("sweep_remaining_seconds{"));
}

#[tokio::test]
async fn calls_are_timed_by_method_and_code_and_paths_that_are_none_share_a_label() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    env.status(sweep).await;
    let nobody = v1::GetSweepRequest { sweep: reference(99) };
    env.sweeps().await.get_sweep(nobody).await.unwrap_err();
    for path in ["/sweep.v1.SweepService/MadeUp", "/made.up.Service/Method"] {
        let mut channel = env.channel().await;
        std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
        let request = tonic::codegen::http::Request::post(path).body(tonic::body::Body::empty()).unwrap();
        assert_eq!(channel.call(request).await.unwrap().headers()["grpc-status"], "12");
    }
    let text = scrape(&env).await;
    let count = |code: &str, method: &str| {
        number(&text, &format!("sweep_rpc_seconds_count{{code=\"{code}\",method=\"{method}\"}}"))
    };
    assert_eq!((count("ok", "SweepService/Submit"), count("ok", "SweepService/GetSweep")), (1.0, 1.0));
    assert_eq!(count("not_found", "SweepService/GetSweep"), 1.0);
    assert_eq!(count("unimplemented", "other"), 2.0);
    assert!(!text.contains("MadeUp"), "{text}");
}

#[tokio::test]
async fn the_room_of_the_store_and_on_its_disk_is_told() {
    let env = Env::new().await;
    let text = scrape(&env).await;
    assert_eq!(number(&text, "sweep_coordinator_leading"), 1.0);
    assert!(number(&text, "sweep_store_bytes") > 0.0);
    for place in ["store", "artifacts"] {
        let free = number(&text, &format!("sweep_disk_free_bytes{{place=\"{place}\"}}"));
        assert!(free <= number(&text, &format!("sweep_disk_bytes{{place=\"{place}\"}}")));
    }
}
