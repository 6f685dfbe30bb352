//! `submit --local`: everything in one process, but for the trainers.

use std::collections::BTreeSet;

use rustix::process::Signal;

use super::env::{Env, root, study};

#[test]
fn one_command_goes_from_spec_to_leaderboard() {
    let env = Env::new();
    let spec = root().join("tests/specs/tiny.yaml");
    let ran = env.sweepctl(["submit", spec.to_str().unwrap(), "--local", "--watch"]).expect_code(0);
    assert!(ran.stderr.starts_with("tiny: synthetic_scenes"), "the plan comes first: {ran:?}");
    assert!(ran.stdout.contains("val acc") && ran.stdout.lines().count() == 1 + 6, "{ran:?}");
    let store = env.path(".sweep/sweep.db");
    assert!(ran.stderr.contains(&format!("store: {}", store.canonicalize().unwrap().display())), "{ran:?}");
    assert!(env.living().is_empty(), "{:?}", env.living());
}

#[test]
fn an_interrupted_sweep_is_taken_up_where_it_stood() {
    let env = Env::new();
    let spec = env.file("some.yaml", &study("some", 1500, &[2, 3, 4], &[0]));
    let words = ["submit", &spec, "--local", "--watch", "--slots", "1", "--output", "json"];
    let mut first = env.start("first", &mut env.command(words));
    first.until_sweep("one trial was done and one ran", |sweep| {
        sweep["counts"]["succeeded"] == 1 && sweep["running"][0]["newest"].is_object()
    });
    first.signal(Signal::INT);
    assert_eq!(first.wait().code(), Some(130));
    let log = env.log("first");
    assert!(log.contains("continue with `sweepctl submit"), "{log}");
    assert!(env.living().is_empty(), "trainers are gone: {:?}", env.living());

    let done_before = done(&env);
    assert!(!done_before.is_empty() && done_before.len() < 3, "{done_before:?}");
    let ran = env.sweepctl(words).expect_code(0);
    assert!(ran.stderr.contains("sweep 1 is resumed"), "{ran:?}");
    let coordinator = env.coordinator().with("--store", ".sweep/sweep.db").start();
    let trials = env.sweepctl(["export", "1", "--format", "json"]).expect_code(0).json();
    for trial in trials.as_array().unwrap() {
        assert_eq!(trial["state"], "succeeded");
        let id = trial["trial_id"].as_str().unwrap();
        if done_before.contains(id) {
            assert_eq!(trial["attempts"], 1, "it ran again: {trial}");
        }
    }
    assert_eq!(env.sweepctl(["list", "--output", "json"]).json()["sweeps"].as_array().unwrap().len(), 1);
    coordinator.kill();
}

/// The trials that the local store knows the answers of.
fn done(env: &Env) -> BTreeSet<String> {
    let coordinator = env.coordinator().with("--store", ".sweep/sweep.db").start();
    let trials = env.sweepctl(["export", "1", "--format", "json"]).expect_code(0).json();
    coordinator.kill();
    let succeeded = trials.as_array().unwrap().iter().filter(|trial| trial["state"] == "succeeded");
    succeeded.map(|trial| trial["trial_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_known_is_not_run_again_unless_it_is_to_be_fresh_and_repeats_to_the_last_bit() {
    let env = Env::new();
    let held = "epochs: 2, report: best, holdout: { fraction: 0.25, seed: 1 }";
    let spec = env.file("some.yaml", &study("some", 2, &[2, 3], &[0]).replace("epochs: 2", held));
    let words = |more: &[&'static str]| {
        let words = ["submit", &spec, "--local", "--wait", "--output", "json"].map(str::to_owned);
        words.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>()
    };
    let first = env.sweepctl(words(&[])).expect_code(0);
    assert!(!first.stderr.contains("known"), "{first:?}");
    let board = first.json();
    let rows = board["leaderboard"]["rows"].as_array().unwrap().clone();
    assert!(rows.iter().all(|row| row["test_accuracy"]["count"] == 1), "the test part reports: {board}");
    let notes = board["leaderboard"]["notes"].to_string();
    assert!(notes.contains("epoch chosen on the holdout; the test set was used for reporting only"), "{notes}");

    let second = env.sweepctl(words(&["--name", "another"])).expect_code(0);
    assert!(second.stderr.contains("2 of 2 trials are known; 0 to run"), "{second:?}");
    let fresh = env.sweepctl(words(&["--fresh"])).expect_code(0);
    assert!(!fresh.stderr.contains("known"), "{fresh:?}");
    let trial = done(&env).into_iter().next().unwrap();
    let again = env.sweepctl(["reproduce", trial.as_str(), "--local", "--output", "json"]).expect_code(0).json();
    assert_eq!((&again["same"], &again["exactly"], &again["numbers_changed"]), (&true.into(), &true.into(), &0.into()));
    assert_eq!((&again["old"]["round"], &again["new"]["round"]), (&2.into(), &3.into()), "{again}");
    // Every epoch, the last and the best have five numbers; the test part has two, and each image a confidence.
    assert!(again["numbers"].as_u64().unwrap() > 22 && again["predictions"].as_u64().unwrap() > 0, "{again}");
    let made = &again["new"]["provenance"];
    assert_eq!(
        (&made["worker"], &made["driver"], &made["kernel_cache"]),
        (&"local".into(), &"none".into(), &"none".into())
    );
    for digest in ["data_digest", "split_digest", "protocol_digest", "spec_digest"] {
        assert_eq!(made[digest].as_str().unwrap().len(), 64, "{digest}: {made}");
    }
    for text in ["host", "trainer", "coordinator_version", "worker_version"] {
        assert!(!made[text].as_str().unwrap().is_empty(), "{text}: {made}");
    }
    assert!(env.living().is_empty(), "{:?}", env.living());
}

#[test]
fn a_store_that_another_process_uses_is_named() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let spec = root().join("tests/specs/tiny.yaml");
    let ran = env.sweepctl(["submit", spec.to_str().unwrap(), "--local", "--store", "sweep.db"]).expect_code(1);
    assert!(ran.stderr.contains("in use by another coordinator"), "{ran:?}");
}

#[test]
fn slots_that_are_none_are_a_wrong_command_line() {
    let env = Env::new();
    let spec = root().join("tests/specs/tiny.yaml");
    let ran = env.sweepctl(["submit", spec.to_str().unwrap(), "--local", "--slots", "many"]).expect_code(2);
    assert!(ran.stderr.contains("no device \"many\"") && ran.stderr.contains("hint: for --slots"), "{ran:?}");
}
