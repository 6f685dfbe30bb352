//! Workers report the end of an attempt exactly once, as long as no message is lost.

use sweep_tests::scripted::Script;

use super::env::Env;

const TRIALS: u32 = 27;

/// Calls of a method so far, over all codes.
fn calls(metrics: &str, method: &str) -> f64 {
    let wanted = format!("method=\"{method}\"");
    let lines = metrics.lines().filter(|line| line.starts_with("sweep_rpc_seconds_count{") && line.contains(&wanted));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn each_trial_costs_one_finish_and_no_log_doubts_an_accepted_attempt() {
    let env = Env::new(&Script { epoch_ms: 1, ..Script::default() });
    let _workers = [env.worker("w1"), env.worker("w2")];
    let sweep = env.submit(TRIALS).await;
    env.ended(sweep).await;
    env.exactly_once(sweep, TRIALS.into()).await;
    let metrics = env.http("/metrics").await;
    assert_eq!(calls(&metrics, "WorkerService/Finish"), f64::from(TRIALS), "{metrics}");
    for worker in ["w1", "w2"] {
        let log = env.fleet.log(worker);
        assert!(!log.contains("lease has expired"), "{log}");
    }
}
