//! Help, completions, and command lines that are none.

use super::{sweepctl, transcript};

#[test]
fn help_names_every_verb_and_every_exit_code() {
    insta::assert_snapshot!(transcript(&["--help"]));
}

#[test]
fn the_help_of_submit_and_export_shows_how() {
    insta::assert_snapshot!("help_of_submit", transcript(&["submit", "--help"]));
    insta::assert_snapshot!("help_of_export", transcript(&["export", "--help"]));
}

#[test]
fn an_unknown_verb_is_a_wrong_command_line_and_hints_at_the_right_one() {
    insta::assert_snapshot!(transcript(&["leaderbord", "3"]));
}

#[test]
fn a_missing_argument_is_a_wrong_command_line() {
    insta::assert_snapshot!(transcript(&["status"]));
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = sweepctl(&["completions", shell]).output().unwrap();
        assert!(output.status.success(), "{shell}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("leaderboard"), "{shell}");
    }
}
