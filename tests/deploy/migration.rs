//! The Job that copies a SQLite store to PostgreSQL: its commands, run here in their order on a store of the first release.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;
use serde_yaml::Value;

use super::files::{self, root};
use super::manifests::{list, text};
use super::postgres_server::shared;

/// The commands of the Job's containers, in the order in which Kubernetes runs them.
fn commands() -> Vec<Vec<String>> {
    let job: Value =
        serde_yaml::from_str(&files::text("deploy/kubernetes/migration/job-migration.yaml")).expect("YAML");
    let pod = &job["spec"]["template"]["spec"];
    let containers = list(&pod["initContainers"]).iter().chain(list(&pod["containers"]));
    containers.map(|container| list(&container["command"]).iter().map(text).collect()).collect()
}

/// Runs a container's command with the folders and the database of this machine.
fn run(words: &[String], folder: &Path, database: &str) -> Output {
    let here = |word: &String| {
        let word =
            word.replace("$(DATABASE)", database).replace("/usr/local/bin/sweepctl", env!("CARGO_BIN_EXE_sweepctl"));
        let word = word.replace("/sqlite", &folder.join("sqlite").display().to_string());
        word.replace("/var/lib/sweep", &folder.join("artifacts").display().to_string())
    };
    let words: Vec<String> = words.iter().map(here).collect();
    Command::new(&words[0]).args(&words[1..]).output().expect("the command starts")
}

/// The rows of every table, as `store copy` reports them.
fn tables(output: &Output) -> Vec<(String, Json)> {
    let report: Json = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    let tables = report["tables"].as_array().expect("it lists tables").iter();
    tables.map(|table| (table["table"].as_str().unwrap_or_default().to_owned(), table["rows"].clone())).collect()
}

#[test]
fn the_commands_of_the_migration_bring_a_store_and_its_artifacts_to_postgresql_once() {
    let Some(server) = shared() else { return };
    let (folder, database) = (tempfile::tempdir().expect("a folder"), server.database());
    for name in ["sqlite", "artifacts"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    let data = root().join("coordinator/tests/data");
    std::fs::copy(data.join("store-1.db"), folder.path().join("sqlite/sweep.db")).expect("a copy of the store");
    let artifacts = folder.path().join("sqlite/sweep.db.artifacts");
    let copied = Command::new("cp").arg("-R").args([data.join("store-1.artifacts"), artifacts.clone()]).status();
    assert!(copied.expect("cp starts").success());

    let commands = commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for words in &commands {
        let output = run(words, folder.path(), &database);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let brought = folder.path().join("artifacts/artifacts");
    let compared = Command::new("diff").arg("-r").args([artifacts, brought]).status().expect("diff starts");
    assert!(compared.success(), "every artifact is there");
    let back = |from: &str, to: &str| {
        let to = folder.path().join(to).display().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_sweepctl"))
            .args(["store", "copy", from, &to, "--output", "json"])
            .output();
        tables(&output.expect("sweepctl starts"))
    };
    let original = folder.path().join("sqlite/sweep.db").display().to_string();
    let rows = back(&database, "back.db");
    assert_eq!(rows, back(&original, "second.db"));
    assert!(rows.iter().any(|(table, rows)| table == "trials" && rows.as_u64() > Some(0)), "{rows:?}");

    let again = run(commands.last().expect("there are three"), folder.path(), &database);
    assert!(!again.status.success(), "a filled database is not filled again");
}
