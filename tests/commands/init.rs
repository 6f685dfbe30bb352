//! `sweepctl init` without a terminal: what it writes and refuses, and that the next command accepts the result.

use std::path::Path;
use std::process::Command;

use super::sweepctl;

/// Runs `sweepctl` in a separate folder.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command: Command = sweepctl(arguments);
    let output = command.current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_spec_is_written_with_comments_and_the_next_command_plans_it() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = run(folder.path(), &["init", "--yes"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("wrote my-study.yaml\n") && stdout.contains("5 configurations, 40 trials"), "{stdout}");
    assert!(stderr.contains("  sweepctl plan my-study.yaml\n"), "{stderr}");
    insta::assert_snapshot!("init_usual", std::fs::read_to_string(folder.path().join("my-study.yaml")).unwrap());
    let (code, planned, stderr) = run(folder.path(), &["plan", "my-study.yaml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(planned.contains("batch_norm=true"), "{planned}");
}

#[test]
fn every_question_has_a_flag() {
    let folder = tempfile::tempdir().unwrap();
    let line = "init - --name scenes --dataset image_folder --path scenes --image-size 64 --classes 8 \
                --factor filters=16,32,64 --factor dropout=0,0.2 --design greedy --seeds 9 --epochs 5 --metric val_loss";
    let words: Vec<&str> = line.split_whitespace().collect();
    let (code, stdout, stderr) = run(folder.path(), &words);
    assert_eq!(code, 0, "{stderr}");
    insta::assert_snapshot!("init_flags", stdout);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "`-` is stdout");
}

#[test]
fn nothing_is_written_over_and_nothing_wrong_is_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("my-study.yaml"), "mine").unwrap();
    let (code, _, stderr) = run(folder.path(), &["init", "--yes"]);
    assert!(code == 2 && stderr.contains("already exists"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.path().join("my-study.yaml")).unwrap(), "mine");
    let (code, _, stderr) = run(folder.path(), &["init", "new.yaml", "--yes", "--factor", "kernel_size=3,4"]);
    assert!(code == 2 && stderr.contains("nothing was written"), "{stderr}");
    assert!(!folder.path().join("new.yaml").exists());
    let (code, _, stderr) = run(folder.path(), &["init", "--yes", "--factor", "filter=1,2"]);
    assert!(code == 2 && stderr.contains("the factors are conv_layers, filters"), "{stderr}");
}

#[test]
fn without_a_terminal_what_is_not_answered_is_asked_for_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = run(folder.path(), &["init"]);
    assert!(code == 2 && stderr.contains("--yes"), "{stderr}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
