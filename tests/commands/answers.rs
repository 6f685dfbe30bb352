//! How commands show a coordinator's answers, in both forms, and that names in them reach the terminal only as letters.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::canned::{ARTIFACT, serve};
use super::{sweepctl, transcript, transcript_of};

/// The transcript of a command that asks the canned coordinator.
pub(super) fn asked(arguments: &[&str]) -> String {
    let address = serve().to_string();
    let whole: Vec<&str> = arguments.iter().copied().chain(["--coordinator", address.as_str()]).collect();
    transcript(&whole).replace(&address, "ADDRESS")
}

/// The same in a terminal of `columns` columns.
pub(super) fn asked_in(columns: u16, arguments: &[&str]) -> String {
    let address = serve().to_string();
    let whole: Vec<&str> = arguments.iter().copied().chain(["--coordinator", address.as_str()]).collect();
    let mut command = sweepctl(&whole);
    command.env("COLUMNS", columns.to_string());
    transcript_of(command, &whole, b"").replace(&address, "ADDRESS")
}

#[test]
fn list_shows_the_sweeps() {
    insta::assert_snapshot!(asked(&["list"]));
}

#[test]
fn status_shows_everything_about_a_sweep() {
    insta::assert_snapshot!("status", asked(&["status", "3"]));
    insta::assert_snapshot!("status_json", asked(&["status", "scene-cnn", "--output", "json"]));
}

#[test]
fn an_unknown_sweep_is_a_failure_with_a_hint() {
    insta::assert_snapshot!(asked(&["status", "nine"]));
}

#[test]
fn the_leaderboard_has_the_reference_s_columns() {
    insta::assert_snapshot!("leaderboard", asked_in(200, &["leaderboard", "3"]));
    insta::assert_snapshot!("leaderboard_narrow", asked_in(100, &["leaderboard", "3"]));
    insta::assert_snapshot!("leaderboard_json", asked(&["leaderboard", "3", "--output", "json"]));
}

#[test]
fn an_ablation_is_a_table_for_each_factor_with_verdicts() {
    insta::assert_snapshot!("ablation", asked_in(150, &["ablation", "3"]));
    let more = ["ablation", "3", "--against-baseline", "--correction", "bh"];
    insta::assert_snapshot!("ablation_against_baseline", asked_in(150, &more));
    insta::assert_snapshot!("ablation_json", asked(&["ablation", "3", "--output", "json"]));
    insta::assert_snapshot!("ablation_unknown_sweep", asked(&["ablation", "nine"]));
}

#[test]
fn two_configurations_are_compared_seed_by_seed() {
    insta::assert_snapshot!("compare", asked(&["compare", "3", "#1", "baseline"]));
    insta::assert_snapshot!("compare_json", asked(&["compare", "3", "#1", "baseline", "--output", "json"]));
    insta::assert_snapshot!("compare_one_seed", asked(&["compare", "3", "one", "baseline"]));
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    insta::assert_snapshot!("compare_unequal", asked(&["compare", "3", "unlike", "baseline"]));
    insta::assert_snapshot!("compare_unknown", asked(&["compare", "3", "filters=6", "baseline"]));
    insta::assert_snapshot!("compare_without_a_second", asked(&["compare", "3", "#1"]));
}

#[test]
fn a_trial_is_shown_with_its_attempts_and_epochs() {
    insta::assert_snapshot!("trial", asked(&["trial", "ABABAB"]));
    insta::assert_snapshot!("trial_json", asked(&["trial", "ababab", "--output", "json"]));
    insta::assert_snapshot!("trial_unknown", asked(&["trial", "123456"]));
}

#[test]
fn the_trials_of_a_sweep_are_listed_as_far_as_they_are_asked_for() {
    insta::assert_snapshot!("trials", asked_in(200, &["trials", "3"]));
    insta::assert_snapshot!("trials_failed", asked_in(240, &["trials", "3", "--state", "failed", "--full"]));
    insta::assert_snapshot!("trials_first", asked_in(240, &["trials", "3", "--limit", "1", "--full"]));
    insta::assert_snapshot!("trials_json", asked(&["trials", "3", "--limit", "1", "--output", "json"]));
    insta::assert_snapshot!("trials_none", asked(&["trials", "3", "--seed", "99"]));
    insta::assert_snapshot!("trials_no_place", asked(&["trials", "3", "--after", "here"]));
    let text = asked(&["trials", "3", "--output", "json"]);
    let json: serde_json::Value =
        serde_json::from_str(&text[text.find('{').unwrap()..=text.rfind('}').unwrap()]).unwrap();
    assert_eq!((json["trials"].as_array().unwrap().len(), &json["next"]), (2, &serde_json::Value::Null), "{json}");
}

#[test]
fn logs_are_the_newest_attempt_s_unless_another_is_asked_for() {
    insta::assert_snapshot!("logs", asked(&["logs", "ababab"]));
    insta::assert_snapshot!("logs_of_the_first", asked(&["logs", "ababab", "--attempt", "1"]));
    insta::assert_snapshot!("logs_of_none", asked(&["logs", "ababab", "--attempt", "7"]));
}

#[test]
fn cancel_tells_what_became_of_it() {
    insta::assert_snapshot!(asked(&["cancel", "3"]));
}

#[test]
fn steering_a_sweep_tells_where_it_stands() {
    insta::assert_snapshot!("pause", asked(&["pause", "3"]));
    insta::assert_snapshot!("resume", asked(&["resume", "3"]));
    insta::assert_snapshot!("priority", asked(&["priority", "3", "-5"]));
    insta::assert_snapshot!("retry", asked(&["retry", "3", "--failed"]));
    insta::assert_snapshot!("retry_of_nothing", asked(&["retry", "4"]));
}

#[test]
fn explain_says_why_a_trial_waits_and_what_happened_to_it() {
    insta::assert_snapshot!("explain", asked(&["explain", "ababab"]));
    insta::assert_snapshot!("explain_json", asked(&["explain", "ababab", "--output", "json"]));
    insta::assert_snapshot!("explain_unknown", asked(&["explain", "123456"]));
}

#[test]
fn the_audit_log_is_shown_oldest_first() {
    insta::assert_snapshot!("audit", asked(&["audit", "--sweep", "3"]));
    insta::assert_snapshot!("audit_json", asked(&["audit", "--output", "json"]));
    insta::assert_snapshot!("audit_of_nothing", asked(&["audit", "--worker", "nobody"]));
}

#[test]
fn a_worker_is_taken_out_of_service_with_a_reason() {
    insta::assert_snapshot!("workers_suspend", asked(&["workers", "suspend", "gpu-7", "--reason", "its fan is loud"]));
}

#[test]
fn workers_are_shown_slot_by_slot() {
    insta::assert_snapshot!("workers", asked(&["workers"]));
    insta::assert_snapshot!("workers_json", asked(&["workers", "--output", "json"]));
}

#[test]
fn exports_hold_every_trial_or_every_epoch() {
    insta::assert_snapshot!("export_csv", asked(&["export", "3"]));
    insta::assert_snapshot!("export_json", asked(&["export", "3", "--format", "json"]));
    insta::assert_snapshot!("export_points_csv", asked(&["export", "3", "--points"]));
    insta::assert_snapshot!("export_points_json", asked(&["export", "3", "--points", "--output", "json"]));
}

#[test]
fn a_report_goes_to_stdout_or_whole_into_a_file_whose_ending_says_what_it_is() {
    let text = asked(&["report", "3", "--format", "csv", "--metric", "val_loss", "--false-discovery"]);
    let told =
        "report as REPORT_FORMAT_CSV, metric `val_loss`, baseline false, correction CORRECTION_BENJAMINI_HOCHBERG";
    assert!(text.contains("exit code: 0") && text.contains(told), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.tex");
    let text = asked(&["report", "3", "--against-baseline", "--out", file.to_str().unwrap()]);
    assert!(text.contains("exit code: 0") && text.contains("wrote "), "{text}");
    let told = "report as REPORT_FORMAT_LATEX, metric ``, baseline true, correction CORRECTION_HOLM\n";
    assert_eq!(std::fs::read_to_string(&file).unwrap(), told);
    let text = asked(&["report", "7", "--out", file.to_str().unwrap()]);
    assert!(text.contains("exit code: 1") && text.contains("there is no sweep `7`"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), told, "what was there stays");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_report_has_a_machine_form_and_no_file_gets_an_ending_that_is_not_written() {
    let text = asked(&["report", "3", "--format", "markdown", "--output", "json"]);
    let json: serde_json::Value =
        serde_json::from_str(&text[text.find('{').unwrap()..=text.rfind('}').unwrap()]).unwrap();
    assert_eq!(json["format"], "markdown");
    assert!(json["text"].as_str().unwrap().starts_with("report as REPORT_FORMAT_MARKDOWN"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.pdf");
    let text = asked(&["report", "3", "--out", file.to_str().unwrap()]);
    assert!(text.contains("exit code: 2") && text.contains(".html, .htm, .md, .markdown, .tex, .csv"), "{text}");
    assert!(!file.exists());
    let text = asked(&["report", "3", "--format", "parquet", "--output", "json"]);
    assert!(text.contains("exit code: 2") && text.contains("--out FILE"), "{text}");
}

#[test]
fn an_artifact_is_fetched_whole_or_not_at_all() {
    insta::assert_snapshot!("artifacts", asked(&["artifacts", "3"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let name = file.to_str().unwrap();
    let digits = sweep_spec::Digest::of(ARTIFACT).to_string();
    let text = asked(&["artifacts", "3", "--get", &digits[..8], "--file", name]);
    assert!(text.contains("exit code: 0"), "{text}");
    assert_eq!(std::fs::read(&file).unwrap(), ARTIFACT);
    std::fs::remove_file(&file).unwrap();
    let text = asked(&["artifacts", "3", "--get", "bb", "--file", name]);
    assert!(text.contains("exit code: 1") && text.contains("does not match its digest"), "{text}");
    assert!(!file.exists());
}

#[test]
fn submit_answers_with_the_sweep() {
    insta::assert_snapshot!(asked(&["submit", "tests/specs/tiny.yaml", "--name", "other"]));
}

#[test]
fn a_fresh_submit_runs_what_is_known_and_json_counts_it() {
    let text = asked(&["submit", "tests/specs/tiny.yaml", "--fresh", "--output", "json"]);
    let begin = text.find('{').unwrap();
    let end = text.rfind('}').unwrap();
    let json: serde_json::Value = serde_json::from_str(&text[begin..=end]).unwrap();
    let expected = serde_json::json!({ "known": 0, "shared": 1, "to_run": 19, "at_most": false });
    assert_eq!(json["outlook"], expected, "{text}");
}

#[test]
fn a_trial_that_runs_again_is_held_against_its_old_answer() {
    insta::assert_snapshot!("reproduce_same", asked(&["reproduce", "ABABAB"]));
    insta::assert_snapshot!("reproduce_differs", asked(&["reproduce", "cdcdcd", "--tolerance", "0.002"]));
    insta::assert_snapshot!("reproduce_json", asked(&["reproduce", "ababab", "--output", "json"]));
    insta::assert_snapshot!("reproduce_unknown", asked(&["reproduce", "123456"]));
}

#[test]
fn a_sweep_that_ends_with_failed_trials_ends_watch_with_3() {
    insta::assert_snapshot!("watch", asked(&["watch", "4"]));
    let json = asked(&["watch", "4", "--output", "json"]);
    assert!(json.contains("exit code: 3"), "{json}");
    let lines: Vec<serde_json::Value> =
        json.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["event"], "status");
    assert_eq!(lines[1]["event"], "end");
    assert_eq!(lines[1]["leaderboard"]["rows"][0]["rank"], 1);
}

#[test]
fn an_interrupted_watch_says_how_to_come_back() {
    let address = serve().to_string();
    let mut child = sweepctl(&["watch", "3", "--coordinator", &address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("scene-cnn: running") {
        line.clear();
        assert!(talk.read_line(&mut line).unwrap() > 0, "the progress begins");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    talk.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, format!("sweep 3 continues: follow it again with `sweepctl watch 3 --coordinator {address}`\n"));
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn no_name_acts_on_the_terminal() {
    let commands = [
        &["list"][..],
        &["status", "4"],
        &["leaderboard", "4"],
        &["ablation", "4"],
        &["compare", "4", "evil", "baseline"],
        &["compare", "4", "#1", "baseline"],
        &["trials", "4"],
        &["trial", "ababab"],
        &["logs", "ababab", "--attempt", "1"],
        &["workers"],
        &["export", "4"],
        &["export", "4", "--points"],
        &["watch", "4"],
        &["cancel", "4"],
        &["delete", "4"],
        &["reproduce", "cdcdcd"],
    ];
    for command in commands {
        for form in ["text", "json"] {
            let text = asked(&[command, &["--output", form]].concat());
            let acts = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
            assert!(!text.contains(acts), "{command:?} {form}: {text:?}");
        }
    }
}
