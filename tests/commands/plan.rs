//! `sweepctl plan`: the whole plan, its bounds, its machine form, and plans that are too large to be shown.

use std::io::Read;
use std::process::Stdio;

use super::{sweepctl, transcript, transcript_of, transcript_with_input};

/// A grid of 8,192 configurations.
const LARGE: &str = "
version: 1
name: large
dataset: { kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }
baseline: { family: cnn }
stages:
  - name: all
    grid:
      conv_layers: [1, 2, 3, 4, 5, 6, 7, 8]
      filters: [1, 2, 3, 4, 5, 6, 7, 8]
      dense_layers: [1, 2, 3, 4, 5, 6, 7, 8]
      dense_units: [1, 2, 3, 4, 5, 6, 7, 8]
      batch_norm: [false, true]
";

#[test]
fn a_plan_shows_every_configuration_once_with_its_cost() {
    insta::assert_snapshot!(transcript(&["plan", "tests/specs/tiny.yaml"]));
}

#[test]
fn the_machine_form_says_the_same() {
    insta::assert_snapshot!(transcript(&["plan", "tests/specs/tiny.yaml", "--set", "seeds=[7]", "--output", "json"]));
}

#[test]
fn what_stands_behind_a_decision_is_told_as_a_bound() {
    insta::assert_snapshot!(transcript(&["plan", "tests/specs/greedy.yaml"]));
}

/// A study with every kind of seed.
const SEEDS: &str = "
version: 1
name: seeds
dataset: { kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }
seeds: { adaptive: { start: 6, step: 3, at_most: 14 } }
noise: { seeds: 4 }
baseline: { family: cnn, filters: 2 }
stages: [ { name: width, vary: { filters: [2, 4] }, keep: best_if_significant } ]
";

#[test]
fn seeds_that_are_not_for_everything_are_told_with_their_bounds() {
    let text = transcript_with_input(&["plan", "-"], SEEDS.as_bytes());
    for part in [
        "6 to 14 seeds",
        "noise: the baseline with 4 more seeds, only for the noise floor",
        "more seeds: 3 seeds at a time for undecided comparisons, up to 3 times and 14 seeds; at most 16",
        "at most 2 configurations, 32 trials",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let text = transcript_with_input(&["plan", "-", "--output", "json"], SEEDS.as_bytes());
    let json = text.split("----- stdout -----").nth(1).unwrap().split("----- stderr -----").next().unwrap();
    let plan: serde_json::Value = serde_json::from_str(json).unwrap();
    let groups: Vec<_> =
        plan["stages"].as_array().unwrap().iter().map(|group| (&group["kind"], &group["seeds"])).collect();
    assert_eq!(
        groups,
        [("stage", 6), ("noise", 4), ("more_seeds", 3), ("more_seeds", 3), ("more_seeds", 2)]
            .map(|(kind, seeds)| (serde_json::json!(kind), serde_json::json!(seeds)))
            .iter()
            .map(|(kind, seeds)| (kind, seeds))
            .collect::<Vec<_>>()
    );
    assert_eq!(plan["configurations"][0]["trials"], 10, "the baseline has its own seeds and those of the noise floor");
}

#[test]
fn a_last_batch_of_one_image_is_warned_about_where_it_harms() {
    let lone = |batch_norm: bool| {
        LARGE
            .replace("train_images: 32", "train_images: 33")
            .replace("batch_norm: [false, true]", &format!("batch_norm: [{batch_norm}]"))
    };
    let warning = "33 images in batches of 32 leave one image for the last batch of every epoch";
    for (batch_norm, warned) in [(true, true), (false, false)] {
        let text = transcript_with_input(&["plan", "-", "--output", "json"], lone(batch_norm).as_bytes());
        assert_eq!(text.contains(warning), warned, "batch_norm: {batch_norm}");
    }
    let text = transcript_with_input(&["plan", "-"], lone(true).as_bytes());
    assert!(text.contains("warning: 33 images"), "{text}");
}

#[test]
fn every_design_is_told_in_words_with_what_it_leaves_out_and_cannot_tell_apart() {
    insta::assert_snapshot!(transcript(&["plan", "tests/specs/designs.yaml"]));
}

#[test]
fn the_machine_form_has_aliases_and_warnings() {
    let text = transcript(&["plan", "tests/specs/designs.yaml", "--output", "json"]);
    let json = text.split("----- stdout -----").nth(1).unwrap().split("----- stderr -----").next().unwrap();
    let plan: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(plan["stages"][1]["trains_start"], false);
    assert!(plan["stages"][1]["warnings"][0].as_str().unwrap().contains("is not trained"));
    let screening = &plan["stages"][2];
    assert_eq!((&screening["resolution"], &screening["points"]), (&4.into(), &8.into()));
    assert_eq!(screening["generators"][0], "dropout = conv_layers * batch_norm * max_pool");
    assert_eq!(screening["aliases"][0][1], "batch_norm*max_pool*dropout");
    assert_eq!(plan["stages"][3]["excluded"], 2);
}

#[test]
fn a_large_plan_shows_its_beginning_and_its_totals() {
    insta::assert_snapshot!(transcript_with_input(&["plan", "-"], LARGE.as_bytes()));
}

#[test]
fn a_large_plan_can_be_shown_whole() {
    let text = transcript_with_input(&["plan", "-", "--all", "--output", "json"], LARGE.as_bytes());
    let json = text.split("----- stdout -----").nth(1).unwrap().split("----- stderr -----").next().unwrap();
    let plan: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(plan["configurations"].as_array().unwrap().len(), 8192);
    assert_eq!(plan["omitted"], 0);
}

#[test]
fn a_reader_that_leaves_ends_it_without_a_word() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), LARGE).unwrap();
    let mut child = sweepctl(&["plan", "--all", file.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn colours_come_when_they_are_asked_for() {
    let text = |color: &str| {
        let output = sweepctl(&["plan", "tests/specs/tiny.yaml", "--color", color]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text("always").contains('\u{1b}'));
    for plain in ["never", "auto"] {
        assert!(!text(plain).contains('\u{1b}'), "{plain}");
    }
}

#[test]
fn with_a_coordinator_it_says_how_long_it_takes_and_what_would_be_shown() {
    let address = super::canned::serve().to_string();
    let plan = |more: &[&str]| {
        let spec = ["plan", "tests/specs/tiny.yaml", "--coordinator", &address];
        let arguments = [&spec[..], more].concat();
        let mut command = sweepctl(&arguments);
        // Sentences are whole lines then.
        command.env("COLUMNS", "200");
        transcript_of(command, &arguments, b"")
    };
    let text = plan(&["--budget", "2h", "--price-per-hour", "2usd"]);
    for said in [
        "time: 1.50 slot-hours (1.20 to 1.95); 46 min 40 s (37 min 20 s to 1 h) on the 2 slots that are \
         connected; the results of 2 of 8 trials are known",
        "money: 3.00 usd (2.40 usd to 3.90 usd)",
        "budget 2h: seed 1 left out",
        "estimated from 18 trials on a processor (avx2), 1 thread",
        "predictions were off by 8 % (median), worst 31 %, over 18 trials on a processor (avx2), 1 thread",
        "in 3 earlier sweeps, differences of val_accuracy with the same seed have a standard deviation of 0.0101: ",
    ] {
        assert!(text.contains(said), "{said} is missing in\n{text}");
    }
    let json = plan(&["--output", "json"]);
    assert!(json.contains("\"seeds_in_family\"") && json.contains("\"slot_seconds\""), "{json}");
}

#[test]
fn a_coordinator_that_does_not_answer_costs_a_word_and_not_the_plan() {
    let text = transcript(&["plan", "tests/specs/tiny.yaml", "--coordinator", "127.0.0.1:9"]);
    assert!(text.contains("exit code: 0") && text.contains("no estimate of time and noise: "), "{text}");
    let text = transcript(&["plan", "tests/specs/tiny.yaml", "--local", "--store", "/nowhere/to/be/found.db"]);
    assert!(
        text.contains("exit code: 0") && text.contains("time and detectable difference are not estimated"),
        "{text}"
    );
}
