//! Checks the dependencies between our crates, and forbidden dependencies, against `cargo metadata`; and the dependencies
//! between rooms of the coordinator, in its sources.

#![expect(clippy::expect_used, reason = "a failed test panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Our crates that each crate may use. A new crate fails the test until it is listed here.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sweep-proto", &[]),
    ("sweep-require", &[]),
    ("sweep-shapes", &["sweep-proto"]),
    ("sweep-spec", &[]),
    ("sweep-trust", &[]),
    ("sweep-config", &["sweep-trust"]),
    ("sweep-scheduler", &["sweep-spec"]),
    ("sweep-analysis", &["sweep-spec"]),
    ("sweep-store", &["sweep-spec", "sweep-scheduler", "sweep-analysis", "sweep-trust"]),
    ("sweep-report", &["sweep-analysis", "sweep-spec"]),
    (
        "sweep-coordinator",
        &[
            "sweep-config",
            "sweep-proto",
            "sweep-shapes",
            "sweep-spec",
            "sweep-scheduler",
            "sweep-store",
            "sweep-analysis",
            "sweep-report",
            "sweep-trust",
        ],
    ),
    ("sweep-worker", &["sweep-config", "sweep-proto", "sweep-spec", "sweep-trust"]),
    ("sweep-trainer", &["sweep-spec"]),
    (
        "sweepctl",
        &[
            "sweep-proto",
            "sweep-shapes",
            "sweep-spec",
            "sweep-analysis",
            "sweep-coordinator",
            "sweep-worker",
            "sweep-trainer",
            "sweep-trust",
        ],
    ),
    (
        "sweep-tests",
        &[
            "sweep-proto",
            "sweep-spec",
            "sweep-scheduler",
            "sweep-analysis",
            "sweep-report",
            "sweep-coordinator",
            "sweep-worker",
            "sweep-trainer",
        ],
    ),
];

/// Dependencies that a crate must not have itself, by the beginning of the name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("sweep-spec", &["tokio", "tonic", "sqlx", "burn", "axum"]),
    ("sweep-proto", &["sqlx", "burn", "axum"]),
    ("sweep-trust", &["tonic", "sqlx", "burn", "axum", "prost"]),
    ("sweep-config", &["tokio", "tonic", "sqlx", "burn", "axum", "prost", "clap"]),
    ("sweep-shapes", &["tokio", "tonic", "sqlx", "burn", "axum"]),
    ("sweep-analysis", &["tokio", "tonic", "sqlx", "burn", "axum", "prost"]),
    ("sweep-report", &["tokio", "tonic", "sqlx", "burn", "axum", "prost"]),
    ("sweep-store", &["tonic", "burn", "axum"]),
    ("sweep-coordinator", &["sqlx", "burn"]),
    ("sweep-worker", &["burn", "sqlx"]),
    ("sweep-trainer", &["tokio", "tonic", "sqlx", "axum"]),
    ("sweepctl", &["burn", "sqlx", "axum"]),
];

/// The only dependencies of the pure core.
const SCHEDULER: &[&str] = &["sweep-spec", "thiserror"];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let names = |package: &Value| {
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        // Tests of a crate may use more.
        let shipped = dependencies.filter(|dependency| dependency["kind"] != "dev");
        shipped.map(|dependency| dependency["name"].as_str().expect("a name").to_owned()).collect()
    };
    packages.iter().map(|package| (package["name"].as_str().expect("a name").to_owned(), names(package))).collect()
}

#[test]
fn our_crates_use_each_other_only_as_allowed() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours, listed, "the crates of the workspace differ from those in ALLOWED: add or remove a line");
    for (name, allowed) in ALLOWED {
        let used = dependencies[*name].iter().map(String::as_str).filter(|used| ours.contains(used));
        let surplus: Vec<&str> = used.filter(|used| !allowed.contains(used)).collect();
        assert!(surplus.is_empty(), "{name} must not depend on {surplus:?}: ALLOWED does not list them");
    }
}

#[test]
fn no_crate_uses_a_forbidden_dependency() {
    let dependencies = dependencies();
    for (name, forbidden) in FORBIDDEN {
        for used in &dependencies[*name] {
            let bad = forbidden.iter().any(|start| used == start || used.starts_with(&format!("{start}-")));
            assert!(!bad, "{name} must not depend on {used}: FORBIDDEN lists it");
        }
    }
}

#[test]
fn the_scheduler_stays_pure() {
    let used = &dependencies()["sweep-scheduler"];
    let surplus: Vec<&String> = used.iter().filter(|used| !SCHEDULER.contains(&used.as_str())).collect();
    assert!(surplus.is_empty(), "sweep-scheduler must not depend on {surplus:?}: it is pure, see SCHEDULER");
}

/// What the rooms of the coordinator must not name: `grpc` and `web` are two skins over `service`, which knows neither.
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    ("grpc", &["web"], &["axum::"]),
    ("web", &["grpc"], &["tonic::"]),
    ("service", &["grpc", "web"], &["axum::", "tonic::"]),
    ("engine", &["grpc", "web", "service"], &["axum::", "tonic::"]),
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules right below `crate` that a source names, also in groups such as `use crate::{clock, role::Role}`.
fn modules_of(source: &str) -> BTreeSet<String> {
    let is_part_of_a_name = |letter: &char| letter.is_alphanumeric() || *letter == '_';
    let name = |text: &str| text.trim_start().chars().take_while(is_part_of_a_name).collect::<String>();
    let mut modules = BTreeSet::new();
    for rest in source.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            modules.insert(name(rest));
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                letter if begins && !letter.is_whitespace() => {
                    modules.insert(name(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    modules
}

#[test]
fn grpc_and_web_are_skins_over_one_service() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coordinator/src");
    for (room, modules, crates) in ROOMS {
        let mut files = Vec::new();
        rust_files(&sources.join(room), &mut files);
        assert!(!files.is_empty(), "{room} has no sources");
        for file in files {
            let source = std::fs::read_to_string(&file).expect("a source");
            let named = modules_of(&source);
            let bad: Vec<&&str> = modules.iter().filter(|module| named.contains(**module)).collect();
            assert!(bad.is_empty(), "{} names {bad:?}", file.display());
            let bad: Vec<&&str> = crates.iter().filter(|name| source.contains(**name)).collect();
            assert!(bad.is_empty(), "{} names {bad:?}", file.display());
        }
    }
}

#[test]
fn groups_of_imports_are_read_too() {
    let found = modules_of("use crate::{clock, role::{Role, reason},\n    web::Web};\nlet x = crate::chain(&error);");
    assert_eq!(found, ["chain", "clock", "role", "web"].map(str::to_owned).into());
}
