//! The local store: every command finds it if no coordinator is named, whichever process has it; other sweeps are
//! paused before local training; and actions on its files are reported.

use rustix::process::Signal;
use serde_json::Value;

use super::env::{Env, Process, study};

const USING: &str = "using the local store .sweep/sweep.db";
/// Long enough that nothing ends by itself.
const LONG: u32 = 100_000;

/// Trains a study to its end; its number is 1.
fn trained(env: &Env) -> String {
    let spec = env.file("some.yaml", &study("some", 2, &[2, 3], &[0]));
    env.sweepctl(["submit", &spec, "--local", "--wait"]).expect_code(0);
    spec
}

/// Starts a study that does not end, and waits until a trial of it runs.
fn training(env: &Env, spec: &str) -> Process {
    let words = ["submit", spec, "--local", "--watch", "--slots", "1", "--output", "json"];
    let mut process = env.start("training", &mut env.command(words));
    process.until_sweep("a trial ran", |sweep| sweep["running"][0]["newest"].is_object());
    process
}

/// As `list` shows the sweeps, newest first: name and state.
fn listed(env: &Env) -> Vec<(String, String)> {
    let sweeps = env.sweepctl(["list", "--output", "json"]).expect_code(0).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sweeps = sweeps["sweeps"].as_array().unwrap().iter();
    sweeps.map(|sweep| (text(&sweep["name"]), text(&sweep["state"]))).collect()
}

fn trials(env: &Env, sweep: &str) -> Vec<Value> {
    let trials = env.sweepctl(["export", sweep, "--format", "json"]).expect_code(0).json();
    trials.as_array().unwrap().clone()
}

fn audit(env: &Env, sweep: &str) -> String {
    env.sweepctl(["audit", "--sweep", sweep, "--output", "json"]).expect_code(0).stdout
}

#[test]
fn every_question_finds_the_local_store_and_leaves_no_trace_in_it() {
    let env = Env::new();
    trained(&env);
    let before = env.sweepctl(["audit", "--output", "json"]).expect_code(0);
    let trial = trials(&env, "1")[0]["trial_id"].as_str().unwrap().to_owned();
    let questions: [&[&str]; 15] = [
        &["list"],
        &["status", "some"],
        &["watch", "1"],
        &["leaderboard", "1"],
        &["trials", "1"],
        &["ablation", "1"],
        &["compare", "1", "filters=3", "baseline"],
        &["trial", &trial],
        &["logs", &trial],
        &["explain", &trial],
        &["workers"],
        &["report", "1", "--out", "report.html"],
        &["export", "1"],
        &["artifacts", "1"],
        &["audit"],
    ];
    for question in questions {
        let ran = env.sweepctl(question).expect_code(0);
        assert!(ran.stderr.contains(USING), "{question:?}: {ran:?}");
    }
    let after = env.sweepctl(["audit", "--output", "json"]).expect_code(0);
    assert_eq!(before.stdout, after.stdout, "a question is no event");
    assert!(!env.path(".sweep/sweep.db.running").exists() && env.living().is_empty());
}

#[test]
fn where_there_is_no_store_none_is_made_for_a_question() {
    let env = Env::new();
    let ran = env.sweepctl(["list"]).expect_code(1);
    assert!(ran.stderr.contains("cannot reach a coordinator") && !env.path(".sweep").exists(), "{ran:?}");
}

#[test]
fn a_coordinator_that_is_named_is_asked_and_no_other() {
    let env = Env::new();
    trained(&env);
    let ran = env.sweepctl(["list", "--coordinator", "http://127.0.0.1:1"]).expect_code(1);
    assert!(ran.stderr.contains("cannot reach a coordinator at http://127.0.0.1:1"), "{ran:?}");
}

#[test]
fn a_process_that_trains_is_asked_itself_and_a_cancellation_ends_it() {
    let env = Env::new();
    let spec = env.file("long.yaml", &study("long", LONG, &[2], &[0]));
    let process = training(&env, &spec);
    let ran = env.sweepctl(["status", "long", "--output", "json"]).expect_code(0);
    assert!(ran.stderr.contains("through the process that trains on it"), "{ran:?}");
    assert_eq!(ran.json()["counts"]["running"], 1);
    let second = env.sweepctl(["submit", &spec, "--local", "--wait"]).expect_code(1);
    assert!(second.stderr.contains("trains on the store"), "{second:?}");
    env.sweepctl(["cancel", "1"]).expect_code(0);
    assert_eq!(process.wait().code(), Some(1), "the sweep was cancelled");
    assert_eq!(listed(&env), [("long".to_owned(), "cancelled".to_owned())]);
    assert!(env.living().is_empty(), "{:?}", env.living());
}

#[test]
fn after_a_kill_the_store_answers_and_a_cancellation_takes_effect_at_once() {
    let env = Env::new();
    let spec = env.file("long.yaml", &study("long", LONG, &[2, 3], &[0]));
    training(&env, &spec).kill();
    assert!(env.path(".sweep/sweep.db.running").exists(), "who is killed leaves it behind");
    let watched = env.sweepctl(["watch", "1"]).expect_code(1);
    assert!(watched.stderr.contains("no process trains on the local store now"), "{watched:?}");
    assert!(watched.stderr.contains("sweepctl resume 1 --local"), "{watched:?}");
    let cancelled = env.sweepctl(["cancel", "1", "--output", "json"]).expect_code(0);
    assert!(cancelled.stderr.contains(USING) && !cancelled.stderr.contains("through the process"), "{cancelled:?}");
    assert_eq!(cancelled.json()["state"], "cancelled");
    assert_eq!(listed(&env), [("long".to_owned(), "cancelled".to_owned())]);
}

#[test]
fn what_was_asked_for_is_trained_and_an_unfinished_sweep_stays_paused_until_it_is_asked_for() {
    let env = Env::new();
    let old = env.file("old.yaml", &study("old", LONG, &[2, 3], &[0]));
    let process = training(&env, &old);
    process.signal(Signal::INT);
    assert_eq!(process.wait().code(), Some(130));
    let before = trials(&env, "1");
    let new = env.file("new.yaml", &study("new", 2, &[2, 4], &[0]));
    let ran = env.sweepctl(["submit", &new, "--local", "--wait", "--slots", "2"]).expect_code(0);
    let named = "sweep 1 old is unfinished (0 of 2 ended) and stays paused";
    assert!(ran.stderr.contains(named) && ran.stderr.contains("`sweepctl resume 1 --local`"), "{ran:?}");
    assert_eq!(trials(&env, "1"), before, "nothing of the old one was started");
    assert_eq!(listed(&env)[1], ("old".to_owned(), "running".to_owned()));
    assert!(env.sweepctl(["list"]).stdout.contains("paused"));
    assert!(audit(&env, "1").contains("\"paused\""), "{}", audit(&env, "1"));
    // It is no destructive change: the old spec is taken up where it stood.
    let words = ["submit", &old, "--local", "--watch", "--slots", "1", "--output", "json"];
    let mut again = env.start("again", &mut env.command(words));
    again.until_sweep("it went on", |sweep| sweep["id"] == 1 && sweep["running"][0]["newest"].is_object());
    again.signal(Signal::INT);
    assert_eq!(again.wait().code(), Some(130));
    assert!(env.log("again").contains("sweep 1 is resumed"), "{}", env.log("again"));
    assert!(audit(&env, "1").contains("\"resumed\""));
}

#[test]
fn unfinished_sweeps_are_trained_too_where_that_is_asked_for() {
    let env = Env::new();
    let old = env.file("old.yaml", &study("old", LONG, &[2], &[0]));
    let process = training(&env, &old);
    process.signal(Signal::INT);
    process.wait();
    let new = env.file("new.yaml", &study("new", LONG, &[3], &[0]));
    let words = ["submit", &new, "--local", "--watch", "--slots", "2", "--output", "json", "--resume-others"];
    let mut both = env.start("both", &mut env.command(words));
    both.until_sweep("the new one ran", |sweep| sweep["running"][0]["newest"].is_object());
    let old = env.sweepctl(["status", "1", "--output", "json"]).expect_code(0).json();
    assert_eq!((&old["paused"], &old["counts"]["running"]), (&false.into(), &1.into()), "{old}");
    both.kill();
}

#[test]
fn a_sweep_is_extended_and_resumed_on_the_local_store() {
    let env = Env::new();
    trained(&env);
    let extended = env.sweepctl(["extend", "1", "--seeds", "[0, 1]", "--local", "--output", "json"]).expect_code(0);
    assert!(extended.stderr.contains("2 trials are known, 2 to run"), "{extended:?}");
    let more = env.sweepctl(["extend", "2", "--seeds", "[0, 1, 2]"]).expect_code(0);
    assert!(more.stderr.contains("run `sweepctl resume 3 --local` to train"), "{more:?}");
    let reproduced = env.sweepctl(["reproduce", trials(&env, "1")[0]["trial_id"].as_str().unwrap()]).expect_code(1);
    assert!(reproduced.stderr.contains("add --local to train it here"), "{reproduced:?}");
    env.sweepctl(["resume", "3", "--local"]).expect_code(0);
    assert!(trials(&env, "3").iter().all(|trial| trial["state"] == "succeeded"));
    let retried = env.sweepctl(["retry", "3", "--local", "--output", "json"]).expect_code(0);
    assert!(retried.stderr.contains("no trial of the sweep has failed"), "{retried:?}");
}

#[test]
fn log_lines_go_to_a_file_beside_the_store() {
    let env = Env::new();
    let spec = env.file("some.yaml", &study("some", 2, &[2], &[0]));
    let mut command = env.command(["submit", &spec, "--local", "--watch", "--progress", "lines"]);
    let output = command.env("SWEEP_LOG", "info").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains("INFO"), "{said}");
    let log = std::fs::read_to_string(env.path(".sweep/sweep.log")).unwrap();
    assert!(log.contains("INFO") && log.contains("a worker registered"), "{log}");
    assert!(said.contains("lines of this run in") && said.contains(".sweep/sweep.log"), "{said}");
}

#[test]
fn a_store_whose_file_was_removed_names_what_else_to_remove() {
    let env = Env::new();
    let spec = trained(&env);
    let store = env.path(".sweep/sweep.db");
    std::fs::remove_file(&store).unwrap();
    let words = ["submit", &spec, "--local", "--wait"];
    for _ in 0..2 {
        let refused = env.sweepctl(words).expect_code(1);
        let number = format!("remove {}.acknowledged", store.canonicalize().unwrap_or(store.clone()).display());
        assert!(refused.stderr.contains("is missing or empty") && refused.stderr.contains(&number), "{refused:?}");
        assert!(!store.exists(), "refusing makes no file");
    }
    env.sweepctl(words.iter().chain(&["--accept-loss"])).expect_code(0);
    std::fs::remove_file(&store).unwrap();
    std::fs::remove_file(env.path(".sweep/sweep.db.acknowledged")).unwrap();
    env.sweepctl(words).expect_code(0);
}

#[test]
fn a_store_that_vanishes_or_is_replaced_while_it_is_trained_on_ends_the_training_with_the_reason() {
    for replaced in [false, true] {
        let env = Env::new();
        let spec = env.file("long.yaml", &study("long", LONG, &[2], &[0]));
        let process = training(&env, &spec);
        let store = env.path(".sweep/sweep.db");
        if replaced {
            std::fs::copy(&store, env.path("copy")).unwrap();
            std::fs::rename(env.path("copy"), &store).unwrap();
        } else {
            std::fs::remove_file(&store).unwrap();
        }
        assert_eq!(process.wait().code(), Some(1));
        let said = env.log("training");
        assert!(said.contains("was removed or replaced while it was in use"), "{said}");
        assert!(env.living().is_empty(), "{:?}", env.living());
    }
}

#[test]
fn a_coordinator_without_work_notices_that_its_store_vanished() {
    let env = Env::new();
    let coordinator = env.coordinator().start();
    std::fs::remove_file(env.path("sweep.db")).unwrap();
    assert_eq!(coordinator.wait().code(), Some(1));
    let said = env.log("coordinator");
    assert!(said.contains("sweep.db was removed or replaced while it was in use"), "{said}");
}
