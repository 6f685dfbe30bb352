//! Hints: a sentence that names a flag or a variable belongs to a program that reads it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::none;

/// The source folders of each program, and the `sweepctl` commands whose flags its sentences may name.
const SPEAKERS: [(&str, &[&str]); 4] = [
    ("coordinator/src", &["coordinator"]),
    ("worker/src", &["worker"]),
    // A trainer speaks to the owner of a worker, and to who runs one with `submit --local`.
    ("worker/trainer/src/data", &["worker", "submit", "doctor", "data check", "reproduce"]),
    ("trust/src", &[]),
];

/// A coordinator's messages to workers only, which may name workers' flags.
const TO_WORKERS: &str = "coordinator/src/engine/name_held.rs";

/// Variables that a program reads and that others mention as unused.
const VARIABLES: [(&str, &str); 3] =
    [("coordinator/src", "SWEEP_COORDINATOR_"), ("worker/src", "SWEEP_WORKER_"), ("trust/src", "SWEEP_NOTHING_")];
/// Every program reads this one.
const COMMON: &str = "SWEEP_LOG";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Flags of one verb, by its help.
fn flags(verb: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_sweepctl")).args(verb.split(' ')).arg("--help").output();
    let help = String::from_utf8(output.expect("sweepctl starts").stdout).expect("help is text");
    let found = words(&help, "--").into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert!(found.len() > 3, "{verb} has flags: {help}");
    found
}

/// Words of a text that begin like this: `--data-root`, `SWEEP_LOG`. One that is all of a literal is no part of a sentence.
fn words<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let inner = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let found = text.match_indices(start).filter_map(|(at, _)| {
        let alone = !text[..at].ends_with(inner);
        let rest = &text[at..];
        let end = rest.find(|letter| !inner(letter)).unwrap_or(rest.len());
        let word = rest[..end].trim_end_matches('-');
        let whole = text[..at].ends_with('"') && rest[end..].starts_with('"');
        (alone && !whole && word.len() > start.len()).then_some(word)
    });
    found.collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the workspace").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of a program's source that may contain a sentence for users: no comments, no tests.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a source is text");
    let shipped = text.split("mod tests {").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

/// A line without its mention of another program: `sweepctl token create --role worker`.
fn own(line: &str) -> String {
    let quoted = |(number, part): (usize, &str)| {
        let of_another = number % 2 == 1 && (part.starts_with("sweepctl") || part.starts_with("--features"));
        if of_another { String::new() } else { part.to_owned() }
    };
    line.split('`').enumerate().map(quoted).collect::<Vec<_>>().join("`")
}

fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    name.ends_with("tests") || path.components().any(|part| part.as_os_str() == "tests")
}

fn problems(folder: &str, allowed: &BTreeSet<String>, lines: &[String], name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in lines {
        let said = own(line);
        let foreign = words(&said, "--").into_iter().filter(|flag| !allowed.contains(*flag));
        found.extend(foreign.map(|flag| format!("{name}: this program has no flag {flag}: {}", line.trim())));
        for (_, prefix) in VARIABLES.iter().filter(|(speaker, _)| *speaker == folder) {
            // Before the first quote stands code, with constants of such names.
            let sentence = said.find('"').map_or("", |quote| &said[quote..]);
            let variables = words(sentence, "SWEEP_").into_iter();
            let foreign = variables.filter(|word| !word.starts_with(prefix) && *word != COMMON);
            found.extend(foreign.map(|word| format!("{name}: this program does not read {word}: {}", line.trim())));
        }
    }
    found
}

#[test]
fn a_hint_names_what_the_program_that_says_it_reads() {
    let mut found = Vec::new();
    for (folder, verbs) in SPEAKERS {
        let allowed: BTreeSet<String> = verbs.iter().flat_map(|verb| flags(verb)).collect();
        let of_workers = flags("worker");
        let mut files = Vec::new();
        sources(&root().join(folder), &mut files);
        for path in files.iter().filter(|path| !is_test(path)) {
            let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
            let allowed = if name == TO_WORKERS { &of_workers } else { &allowed };
            found.extend(problems(folder, allowed, &lines(path), &name));
        }
    }
    none(found);
}

#[test]
fn a_hint_of_another_program_is_found() {
    let allowed = BTreeSet::from(["--token-file".to_owned()]);
    let said = |line: &str| problems("worker/src", &allowed, &[line.to_owned()], "a.rs").len();
    assert_eq!(said("\"it reads one from SWEEP_TOKEN or --token-file\""), 1);
    assert_eq!(said("\"give it another --name or SWEEP_WORKER_NAME\""), 1);
    assert_eq!(said("\"`sweepctl token create NAME --role worker` makes one for --token-file\""), 0);
}
