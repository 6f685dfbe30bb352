//! The CronJob that backs up and the Job that restores: their commands, run here in their order against a coordinator that runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::Value;
use sweep_coordinator::Config;
use tokio_util::sync::CancellationToken;

use super::files::{self, root};
use super::jobs::Machine;
use super::manifests;

fn commands(file: &str) -> Vec<Vec<String>> {
    let object: Value = serde_yaml::from_str(&files::text(file)).expect("it is YAML");
    manifests::commands(manifests::pod(&object))
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there").flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Backs a coordinator's store up, twice, among copies of long ago.
fn back_up(machine: &Machine, backup: &Path) {
    for day in 1..=9 {
        std::fs::create_dir(backup.join(format!("2020-01-0{day}T031700Z"))).expect("a copy of long ago");
    }
    for words in commands("deploy/kubernetes/components/backup/cronjob-backup.yaml") {
        machine.succeeds(&words);
    }
    let kept = names(backup);
    assert_eq!(kept.len(), 8, "seven dated copies and the latest: {kept:?}");
    assert_eq!(kept[0], "2020-01-04T031700Z", "the oldest go first");
    assert!(kept.contains(&"latest".to_owned()) && !kept.iter().any(|name| name.starts_with("part-")), "{kept:?}");
    let dated = kept.iter().filter(|name| *name != "latest").max().expect("there are some");
    machine.same(&backup.join("latest/store.db"), &backup.join(dated).join("store.db"));
    machine.same(&backup.join("latest/artifacts"), &backup.join(dated).join("artifacts"));
}

/// Restores beside a store that is damaged, which stays.
fn restore(machine: &Machine, store: &Path) {
    std::fs::write(store.join("sweep.db"), "damaged").expect("the folder can be written");
    for words in commands("deploy/kubernetes/restore/sqlite/job-restore.yaml") {
        machine.succeeds(&words);
    }
    let aside: Vec<PathBuf> =
        names(store).iter().filter(|name| name.starts_with("replaced-")).map(|name| store.join(name)).collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read_to_string(aside[0].join("sweep.db")).expect("it is there"), "damaged");
    let check =
        Command::new(env!("CARGO_BIN_EXE_sweepctl")).args(["store", "check"]).arg(store.join("sweep.db")).output();
    let check = check.expect("sweepctl starts");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cronjob_backs_up_the_job_restores() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let data = root().join("coordinator/store/tests/data");
    let mut machine =
        Machine { folders: vec![("/backup", at("backup")), ("/var/lib/sweep", at("store"))], variables: Vec::new() };
    machine.make_folders();
    machine.copy(&data.join("store-1.db"), &at("running.db"));
    machine.copy(&data.join("store-1.artifacts"), &at("running.db.artifacts"));
    let any = || Some("127.0.0.1:0".to_owned());
    let store = Some(at("running.db").display().to_string());
    let args = sweep_coordinator::Args { store, listen: any(), listen_http: any(), ..Default::default() };
    let config = Config::from_layers(&args, []).expect("it is right");
    let coordinator = sweep_coordinator::start(config, CancellationToken::new()).await.expect("it starts");
    coordinator.ready().await;
    machine.variables.push(("SWEEP_COORDINATOR", format!("http://{}", coordinator.grpc_address())));

    let (backup, restored) = (at("backup"), at("store"));
    let machine = tokio::task::spawn_blocking(move || {
        back_up(&machine, &backup);
        restore(&machine, &restored);
        machine
    });
    let machine = machine.await.expect("no panic");
    coordinator.stop().await;
    // The only artifact of that store lies in this folder.
    machine.same(&data.join("store-1.artifacts/94"), &at("store/sweep.db.artifacts/94"));
}
