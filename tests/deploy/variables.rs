//! Environment variables: each is a key of a configuration, or compiled into a program.

use std::collections::BTreeSet;

use super::files::{self, File};
use super::none;

/// The keys of an embedded default file.
fn keys(default: &str) -> Vec<String> {
    let members: serde_yaml::Mapping = serde_yaml::from_str(default).expect("the default file is YAML");
    members.keys().filter_map(|key| key.as_str().map(str::to_owned)).collect()
}

/// Variables that set a key.
fn known() -> BTreeSet<String> {
    let coordinator = keys(sweep_coordinator::config::DEFAULT).into_iter().map(|key| ("SWEEP_COORDINATOR_", key));
    let worker = keys(sweep_worker::config::DEFAULT_YAML).into_iter().map(|key| ("SWEEP_WORKER_", key));
    let named = coordinator.chain(worker).map(|(prefix, key)| format!("{prefix}{}", key.to_uppercase()));
    named.chain(["SWEEP_WORKER_CONFIG".to_owned()]).collect()
}

/// Whether the program contains this word.
fn compiled(program: &[u8], word: &str) -> bool {
    let (first, rest) = word.as_bytes().split_first().expect("a word is not empty");
    let starts = program.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.into_iter().any(|(place, _)| program[place + 1..].starts_with(rest))
}

fn problems(files: &[File]) -> Vec<String> {
    let program = std::fs::read(env!("CARGO_BIN_EXE_sweepctl")).expect("sweepctl is built");
    let mut known = known();
    let mut found = Vec::new();
    for file in files {
        for word in files::words(&file.text, "SWEEP_") {
            // A form for several, such as SWEEP_WORKER_<KEY>; and a variable of the file itself, which has a default there.
            let own = file.text.contains(&format!("${{{word}:-"));
            if word.ends_with('_') || own || known.contains(word) {
                continue;
            }
            match compiled(&program, word) {
                true => drop(known.insert(word.to_owned())),
                false => found.push(format!("{}: no program reads {word}", file.name)),
            }
        }
    }
    found
}

#[test]
fn every_variable_that_is_written_is_read() {
    none(problems(&files::all()));
}

#[test]
fn a_misspelt_variable_is_found() {
    for word in ["SWEEP_WORKER_DATAROOT", "SWEEP_COORDINATOR_LISTEN_HTPP", "SWEEP_TOKENS_FILE"] {
        assert_eq!(problems(&[File::planted("a.yaml", &format!("{word}: x"))]).len(), 1, "{word}");
    }
    none(problems(&[File::planted("a.yaml", "SWEEP_WORKER_DATA_ROOT: x\nSWEEP_COORDINATOR: y")]));
}
