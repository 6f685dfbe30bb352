//! Costs of sweeps: budgets that stop them, seeds that are left out, predictions, and estimates of specs.

use std::time::Duration;

use sweep_coordinator::Args;
use sweep_coordinator::clock::Manual;
use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;

use crate::env::{Env, SPEC, Worker, metrics, reference, result};

/// The duration of one simulated trial by the coordinator's clock, which only these tests advance. Its epochs take all
/// of it.
const TAKES: Duration = Duration::from_millis(250);

/// Trains one trial for `TAKES`, or fails it.
async fn train(worker: &mut Worker, clock: &Manual, fails: bool) {
    worker.until_running().await;
    let (lease, ..) = worker.running.values().next().unwrap().clone();
    clock.advance(TAKES);
    let ending = if fails {
        Ending::Failure(v1::Failure { class: v1::FailureClass::Trainer.into(), reason: "meant".into() })
    } else {
        let mut result = result(0.5);
        if let Some(made) = &mut result.provenance {
            made.seconds = TAKES.as_secs_f64();
        }
        result.last = Some(metrics(3, 0.5));
        Ending::Result(result)
    };
    worker.report(&lease, 1..=3).await;
    assert_eq!(worker.finish(&lease, 3, ending).await.verdict(), v1::FinishVerdict::Accepted);
    worker.running.clear();
}

fn with_budget(budget: &str) -> String {
    format!("{SPEC}budget: {budget}\nprice_per_hour: 3600usd\n")
}

/// Works until the sweep has ended. Returns its status and the number of trained trials.
async fn work(env: &Env, worker: &mut Worker, clock: &Manual, sweep: u64) -> (v1::SweepStatus, u64) {
    let mut trained = 0;
    loop {
        let status = env.status(sweep).await;
        if status.state() != v1::SweepState::Running {
            return (status, trained);
        }
        if status.counts.unwrap().running > 0 {
            train(worker, clock, false).await;
            trained += 1;
        } else {
            // There may be no more work, so the poll has a timeout. The coordinator repeats an answer that the timeout
            // loses.
            if let Ok(answer) = tokio::time::timeout(Duration::from_millis(100), worker.poll()).await {
                answer.unwrap();
            }
        }
    }
}

async fn estimate(env: &Env, spec: &str) -> v1::EstimateResponse {
    let request = v1::EstimateRequest { spec: spec.to_owned().into(), ..Default::default() };
    env.sweeps().await.estimate(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_sweep_stops_at_its_budget_even_over_a_restart_and_failed_attempts_are_paid() {
    let clock = Manual::begin();
    let env = Env::by(&clock, Args::default()).await;
    let mut worker = env.worker("w1", 1).await;
    // Without a measurement, trials start while some budget is left. With one, no more start than are expected to fit.
    let sweep = env.submit(&with_budget("2s")).await;
    assert_eq!(sweep.cost.as_ref().unwrap().budget_slot_seconds, Some(2.0));
    train(&mut worker, &clock, true).await;
    train(&mut worker, &clock, false).await;
    let before = env.status(sweep.id).await.cost.unwrap();
    assert_eq!(before.spent_slot_seconds, 2.0 * TAKES.as_secs_f64(), "{before:?}");
    assert!(before.left_slot_seconds.is_some(), "one trial was measured");
    let env = env.restart().await;
    let mut worker = env.worker("w1", 1).await;
    let after = env.status(sweep.id).await.cost.unwrap();
    assert_eq!(after.spent_slot_seconds, before.spent_slot_seconds);
    let (ended, _) = work(&env, &mut worker, &clock, sweep.id).await;
    assert!(ended.state() == v1::SweepState::Cancelled && ended.stopped_at_budget);
    assert!(ended.reason.starts_with("budget spent: "), "{}", ended.reason);
    let counts = ended.counts.unwrap();
    assert!(counts.succeeded >= 2 && counts.cancelled > 0 && counts.failed == 0, "{counts:?}");
    let cost = ended.cost.unwrap();
    // The failed attempt is included, and the budget is exceeded by at most the error of one trial.
    let spent = cost.spent_slot_seconds;
    assert_eq!(spent, (counts.succeeded + 1) as f64 * TAKES.as_secs_f64(), "{counts:?}");
    assert!(spent < 2.0 + 2.0 * TAKES.as_secs_f64(), "{spent}");
    assert_eq!(cost.price_per_hour, "3600usd");
    let env = env.restart().await;
    let again = env.status(sweep.id).await;
    assert!(again.stopped_at_budget, "the store remembers it");
    assert_eq!(again.cost.unwrap().spent_slot_seconds, spent, "the store says the same");
}

#[tokio::test]
async fn whole_seeds_are_left_out_once_times_are_known_and_known_results_cost_nothing() {
    let clock = Manual::begin();
    let env = Env::by(&clock, Args::default()).await;
    let mut worker = env.worker("w1", 1).await;
    let unknown = estimate(&env, SPEC).await;
    assert!(unknown.slot_seconds.is_none() && unknown.noise.is_none() && unknown.slots == 1);
    let teacher = SPEC.replace("name: pretend", "name: teacher").replace("seeds: [0, 1]", "seeds: [7, 8]");
    let teacher = teacher.replace("filters: 4, ", "filters: 5, ");
    let first = env.submit(&teacher).await.id;
    let (ended, trained) = work(&env, &mut worker, &clock, first).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded);
    let errors = &ended.cost.as_ref().unwrap().accuracy;
    assert!(errors.len() == 1 && errors[0].trials >= 5 && errors[0].device.contains("pretend"), "{errors:?}");
    assert!(trained > 10);
    // Seven configurations under two seeds: one seed takes 1.75 s.
    let told = estimate(&env, &with_budget("3s")).await;
    assert_eq!((told.trials, told.known, told.left_out_seeds.clone()), (14, 0, vec![1]));
    let noise = told.noise.unwrap();
    assert_eq!(noise.sweeps, 1);
    let work_left = told.slot_seconds.unwrap();
    assert!(work_left.low < work_left.expected && work_left.expected < work_left.high);
    let sweep = env.submit(&with_budget("3s")).await;
    assert_eq!(sweep.cost.unwrap().left_out_seeds, [1]);
    let (ended, trained) = work(&env, &mut worker, &clock, sweep.id).await;
    assert_eq!((ended.state(), trained), (v1::SweepState::Succeeded, 7), "{}", ended.reason);
    let env = env.restart().await;
    let mut worker = env.worker("w1", 1).await;
    assert_eq!(env.status(sweep.id).await.cost.unwrap().left_out_seeds, [1], "a restart makes the same plan");
    // Now the first seed is known and costs nothing, so the second fits.
    let told = estimate(&env, &with_budget("3s")).await;
    assert_eq!((told.known, told.left_out_seeds.len()), (7, 0));
    let third = env.submit(&with_budget("3s")).await;
    let (ended, trained) = work(&env, &mut worker, &clock, third.id).await;
    assert_eq!((ended.state(), trained), (v1::SweepState::Succeeded, 7));
    let spent = ended.cost.unwrap().spent_slot_seconds;
    assert_eq!(spent, 7.0 * TAKES.as_secs_f64(), "what was known is not paid again");
}

#[tokio::test]
async fn the_baseline_goes_first_and_seed_after_seed_where_there_is_a_budget() {
    let env = Env::new().await;
    let mut worker = env.worker("w1", 1).await;
    let sweep = env.submit(&with_budget("1h")).await.id;
    let mut order = Vec::new();
    while env.status(sweep).await.state() == v1::SweepState::Running {
        worker.until_running().await;
        let settings = worker.running.values().next().unwrap().1.clone();
        order.push((settings["seed"].clone(), settings["configuration.filters"].clone()));
        worker.finish_all(&crate::env::by_filters()).await;
        if order.len() == 14 {
            break;
        }
    }
    let seeds: Vec<&str> = order.iter().map(|(seed, _)| seed.as_str()).collect();
    assert_eq!(seeds, [["0"; 7], ["1"; 7]].concat());
    assert_eq!((order[0].1.as_str(), order[7].1.as_str()), ("4", "4"), "the baseline");
    let request = v1::GetSweepRequest { sweep: reference(sweep) };
    let status = env.sweeps().await.get_sweep(request).await.unwrap().into_inner().sweep.unwrap();
    assert_eq!(status.state(), v1::SweepState::Succeeded);
}
