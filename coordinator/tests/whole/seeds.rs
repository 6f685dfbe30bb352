//! Seeds: the noise floor, winners that must be significant, and more seeds for undecided comparisons.

use std::collections::HashMap;
use std::sync::Arc;

use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;

use crate::env::{Answer, Env, reference, result};

/// One stage that varies filters, with the given rest of the spec.
fn spec(filters: &str, stage: &str, rest: &str) -> String {
    format!(
        "
version: 1
name: seeds
dataset: {{ kind: synthetic_scenes, seed: 1, train_images: 64, test_images: 32, image_size: 32, channels: 3, classes: 8 }}
protocol: {{ epochs: 3 }}
baseline: {{ family: cnn, filters: 4, dense_units: 8 }}
stages:
  - {{ name: width, vary: {{ filters: {filters} }}{stage} }}
{rest}
"
    )
}

/// 8 filters are clearly better than 4 under every seed; 16 are better under even seeds and worse under odd ones. The
/// seeds of the noise floor are much better than all of them, so that a test fails if they are counted elsewhere.
fn by_seed() -> Answer {
    Arc::new(|settings| Ending::Result(result(accuracy(settings))))
}

fn accuracy(settings: &HashMap<String, String>) -> f64 {
    let seed: u64 = settings["seed"].parse().unwrap();
    if seed >= 1_000_000 {
        return 0.95;
    }
    let change = match (settings["configuration.filters"].as_str(), seed % 2) {
        ("8", _) => 0.1,
        ("16", 0) => 0.02,
        ("16", _) => -0.019,
        _ => 0.0,
    };
    0.5 + 0.001 * seed as f64 + change
}

fn choices(status: &v1::SweepStatus) -> Vec<&str> {
    status.stages.iter().map(|stage| stage.choice.as_str()).collect()
}

/// Succeeded trials of each stage.
fn ended(status: &v1::SweepStatus) -> Vec<u64> {
    status.stages.iter().map(|stage| stage.counts.unwrap().succeeded).collect()
}

/// Attempts of every trial of a sweep.
async fn attempts(env: &Env, sweep: u64) -> Vec<u32> {
    let request = v1::ListTrialsRequest { sweep: reference(sweep), page_size: 1000, ..Default::default() };
    let trials = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    trials.iter().map(|trial| trial.attempts).collect()
}

#[tokio::test]
async fn the_noise_floor_is_trained_and_enters_nothing_else() {
    let text = spec(
        "[4, 8]",
        ", keep: best",
        "  - { name: head, vary: { dense_layers: [2] } }\nseeds: 2\nnoise: { seeds: 3 }",
    );
    let env = Env::new().await;
    let submitted = env.submit(&text).await;
    assert_eq!(submitted.counts.unwrap().queued, 2 * 2 + 3);
    let mut worker = env.worker("w1", 2).await;
    worker.until_running().await;
    worker.finish_all(&by_seed()).await;
    let env = env.restart().await;
    let ended_sweep = env.worker("w1", 2).await.work(&env, submitted.id, &by_seed()).await;
    assert_eq!(ended_sweep.state(), v1::SweepState::Succeeded);
    assert_eq!(ended(&ended_sweep), [4, 2, 3]);
    assert_eq!(choices(&ended_sweep)[0], "filters=8", "the baseline's noise seeds choose nothing");
    let board = env.leaderboard(submitted.id).await;
    let baseline = board.rows.iter().find(|row| row.baseline).unwrap();
    let accuracy = baseline.val_accuracy.as_ref().unwrap();
    assert_eq!((accuracy.count, baseline.counts.unwrap().succeeded), (2, 2));
    assert!((accuracy.mean - 0.5005).abs() < 1e-12, "{}", accuracy.mean);
    assert_eq!(baseline.stages, ["width"]);
    assert_eq!(ended_sweep.best_configuration, "filters=8");
    let request = v1::ListTrialsRequest { sweep: reference(submitted.id), ..Default::default() };
    let trials = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    let noise: Vec<_> = trials.iter().filter(|trial| trial.stages == ["noise"]).map(|trial| trial.seed).collect();
    assert_eq!(noise, [1_000_000, 1_000_001, 1_000_002]);
}

#[tokio::test]
async fn a_winner_has_to_be_significant_or_the_starting_point_stays() {
    let env = Env::new().await;
    let mut worker = env.worker("w1", 4).await;
    let behind = "  - { name: head, vary: { dense_layers: [2] } }\n";
    for (filters, seeds, choice) in [
        (
            "[8]",
            5,
            "baseline: filters=8 differs by +0.1000 (p = 0.0625 over 5 seeds, Holm over 1 comparison), which is not significant",
        ),
        ("[8]", 6, "filters=8: better than baseline by +0.1000 (p = 0.0312 over 6 seeds, Holm over 1 comparison)"),
        (
            "[8, 16]",
            6,
            "baseline: filters=8 differs by +0.1000 (p = 0.0625 over 6 seeds, Holm over 2 comparisons), which is not significant",
        ),
    ] {
        let text = spec(filters, ", keep: best_if_significant", &format!("{behind}seeds: {seeds}"));
        let sweep = env.submit(&text).await.id;
        let status = worker.work(&env, sweep, &by_seed()).await;
        assert_eq!(choices(&status), [choice, ""]);
        let board = env.leaderboard(sweep).await;
        let head = if choice.starts_with("filters=8") { "filters=8 dense_layers=2" } else { "dense_layers=2" };
        assert!(board.rows.iter().any(|row| row.configuration == head), "{choice}");
    }
}

#[tokio::test]
async fn only_the_named_seeds_choose() {
    // Under the even seeds alone 16 filters are better than 4.
    let behind = "  - { name: head, vary: { dense_layers: [2] } }\nseeds: 6";
    let env = Env::new().await;
    let mut worker = env.worker("w1", 4).await;
    for (choose_on, choice) in
        [("", "baseline"), (", choose_on: [4, 0, 2]", "filters=16"), (", choose_on: [1]", "baseline")]
    {
        let sweep = env.submit(&spec("[4, 16]", &format!(", keep: best{choose_on}"), behind)).await.id;
        let answer: Answer = Arc::new(|settings| match settings["seed"].as_str() {
            "5" if settings["configuration.filters"] == "16" => Ending::Result(result(0.4)),
            _ => by_seed()(settings),
        });
        let status = worker.work(&env, sweep, &answer).await;
        assert_eq!(choices(&status), [choice, ""], "{choose_on}");
    }
}

const ADAPTIVE: &str = "seeds: { adaptive: { start: 6, step: 6, at_most: 18 } }";

#[tokio::test]
async fn only_what_is_undecided_gets_more_seeds_up_to_a_bound() {
    let env = Env::new().await;
    let submitted = env.submit(&spec("[4, 8, 16]", "", ADAPTIVE)).await;
    let counts = submitted.counts.unwrap();
    assert_eq!((counts.queued, counts.to_come_at_most), (18, 36));
    let status = env.worker("w1", 4).await.work(&env, submitted.id, &by_seed()).await;
    assert_eq!(status.state(), v1::SweepState::Succeeded);
    // Six seeds leave two comparisons undecided; twelve decide one of them.
    assert_eq!(ended(&status), [18, 18, 12]);
    assert_eq!(
        choices(&status),
        [
            "",
            "filters=16, filters=8 and their references: 0 of 2 comparisons are decided",
            "filters=16 and their references: 1 of 2 comparisons is decided"
        ]
    );
    let board = env.leaderboard(submitted.id).await;
    let seeds = |label: &str| {
        let row = board.rows.iter().find(|row| row.configuration == label).unwrap();
        row.val_accuracy.as_ref().unwrap().count
    };
    assert_eq!((seeds("baseline"), seeds("filters=8"), seeds("filters=16")), (18, 12, 18));
    assert_eq!(attempts(&env, submitted.id).await, [1; 48]);
}

#[tokio::test]
async fn what_is_decided_gets_none() {
    let env = Env::new().await;
    let text = spec("[4, 8]", "", "seeds: { adaptive: { start: 12, step: 6, at_most: 24 } }");
    let sweep = env.submit(&text).await.id;
    let status = env.worker("w1", 4).await.work(&env, sweep, &by_seed()).await;
    assert_eq!((status.state(), ended(&status)), (v1::SweepState::Succeeded, vec![24, 0, 0]));
    assert_eq!(choices(&status)[1..], ["none: 1 of 1 comparison is decided"; 2]);
}

#[tokio::test]
async fn restarts_in_the_middle_change_nothing_and_run_nothing_twice() {
    let mut env = Env::new().await;
    let sweep = env.submit(&spec("[4, 8, 16]", ", keep: best", ADAPTIVE)).await.id;
    let mut worker = env.worker("w1", 5).await;
    let mut restarts = 0;
    while env.status(sweep).await.state() == v1::SweepState::Running {
        worker.poll().await.unwrap();
        worker.finish_all(&by_seed()).await;
        // The worker receives its assignment; then the coordinator stops, perhaps between an ending and its follow-up.
        worker.poll().await.unwrap();
        env = env.restart().await;
        worker.client = env.worker("someone else", 0).await.client;
        assert!(worker.register().await.is_empty(), "all attempts are adopted");
        restarts += 1;
        assert!(restarts < 40, "it ends");
    }
    assert!(restarts > 5);
    let status = env.status(sweep).await;
    assert_eq!(status.state(), v1::SweepState::Succeeded);
    // The winner of the stage must be tested on seeds that did not choose it: six more are too few, twelve are enough.
    assert_eq!(ended(&status), [18, 18, 18]);
    assert_eq!(choices(&status)[0], "filters=8");
    assert!(attempts(&env, sweep).await.iter().all(|attempts| *attempts == 1));
}

#[tokio::test]
async fn a_trial_that_fails_among_the_added_ones_can_be_retried() {
    let env = Env::new().await;
    let sweep = env.submit(&spec("[4, 8, 16]", "", ADAPTIVE)).await.id;
    let fails: Answer =
        Arc::new(|settings| match (settings["configuration.filters"].as_str(), settings["seed"].as_str()) {
            ("16", "7") => {
                Ending::Failure(v1::Failure { class: v1::FailureClass::Spec.into(), reason: "meant".into() })
            }
            _ => by_seed()(settings),
        });
    let status = env.worker("w1", 4).await.work(&env, sweep, &fails).await;
    assert_eq!((status.state(), ended(&status)), (v1::SweepState::Failed, vec![18, 17, 0]));
    let last = "none: 1 of 2 comparisons is decided, 1 without a value";
    assert_eq!(choices(&status)[2], last);
    let env = env.restart().await;
    let request = v1::RetrySweepRequest { sweep: reference(sweep), user: "ann".into() };
    let retried = env.sweeps().await.retry_sweep(request).await.unwrap().into_inner();
    assert_eq!(retried.trials, 1);
    let counts = retried.sweep.unwrap().counts.unwrap();
    assert_eq!((counts.queued + counts.running, counts.to_come_at_most), (1, 0));
    let again = env.worker("w1", 4).await.work(&env, sweep, &by_seed()).await;
    assert_eq!((again.state(), ended(&again)), (v1::SweepState::Succeeded, vec![18, 18, 0]));
    assert_eq!(choices(&again), choices(&status), "what was decided stays");
}

#[tokio::test]
async fn without_a_winner_nothing_more_is_decided_until_a_retry_finds_one() {
    let env = Env::new().await;
    let text =
        spec("[8, 16]", ", keep: best", &format!("  - {{ name: head, vary: {{ dense_layers: [1, 2] }} }}\n{ADAPTIVE}"));
    let sweep = env.submit(&text).await.id;
    let fails: Answer = Arc::new(|settings| match settings["seed"].as_str() {
        "3" => Ending::Failure(v1::Failure { class: v1::FailureClass::Spec.into(), reason: "meant".into() }),
        _ => by_seed()(settings),
    });
    let mut worker = env.worker("w1", 4).await;
    let status = worker.work(&env, sweep, &fails).await;
    assert_eq!((status.state(), ended(&status)), (v1::SweepState::Failed, vec![10, 0, 0, 0]));
    let request = v1::RetrySweepRequest { sweep: reference(sweep), user: "ann".into() };
    env.sweeps().await.retry_sweep(request).await.unwrap();
    let status = worker.work(&env, sweep, &by_seed()).await;
    assert_eq!(status.state(), v1::SweepState::Succeeded);
    assert_eq!(choices(&status)[0], "filters=8");
    // Two dense layers are as good as one, so both get all seeds.
    assert_eq!(ended(&status), [12, 12, 12, 12]);
}
