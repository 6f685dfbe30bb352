//! Backups and restores that are killed, and sweeps that are deleted, with real processes.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::env::{Env, study};

/// Starts a command again and again and kills it, each time a little later, until one ends before it is killed, or was
/// killed after its work was `done`. Returns how many were killed.
fn kill_until_done(env: &Env, name: &str, done: impl Fn() -> bool, command: impl Fn() -> Command) -> u32 {
    let mut kills = 0;
    loop {
        let mut command = command();
        let mut process = env.start(name, &mut command);
        // The moment of the kill is what is varied here; nothing is waited for.
        std::thread::sleep(Duration::from_millis(8 * u64::from(kills)));
        if process.has_ended() {
            assert!(process.wait().success(), "{}", env.log(name));
            return kills;
        }
        process.kill();
        kills += 1;
        if done() {
            return kills;
        }
    }
}

fn board(env: &Env) -> Value {
    env.sweepctl(["leaderboard", "1", "--output", "json"]).expect_code(0).json()["rows"].clone()
}

#[test]
fn a_backup_and_a_restore_that_are_killed_go_on_and_come_out_whole() {
    let env = Env::new();
    let coordinator = env.coordinator().start();
    let worker = env.worker("w1").start();
    let text = study("kept", 2, &[2, 3, 4], &[0, 1]).replace("batch_size: 16 }", "batch_size: 16, keep_weights: all }");
    let spec = env.file("kept.yaml", &text);
    env.sweepctl(["submit", &spec, "--wait"]).expect_code(0);
    let before = board(&env);
    let kills = kill_until_done(&env, "backup", || false, || env.command(["backup", "--folder", "b"]));
    // Whatever was left behind by those that were killed, one more brings it up to date and fetches nothing.
    let again = env.sweepctl(["backup", "--folder", "b", "--output", "json"]).expect_code(0).json();
    assert_eq!(again["fetched"]["files"], 0, "{again}");
    assert!(again["artifacts"]["files"].as_u64().unwrap() >= 6, "{again}");
    let names: Vec<_> = std::fs::read_dir(env.path("b")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let mut names: Vec<&str> = names.iter().map(|name| name.to_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, [".lock", "artifacts", "backup.json", "store.db"]);
    drop((worker, coordinator));
    let restored = || env.path("new.db").exists();
    let restores =
        kill_until_done(&env, "restore", restored, || env.command(["restore", "--folder", "b", "--store", "new.db"]));
    assert!(kills > 2 && restores > 2, "{kills} backups and {restores} restores were killed");
    env.sweepctl(["store", "check", "new.db"]).expect_code(0);
    env.sweepctl(["restore", "--folder", "b", "--store", "new.db"]).expect_code(1);
    let _restored = env.coordinator().with("--store", "new.db").start();
    assert_eq!(board(&env), before);
    let artifacts = env.sweepctl(["artifacts", "1", "--output", "json"]).expect_code(0).json();
    let weights =
        artifacts["artifacts"].as_array().unwrap().iter().find(|artifact| artifact["kind"] == "weights").unwrap();
    let digest = weights["digest"].as_str().unwrap();
    env.sweepctl(["artifacts", "1", "--get", digest, "--file", "w.safetensors"]).expect_code(0);
    eprintln!("{kills} backups and {restores} restores were killed");
}

#[test]
fn a_sweep_is_deleted_and_its_store_shrinks() {
    let env = Env::new();
    let coordinator = env.coordinator().start();
    let worker = env.worker("w1").start();
    // Enough epochs that their rows fill pages of the store.
    let spec = env.file("a.yaml", &study("a", 60, &[2, 3], &[0, 1, 2]));
    env.sweepctl(["submit", &spec, "--wait"]).expect_code(0);
    let would = env.sweepctl(["delete", "a", "--dry-run", "--output", "json"]).expect_code(0).json();
    assert_eq!((&would["trials"], &would["finished_unix_ms"]), (&Value::from(6), &Value::Null));
    let gone = env.sweepctl(["delete", "a", "--output", "json"]).expect_code(0).json();
    assert!(gone["finished_unix_ms"].as_i64().is_some() && gone["store_bytes"].as_u64().unwrap() > 0, "{gone}");
    assert!(env.sweepctl(["status", "a"]).expect_code(1).stderr.contains("there is no sweep"));
    assert!(env.sweepctl(["status", "1"]).expect_code(1).stderr.contains("deleted by"));
    env.sweepctl(["delete", "1"]).expect_code(0);
    let running = env.file("b.yaml", &study("b", 400, &[2], &[0]));
    let number = env.submit(&running).to_string();
    assert!(env.sweepctl(["delete", &number]).expect_code(1).stderr.contains("cancel it first"));
    // A coordinator that cannot start: its sweep is cancelled in the store.
    drop((worker, coordinator));
    let ran = env.sweepctl(["store", "cancel", &number, "--store", "sweep.db", "--output", "json"]).expect_code(0);
    assert_eq!(ran.json()["name"], "b");
    env.sweepctl(["store", "cancel", &number, "--store", "sweep.db"]).expect_code(1);
    env.sweepctl(["store", "check", "sweep.db"]).expect_code(0);
    let _coordinator = env.coordinator().start();
    let status = env.sweepctl(["status", &number, "--output", "json"]).expect_code(0).json();
    assert_eq!(status["state"], "cancelled");
    env.sweepctl(["gc", "--dry-run"]).expect_code(0);
}

#[test]
fn a_backup_goes_on_without_lost_artifacts_and_names_their_trials() {
    let env = Env::new();
    let coordinator = env.coordinator().start();
    let worker = env.worker("w1").start();
    let text = study("kept", 2, &[2, 3], &[0]).replace("batch_size: 16 }", "batch_size: 16, keep_weights: all }");
    let spec = env.file("kept.yaml", &text);
    env.sweepctl(["submit", &spec, "--wait"]).expect_code(0);
    let artifacts = env.sweepctl(["artifacts", "1", "--output", "json"]).expect_code(0).json();
    let weights: Vec<&Value> = artifacts["artifacts"].as_array().unwrap().iter().collect();
    let weights: Vec<&&Value> = weights.iter().filter(|artifact| artifact["kind"] == "weights").collect();
    let (gone, damaged) = (weights[0]["digest"].as_str().unwrap(), weights[1]["digest"].as_str().unwrap());
    let place = |folder: &str, digest: &str| env.path(folder).join(&digest[..2]).join(digest);
    let content = std::fs::read(place("sweep.db.artifacts", gone)).unwrap();
    std::fs::remove_file(place("sweep.db.artifacts", gone)).unwrap();
    std::fs::write(place("sweep.db.artifacts", damaged), "no weights").unwrap();

    let backup = env.sweepctl(["backup", "--folder", "b"]).expect_code(1);
    for words in [
        format!("missing: {}, weights of trial {}", &gone[..12], &weights[0]["trial_id"].as_str().unwrap()[..12]),
        "(sweep 1): its file is missing".to_owned(),
        "(sweep 1): its file is damaged".to_owned(),
        "error: 2 artifacts (".to_owned(),
    ] {
        assert!(backup.stderr.contains(&words), "{words}: {}", backup.stderr);
    }
    let answer = env.sweepctl(["backup", "--folder", "b", "--allow-missing", "--output", "json"]).expect_code(0).json();
    assert_eq!((answer["missing"].as_array().unwrap().len(), &answer["fetched"]["files"]), (2, &Value::from(0)));
    let restored = env.sweepctl(["restore", "--folder", "b", "--store", "new.db"]).expect_code(0);
    assert!(restored.stderr.contains("its file is damaged"), "{}", restored.stderr);
    // The file is put back, and the next backup has it.
    std::fs::write(place("sweep.db.artifacts", gone), content).unwrap();
    let backup = env.sweepctl(["backup", "--folder", "b"]).expect_code(1);
    assert!(backup.stderr.contains("error: 1 artifact ("), "{}", backup.stderr);
    env.sweepctl(["delete", "1"]).expect_code(0);
    env.sweepctl(["backup", "--folder", "b"]).expect_code(0);
    drop((worker, coordinator));
}
