//! Secrets stay where they belong: not in logs, pages, errors, the list of processes, the store, or a trainer's environment.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::env::study;
use super::intruder::{Fleet, ask};

#[test]
fn no_secret_is_in_a_log_a_page_an_error_the_store_or_the_list_of_processes() {
    let fleet = Fleet::with(&["--log", "trace"]);
    let env = &fleet.env;
    let file = env.file("worker.token", &fleet.worker);
    let mut words = env.command(["worker", "--listen-http", "off", "--data-root", ".", "--slots", "1", "--name", "w1"]);
    words
        .args(["--coordinator", &env.address(), "--token-file", &file, "--state-dir"])
        .arg(env.path("w1.state"))
        .env("RUST_LOG", "trace");
    let worker = env.start("w1", &mut words);
    let spec = env.file("study.yaml", &study("secrets", 2, &[2, 3], &[1]));
    let submitted = env.command(["submit", &spec, "--output", "json"]).env("SWEEP_TOKEN", &fleet.submit).output();
    let submitted = submitted.unwrap();
    assert!(submitted.status.success(), "{submitted:?}");
    let mut watch = env.start("watch", env.command(["watch", "1", "--output", "json"]).env("SWEEP_TOKEN", &fleet.read));
    let mut lines = env.living();
    while watch.line().is_some() {
        lines.extend(env.living());
        lines.extend(environments());
    }
    // Wrong ones, so that errors speak of them.
    let wrong = "sweep_wrong-wrong-wrong-wrong-wrong-wrong-wrong";
    for token in [wrong, &fleet.worker] {
        let refused = env.command(["submit", &spec]).env("SWEEP_TOKEN", token).output().unwrap();
        lines.push(String::from_utf8_lossy(&refused.stderr).into_owned());
        lines.push(format!(
            "{:?}",
            ask(&fleet.http, "GET /metrics", &[("authorization", &format!("Bearer {token}"))], "")
        ));
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    lines.push(format!("{:?}", ask(&fleet.http, "POST /login", &[form], &format!("token={wrong}"))));
    lines.push(env.log("coordinator"));
    lines.push(env.log("w1"));
    drop(worker);
    for name in ["sweep.db", "sweep.db-wal"] {
        lines.push(String::from_utf8_lossy(&std::fs::read(env.path(name)).unwrap_or_default()).into_owned());
    }
    for (name, secret) in [
        ("admin", fleet.admin.as_str()),
        ("submit", &fleet.submit),
        ("read", &fleet.read),
        ("worker", &fleet.worker),
        ("wrong", wrong),
    ] {
        let found = lines.iter().find(|line| line.contains(secret));
        let around = found.map(|line| {
            let place = line.find(secret).unwrap();
            line[..place].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect::<String>()
        });
        assert_eq!(around, None, "the secret of `{name}` is shown behind this");
    }
}

/// The environments of all running trainers.
fn environments() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let trainers = processes.filter(|path| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == b"trainer")
    });
    trainers
        .map(|path| String::from_utf8_lossy(&std::fs::read(path.join("environ")).unwrap_or_default()).into_owned())
        .collect()
}

/// A trainer that looks for its worker's token wherever a process of the same user may look, and then trains.
const THIEF: &str = r#"#!/bin/sh
exec 3> "{folder}/loot"
env >&3
for file in environ maps mem; do
  cat "/proc/$PPID/$file" >&3 2> /dev/null || echo "refused: $file" >&3
done
ls -l "/proc/$PPID/fd" >&3 2> /dev/null || echo "refused: fd" >&3
cat "/proc/$PPID/cmdline" >&3
cat /proc/[0-9]*/environ >&3 2> /dev/null
grep -rhoaE 'sweep_[A-Za-z0-9_-]{20,}' "{folder}/state" "{folder}/cache" >&3
exec 3>&-
exec "{program}" trainer
"#;

/// Runs a worker with a thieving trainer until it is registered, as another user if one is given. Returns what the
/// trainer found.
fn loot(fleet: &Fleet, user: Option<u32>) -> String {
    let (env, own) = (&fleet.env, tempfile::tempdir().unwrap());
    let folder = own.path().to_str().unwrap();
    let script = own.path().join("trainer.sh");
    let text = THIEF.replace("{folder}", folder).replace("{program}", env!("CARGO_BIN_EXE_sweepctl"));
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let name = format!("w-{}", user.unwrap_or(0));
    let mut words =
        env.command(["worker", "--listen-http", "off", "--data-root", ".", "--slots", "1", "--name", &name]);
    words.args(["--coordinator", &env.address(), "--state-dir", "state", "--cache-dir", "cache", "--trainer-command"]);
    words.arg(&script).current_dir(own.path());
    words.env("SWEEP_WORKER_TOKEN", &fleet.worker).env("AWS_SECRET_ACCESS_KEY", CLOUD_SECRET);
    if let Some(user) = user {
        std::os::unix::fs::chown(own.path(), Some(user), Some(user)).unwrap();
        words.uid(user).gid(user);
    }
    let _worker = env.start(&name, &mut words);
    let begun = std::time::Instant::now();
    loop {
        let listed = env.command(["workers", "--output", "json"]).env("SWEEP_TOKEN", &fleet.read).output().unwrap();
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        let workers = listed["workers"].as_array().cloned().unwrap_or_default();
        if workers.iter().any(|worker| worker["name"] == name.as_str() && worker["state"] == "connected") {
            break;
        }
        assert!(begun.elapsed() < super::intruder::ANSWER_TIMEOUT, "{listed:?} {}", env.log(&name));
    }
    String::from_utf8_lossy(&std::fs::read(own.path().join("loot")).unwrap()).into_owned()
}

const CLOUD_SECRET: &str = "a-secret-of-some-cloud";

/// A user without files on most systems.
const NOBODY: u32 = 65_534;

#[test]
fn a_trainer_cannot_steal_its_workers_token() {
    let fleet = Fleet::start();
    let root = rustix::process::geteuid().is_root();
    let program = env!("CARGO_BIN_EXE_sweepctl");
    let runs =
        |user| Command::new(program).arg("--version").uid(user).gid(user).output().is_ok_and(|it| it.status.success());
    // Nothing is kept from a trainer that has the rights of root.
    let user = root.then_some(NOBODY);
    if user.is_some_and(|user| !runs(user)) {
        return eprintln!("NOT TRIED: as root a trainer may look anywhere, and user {NOBODY} cannot run {program}");
    }
    let found = loot(&fleet, user);
    assert!(found.contains("PATH=") && found.contains("trainer.sh"), "the thief has looked: {found}");
    assert!(!found.contains(&fleet.worker), "the token is in it");
    assert!(!found.contains(CLOUD_SECRET), "the credentials of a cloud are in it");
    for what in ["environ", "maps", "mem", "fd"] {
        assert!(found.contains(&format!("refused: {what}\n")), "the thief opened {what} of its worker");
    }
}

#[test]
fn files_of_secrets_are_for_their_owner_alone() {
    let fleet = Fleet::start();
    let out = fleet.env.path("ci.token");
    let shown = fleet.token(&["ci", "--role", "submit", "--out", out.to_str().unwrap()]);
    assert_eq!(shown, "", "what is in a file is not on stdout");
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let again = fleet.env.command(["token", "create", "ci2", "--role", "read", "--out"]).arg(&out).output().unwrap();
    assert_eq!(again.status.code(), Some(2), "nothing is overwritten: {again:?}");
    let other = fleet.env.path("other.token");
    let refused = fleet.env.command(["token", "create", "", "--role", "read", "--out"]).arg(&other).output().unwrap();
    assert!(!refused.status.success() && !other.exists(), "no token, no file: {refused:?}");
    fleet.env.sweepctl(["certs", "init", "certs", "--host", "sweep.example"]).expect_code(0);
    let mut keys = 0;
    for entry in std::fs::read_dir(fleet.env.path("certs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "key") {
            keys += 1;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }
    assert_eq!(keys, 3);
    assert_eq!(std::fs::metadata(fleet.env.path("certs")).unwrap().permissions().mode() & 0o777, 0o700);
    fleet.env.sweepctl(["certs", "init", "certs"]).expect_code(2);
}
