//! Submit, train, leaderboard, and queries afterwards.

use super::env::{Env, root, study};

#[test]
fn a_sweep_goes_from_submit_to_leaderboard_over_two_workers() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let _first = env.worker("w1").slots(1).start();
    let _second = env.worker("w2").slots(1).start();
    let spec = root().join("tests/specs/tiny.yaml");
    let ran = env.sweepctl(["submit", spec.to_str().unwrap(), "--wait", "--output", "json"]).expect_code(0);
    let board = &ran.json()["leaderboard"];
    let rows = board["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    let ranks: Vec<u64> = rows.iter().map(|row| row["rank"].as_u64().expect("all are ranked")).collect();
    assert_eq!(ranks, [1, 2, 3, 4, 5, 6]);
    for row in rows {
        assert_eq!(row["val_accuracy"]["count"], 2, "{row}");
        assert!(row["val_loss"]["mean"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert_eq!(board["sweep"]["state"], "succeeded");
    assert_eq!(board["sweep"]["counts"]["succeeded"], 12);
    let workers = env.sweepctl(["workers", "--output", "json"]).expect_code(0).json();
    let names: Vec<&str> =
        workers["workers"].as_array().unwrap().iter().map(|worker| worker["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["w1", "w2"]);
    everything_can_be_asked(&env);
}

fn everything_can_be_asked(env: &Env) {
    let csv = env.sweepctl(["export", "tiny"]).expect_code(0).stdout;
    assert_eq!(csv.lines().count(), 1 + 12, "{csv}");
    assert!(csv.starts_with("trial_id,configuration,state,outcome,"), "{csv}");
    let points = env.sweepctl(["export", "1", "--points", "--output", "json"]).expect_code(0).json();
    assert_eq!(points.as_array().unwrap().len(), 12, "an epoch each");
    let id = points[0]["trial_id"].as_str().unwrap();
    let trial = env.sweepctl(["trial", &id[..12], "--output", "json"]).expect_code(0).json();
    assert_eq!(trial["state"], "succeeded");
    assert_eq!(trial["points"].as_array().unwrap().len(), 1);
    assert_eq!(trial["attempt_records"].as_array().unwrap().len(), 1);
    assert_eq!(trial["validation"]["labels"].as_array().unwrap().len(), 16);
    env.sweepctl(["logs", &id[..12]]).expect_code(0);
    env.sweepctl(["artifacts", "tiny"]).expect_code(0);
    let list = env.sweepctl(["list"]).expect_code(0).stdout;
    assert!(list.contains("tiny") && list.contains("succeeded"), "{list}");
    let table = env.sweepctl(["leaderboard", "tiny", "--limit", "2"]).expect_code(0).stdout;
    assert_eq!(table.lines().count(), 3, "{table}");
    env.sweepctl(["leaderboard", "tiny", "--metric", "fame"]).expect_code(2);
    env.sweepctl(["status", "nobody"]).expect_code(1);
}

#[test]
fn what_was_trained_is_not_trained_again() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let worker = env.worker("w1").start();
    let spec = env.file("a.yaml", &study("a", 2, &[2, 3], &[0]));
    env.sweepctl(["submit", &spec, "--wait"]).expect_code(0);
    worker.kill();
    // Without any worker, only what is known can come.
    let ran = env.sweepctl(["submit", &spec, "--name", "again", "--wait", "--output", "json"]).expect_code(0);
    let sweep = &ran.json()["leaderboard"]["sweep"];
    assert_eq!(sweep["id"], 2);
    assert_eq!(sweep["counts"]["reused"], 2);
}

#[test]
fn a_cancelled_sweep_frees_its_slot_for_the_next() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let _worker = env.worker("w1").start();
    let endless = env.file("endless.yaml", &study("endless", 100_000, &[2], &[0, 1]));
    let sweep = env.submit(&endless);
    let mut watch = env.watch(sweep);
    watch.until_sweep("a trial ran", |sweep| sweep["running"][0]["newest"].is_object());
    let cancelled = env.sweepctl(["cancel", &sweep.to_string(), "--output", "json"]).expect_code(0).json();
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(watch.wait().code(), Some(1), "a cancelled sweep is no success");
    let short = env.file("short.yaml", &study("short", 1, &[2], &[0]));
    env.sweepctl(["submit", &short, "--wait"]).expect_code(0);
}

#[test]
fn a_sweep_with_failed_trials_ends_with_3() {
    let env = Env::new();
    let _coordinator = env.coordinator().with("--max-failures", "1").with("--unplaceable-grace-ms", "1").start();
    let _worker = env.worker("w1").start();
    let text = study("lost", 1, &[2], &[0]).replace(
        "kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16",
        "kind: image_folder, path: nowhere",
    );
    let spec = env.file("lost.yaml", &text);
    let ran = env.sweepctl(["submit", &spec, "--wait", "--output", "json"]).expect_code(3);
    assert_eq!(ran.json()["leaderboard"]["sweep"]["state"], "failed");
    let trials = env.sweepctl(["export", "lost", "--format", "json"]).expect_code(0).json();
    assert_eq!(trials[0]["state"], "failed", "{trials}");
    assert!(trials[0]["failure"]["reason"].as_str().unwrap().contains("nowhere"), "{trials}");
}
