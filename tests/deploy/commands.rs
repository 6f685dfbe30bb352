//! Verbs and flags, wherever a command line of ours is written.

use std::collections::BTreeMap;
use std::process::Command;

use super::files::{self, File};
use super::{manifests, none};

const PROGRAMS: &[(&str, &[&str])] = &[
    ("sweepctl", &[]),
    ("sweep-coordinator", &["coordinator"]),
    ("sweep-worker", &["worker"]),
    ("sweep-trainer", &["trainer"]),
];

/// The text of `--help`, read once for each command.
#[derive(Default)]
struct Help(BTreeMap<Vec<String>, Option<String>>);

impl Help {
    /// The flags of a verb; none where there is no such verb.
    fn of(&mut self, verb: &[String]) -> Option<&str> {
        let ask = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sweepctl"));
            let output = command.args(verb).arg("--help").output().expect("sweepctl starts");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        self.0.entry(verb.to_vec()).or_insert_with(ask).as_deref()
    }

    fn has(&mut self, verb: &[String], flag: &str) -> bool {
        // Those that every program has are not always listed.
        let always = ["--help", "--version"].contains(&flag);
        always || self.of(verb).is_some_and(|help| help.split([' ', ',', '\n', '[', '=', '`']).any(|word| word == flag))
    }
}

/// Pieces of a file that may be command lines: in prose, text between backticks.
fn pieces(file: &File) -> Vec<String> {
    let joined = file.text.replace("\\\n", " ");
    if file.name.ends_with(".md") {
        return joined.split('`').skip(1).step_by(2).flat_map(str::lines).map(str::to_owned).collect();
    }
    let spans = |line: &str| -> Vec<String> {
        if line.contains('`') {
            return line.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        }
        // A comment is prose, unless it begins with a program.
        let comment = line.trim_start().strip_prefix('#').map(str::trim_start);
        // So is what stands behind a line.
        let line = line.split_once(" # ").map_or(line, |(line, _)| line);
        let is_prose = |text: &str| !PROGRAMS.iter().any(|(program, _)| text.split(' ').next() == Some(*program));
        if comment.is_some_and(is_prose) { Vec::new() } else { vec![line.to_owned()] }
    };
    joined.lines().flat_map(spans).collect()
}

/// A program of ours in a piece of text, with the words behind it up to where another command begins.
fn command_lines(piece: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let ends = |word: &str| {
        matches!(word, "|" | "||" | "&&" | "&" | ">" | "<" | "#" | "\\" | ";" | "2>") || word.starts_with('#')
    };
    let words: Vec<&str> = piece.split_whitespace().collect();
    let mut found = Vec::new();
    for (place, word) in words.iter().enumerate() {
        // An enumeration in prose; a list of words has a bracket or a folder before it.
        if word.ends_with(',') && !word.contains(['[', '/']) {
            continue;
        }
        // An object of Kubernetes: `kubectl scale deployment/sweep-coordinator --replicas=0`.
        if ["deployment/", "statefulset/"].iter().any(|kind| word.starts_with(kind)) {
            continue;
        }
        let word = word.trim_start_matches(['"', '\'', '(', '[', '$']).trim_end_matches([',', '"', '\'', ']', ')']);
        let name = word.trim_start_matches("ExecStart=").rsplit('/').next().unwrap_or(word);
        // An argument of another program: `cargo build -p sweep-worker --bin sweep-worker`.
        if place.checked_sub(1).is_some_and(|before| words[before].starts_with('-')) {
            continue;
        }
        let Some((_, begins)) = PROGRAMS.iter().find(|(program, _)| *program == name) else { continue };
        let clean = |word: &&str| word.trim_matches(['"', '\'', ',', '[', ']', '(', ')', '.', ';']).to_owned();
        let rest = words[place + 1..].iter().take_while(|word| !ends(word)).map(clean).collect();
        found.push((begins.iter().map(|word| (*word).to_owned()).collect(), rest));
    }
    found
}

fn is_verb(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
}

/// Verbs and flags that `sweepctl` does not have.
fn problems(files: &[File]) -> Vec<String> {
    let (mut help, mut found) = (Help::default(), Vec::new());
    for file in files {
        for (mut verb, words) in pieces(file).iter().flat_map(|piece| command_lines(piece)) {
            let flags = words.iter().filter(|word| word.starts_with("--") && word.len() > 2);
            let flags: Vec<&str> = flags.filter_map(|flag| flag.split('=').next()).collect();
            if verb.is_empty() {
                let spoken: Vec<String> = words.iter().take_while(|word| is_verb(word)).take(2).cloned().collect();
                // Prose and labels that only name the program.
                let Some(first) = spoken.first().filter(|_| spoken.len() > 1 || words.len() > 1 || !flags.is_empty())
                else {
                    continue;
                };
                if help.of(std::slice::from_ref(first)).is_none() {
                    found.push(format!("{}: sweepctl has no verb `{first}`", file.name));
                    continue;
                }
                verb = match help.of(&spoken).is_some() {
                    true => spoken,
                    false => vec![first.clone()],
                };
            }
            for flag in flags.into_iter().filter(|flag| !help.has(&verb, flag)) {
                found.push(format!("{}: `{}` has no flag {flag}", file.name, verb.join(" ")));
            }
        }
    }
    found
}

#[test]
fn every_verb_and_flag_that_is_written_is_there() {
    none(problems(&files::all()));
}

#[test]
fn every_argument_of_a_container_is_a_flag() {
    let mut help = Help::default();
    let containers = manifests::containers(&files::objects());
    assert!(containers.len() >= 4, "{containers:?}");
    let mut found = Vec::new();
    for container in containers {
        let verb = [container.program.clone()];
        for flag in container.args.iter().filter(|argument| argument.starts_with("--")) {
            if !help.has(&verb, flag) {
                found.push(format!("{}: {flag}", container.place));
            }
        }
    }
    none(found);
}

#[test]
fn a_wrong_flag_and_a_wrong_verb_are_found() {
    let wrong = [
        ("a.md", "Say `sweepctl submit study.yaml --whait` then.", "--whait"),
        ("b.md", "```\nsweepctl workers drain gpu-7 \\\n  --soon\n```\n", "--soon"),
        ("c.service", "ExecStart=/usr/local/bin/sweep-coordinator --config /etc/x --databse y", "--databse"),
        ("d.sh", "srun sweep-worker --slot 1 --coordinator http://a:1 &", "--slot"),
        ("e.md", "`sweepctl sumbit study.yaml`", "sumbit"),
    ];
    for (name, text, part) in wrong {
        let found = problems(&[File::planted(name, text)]);
        assert!(found.len() == 1 && found[0].contains(part), "{text}: {found:?}");
    }
    let right =
        "`sweepctl submit study.yaml --wait` and `sweepctl workers drain gpu-7 --now` | `sweep-worker --slots 2`";
    none(problems(&[File::planted("right.md", right)]));
}
