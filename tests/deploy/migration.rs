//! The Job that copies a SQLite store to PostgreSQL: its commands, run here in their order on a store of the first release.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;
use serde_yaml::Value;
use sweep_require::postgres::shared;

use super::files::{self, root};
use super::jobs::Machine;
use super::manifests;

/// The rows of every table, as `store copy` reports them.
fn tables(output: &Output) -> Vec<(String, Json)> {
    let report: Json = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    let tables = report["tables"].as_array().expect("it lists tables").iter();
    tables.map(|table| (table["table"].as_str().unwrap_or_default().to_owned(), table["rows"].clone())).collect()
}

/// Copies a store into a new file, and gives the rows of its tables.
fn copied(from: &str, to: &Path) -> Vec<(String, Json)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sweepctl"));
    command.args(["store", "copy", from, &to.display().to_string(), "--output", "json"]);
    tables(&command.output().expect("sweepctl starts"))
}

#[test]
fn the_commands_of_the_migration_bring_a_store_and_its_artifacts_to_postgresql_once() {
    let Some(server) = shared() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let machine = Machine {
        folders: vec![("/sqlite", at("sqlite")), ("/var/lib/sweep", at("artifacts"))],
        variables: vec![("DATABASE", server.database())],
    };
    machine.make_folders();
    let data = root().join("coordinator/store/tests/data");
    machine.copy(&data.join("store-1.db"), &at("sqlite/sweep.db"));
    machine.copy(&data.join("store-1.artifacts"), &at("sqlite/sweep.db.artifacts"));

    let job: Value =
        serde_yaml::from_str(&files::text("deploy/kubernetes/migration/job-migration.yaml")).expect("it is YAML");
    let commands = manifests::commands(manifests::pod(&job));
    assert_eq!(commands.len(), 3, "{commands:?}");
    for words in &commands {
        machine.succeeds(words);
    }
    machine.same(&at("sqlite/sweep.db.artifacts"), &at("artifacts/artifacts"));
    let rows = copied(&machine.variables[0].1, &at("back.db"));
    assert_eq!(rows, copied(&at("sqlite/sweep.db").display().to_string(), &at("second.db")));
    assert!(rows.iter().any(|(table, rows)| table == "trials" && rows.as_u64() > Some(0)), "{rows:?}");

    let again = machine.run(commands.last().expect("there are three"));
    assert!(!again.status.success(), "a filled database is not filled again");
}
