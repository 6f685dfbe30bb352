//! Output in terminals of four widths: no line is wider, no word is broken, and omissions are reported.

use super::answers::asked_in;
use super::{sweepctl, transcript_of};

const WIDTHS: [u16; 4] = [60, 80, 120, 200];

/// Snapshots a command's stdout at every width, and checks that no line is wider.
fn at_every_width(name: &str, ask: impl Fn(u16) -> String) {
    for columns in WIDTHS {
        let text = ask(columns);
        let stdout = text.split("----- stdout -----\n").nth(1).unwrap().split("----- stderr -----").next().unwrap();
        let columns = usize::from(columns);
        // A digest stays whole beside its label.
        let is_long = |word: &str| word.chars().count() + 20 > columns;
        let too_wide = |line: &&str| line.chars().count() > columns && !line.split_whitespace().any(is_long);
        assert_eq!(stdout.lines().find(too_wide), None, "wider than {columns}:\n{text}");
        insta::assert_snapshot!(format!("{name}_{columns}"), text);
    }
}

#[test]
fn tables_fit_and_say_what_they_left_out() {
    for (name, arguments) in [
        ("leaderboard", &["leaderboard", "3"][..]),
        ("ablation", &["ablation", "3"]),
        ("list", &["list"]),
        ("workers", &["workers"]),
        ("trial", &["trial", "ababab"]),
        ("compare", &["compare", "3", "#1", "baseline"]),
        ("audit", &["audit"]),
    ] {
        at_every_width(name, |columns| asked_in(columns, arguments));
    }
}

#[test]
fn sentences_fit() {
    at_every_width("status", |columns| asked_in(columns, &["status", "3"]));
}

#[test]
fn a_plan_fits() {
    let arguments = ["plan", "tests/specs/greedy.yaml"];
    at_every_width("plan", |columns| {
        let mut command = sweepctl(&arguments);
        command.env("COLUMNS", columns.to_string());
        transcript_of(command, &arguments, b"")
    });
}
