//! Other users of the machine have no access to the files of a coordinator and a worker.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use sweep_require::{Part, skip};

use super::env::{Env, study};

/// A user and a group that are no one's.
const THEM: u32 = 61_001;
const US: u32 = 61_002;

/// The same command, in a shell that keeps others from nothing or is another user.
fn wrapped(command: &Command, by: &[&str]) -> Command {
    let mut outer = Command::new(by[0]);
    outer.args(&by[1..]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// Files and folders below one, itself among them.
fn below(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        found.extend(std::fs::read_dir(path).unwrap().flat_map(|entry| below(&entry.unwrap().path())));
    }
    found
}

#[test]
fn nothing_that_a_coordinator_or_a_worker_writes_is_for_other_users() {
    let env = Env::new();
    let loose = ["sh", "-c", "umask 000; exec \"$@\"", "sh"];
    let words = ["coordinator", "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--store", "store/sweep.db"];
    let mut coordinator = env.start("coordinator", &mut wrapped(&env.command(words), &loose));
    let address =
        coordinator.until("it was ready", |line| Some(line.strip_prefix("ready grpc=")?.split(' ').next()?.to_owned()));
    env.set_address(&format!("http://{address}"));
    let spec = env.file("some.yaml", &study("some", 2, &[2], &[0]));
    let words = ["worker", "--listen-http", "off", "--data-root", ".", "--slots", "1", "--name", "w1"];
    let mut worker = env.command(words);
    worker.args(["--coordinator", &env.address(), "--state-dir"]).arg(env.path("worker"));
    let _worker = env.start("w1", &mut wrapped(&worker, &loose));
    env.sweepctl(["submit", &spec, "--wait"]).expect_code(0);
    let found: Vec<PathBuf> = ["store", "worker"].iter().flat_map(|folder| below(&env.path(folder))).collect();
    for path in &found {
        let mode = std::fs::metadata(path).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {:o}", path.display(), mode & 0o7777);
    }
    let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
    for name in ["sweep.db", "sweep.db-wal", "sweep.db-shm", "sweep.db.lock", "sweep.db.artifacts", "worker/lock"] {
        assert!(names.iter().any(|found| found.ends_with(name)), "{name}: {names:?}");
    }
}

#[test]
fn a_store_that_an_earlier_release_left_open_is_closed_with_a_word() {
    let env = Env::new();
    env.sweepctl(["token", "create", "me", "--role", "read", "--store", "sweep.db"]).expect_code(0);
    let store = env.path("sweep.db");
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o644)).unwrap();
    let checked = env.sweepctl(["store", "check", "sweep.db"]).expect_code(0);
    assert!(checked.stdout.contains("note: other users can use"), "{}", checked.stdout);
    let doctor = env.sweepctl(["doctor", "--local", "--store", "sweep.db"]);
    let said = format!("{}{}", doctor.stdout, doctor.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("(mode 644): the next start changes the mode to 600"), "{said}");
    assert_eq!(std::fs::metadata(&store).unwrap().mode() & 0o777, 0o644, "looking changes nothing");
    let words = ["coordinator", "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--store", "sweep.db"];
    let mut coordinator = env.start("coordinator", &mut env.command(words));
    coordinator.until("it was ready", |line| line.strip_prefix("ready ").map(drop));
    assert_eq!(std::fs::metadata(&store).unwrap().mode() & 0o777, 0o600);
    env.until_log("coordinator", "was open to other users: mode 644, now 600");
    coordinator.signal(Signal::TERM);
    assert!(coordinator.wait().success());
}

#[test]
fn another_users_store_is_refused_and_the_owner_is_named() {
    if !rustix::process::geteuid().is_root() {
        return skip(Part::Mount, "only root can become another user");
    }
    let env = Env::new();
    std::fs::set_permissions(env.path(""), std::fs::Permissions::from_mode(0o777)).unwrap();
    let words = ["token", "create", "me", "--role", "read", "--store", "sweep.db"];
    let as_user = |user: u32| [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
    let (they, we) = (as_user(THEM), as_user(US));
    let by = |user: &[String; 3], words: &[&str]| {
        let user = ["setpriv", user[0].as_str(), user[1].as_str(), user[2].as_str()];
        let output = wrapped(&env.command(words), &user).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(by(&they, &words).0, Some(0));
    // They let everybody read and write it, and may change it at any time.
    for path in below(&env.path("")).iter().filter(|path| path.is_file()) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let (code, said) = by(&we, &["token", "list", "--store", "sweep.db"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("belongs to user {THEM}, but this process runs as user {US}")), "{said}");
    assert_eq!(by(&they, &["token", "list", "--store", "sweep.db"]).0, Some(0), "its owner goes on, and closes it");
    assert_eq!(std::fs::metadata(env.path("sweep.db")).unwrap().mode() & 0o777, 0o600);
}

/// As on a Kubernetes volume with `fsGroup`: the next process may have another user, and has the same group.
#[test]
fn on_a_volume_of_a_group_the_next_user_of_the_group_goes_on() {
    if !rustix::process::geteuid().is_root() {
        return skip(Part::Mount, "only root can become another user");
    }
    let env = Env::new();
    const GROUP: u32 = 61_003;
    std::fs::set_permissions(env.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let volume = env.path("volume");
    std::fs::create_dir(&volume).unwrap();
    chown(&volume, None, Some(GROUP)).unwrap();
    std::fs::set_permissions(&volume, std::fs::Permissions::from_mode(0o2775)).unwrap();
    for (user, name) in [(THEM, "one"), (US, "two")] {
        let words = ["token", "create", name, "--role", "read", "--store", "volume/store/sweep.db"];
        let (reuid, regid, groups) =
            (format!("--reuid={user}"), format!("--regid={user}"), format!("--groups={GROUP}"));
        let output = wrapped(&env.command(words), &["setpriv", &reuid, &regid, &groups]).output().unwrap();
        assert!(output.status.success(), "{user}: {output:?}");
    }
    for path in below(&volume.join("store")) {
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.gid(), found.mode() & 0o067), (GROUP, 0o060), "{} {:o}", path.display(), found.mode());
    }
}
