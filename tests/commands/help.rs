//! Help, completions, and command lines that are none.

use super::{sweepctl, transcript};

#[test]
fn help_names_every_verb_and_every_exit_code() {
    insta::assert_snapshot!(transcript(&["--help"]));
}

#[test]
fn the_help_of_submit_trials_and_export_shows_how() {
    insta::assert_snapshot!("help_of_submit", transcript(&["submit", "--help"]));
    insta::assert_snapshot!("help_of_trials", transcript(&["trials", "--help"]));
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
        for (form, word) in [(&[][..], "SWEEPCTL_COMPLETE"), (&["--static"][..], "leaderboard")] {
            let output = sweepctl(&[&["completions", shell], form].concat()).output().unwrap();
            assert!(output.status.success(), "{shell}");
            assert!(String::from_utf8(output.stdout).unwrap().contains(word), "{shell} {form:?}");
        }
    }
}

/// The completions for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let mut command = sweepctl(&[&["--"], words].concat());
    command.env("SWEEPCTL_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
    let output = command.env("_CLAP_IFS", "\n").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn names_of_sweeps_and_workers_complete_as_the_coordinator_knows_them() {
    let address = super::canned::serve().to_string();
    let dialled = |words: &[&str]| offered(&[&["sweepctl", "--coordinator", address.as_str()], words].concat());
    for verb in ["watch", "status", "leaderboard", "cancel", "report"] {
        let names = dialled(&[verb, ""]);
        assert!(names.contains(&"scene-cnn".to_owned()) && names.contains(&"4".to_owned()), "{verb}: {names:?}");
        assert!(names.iter().all(|name| !name.contains("evil")), "{names:?}");
    }
    assert_eq!(dialled(&["watch", "scene"]), ["scene-cnn"]);
    assert!(dialled(&["workers", "drain", ""]).contains(&"w1".to_owned()));
    assert_eq!(offered(&["sweepctl", "leaderb"]), ["leaderboard"]);
    assert!(offered(&["sweepctl", "plan", "sweeps/quick"]).contains(&"sweeps/quickstart.yaml".to_owned()));
    let dead = ["sweepctl", "--coordinator", "127.0.0.1:1", "watch", "scene"];
    assert_eq!(offered(&dead), Vec::<String>::new(), "nobody answers, nobody waits");
}

#[test]
fn manual_pages_are_written_for_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("man1");
    let output = sweepctl(&["man", place.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(place.join("sweepctl-watch.1")).unwrap();
    assert!(page.contains(".SH EXAMPLES") && page.contains("sweepctl watch scene"), "{page}");
    assert!(std::fs::read_dir(&place).unwrap().count() > 30);
}
