//! Groups with separate seeds, and stages that choose only significant winners.

use std::collections::BTreeSet;

use super::tests::{labels, plan, spec};
use super::*;

const SMALL: &str = "
version: 1
name: small
dataset: { kind: synthetic_scenes, image_size: 32, channels: 3, classes: 8 }
seeds: 3
baseline: { family: cnn, filters: 4 }
stages:
  - { name: width, vary: { filters: [8, 16] }, keep: best_if_significant }
  - { name: head, vary: { dense_layers: [1, 2] } }
";

/// All groups of the small study, with something before and something behind its own keys.
fn with(seeds: &str, more: &str) -> Plan {
    plan(&format!("{}{more}", SMALL.replace("seeds: 3", &format!("seeds: {seeds}"))))
}

#[test]
fn a_comparison_with_the_starting_point_trains_it_too() {
    let plan = plan(SMALL);
    assert_eq!(labels(&plan, 0, &[]), ["filters=8", "filters=16", "baseline"]);
    assert_eq!(plan.decisions().collect::<Vec<_>>(), [0]);
    assert_eq!(plan.expand(1, &[]), None, "it waits for what the stage before hands on");
    // A starting point that is among the levels is one point, at its own place.
    let listed = SMALL.replace("[8, 16]", "[8, 4, 16]");
    let listed = super::tests::plan(&listed);
    assert_eq!(labels(&listed, 0, &[]), ["filters=8", "baseline", "filters=16"]);
    assert_eq!(listed.summary(&[]).groups[0].merged, 1);
    let kept = Winner { stage: 0, configuration: plan.spec().baseline.clone() };
    assert_eq!(labels(&plan, 1, &[kept]), ["baseline", "dense_layers=2"]);
}

#[test]
fn the_noise_floor_is_the_baseline_under_seeds_that_nothing_else_has() {
    let plan = with("3", "noise: { seeds: 2 }\n");
    let noise = plan.groups().len() - 1;
    assert_eq!(plan.groups()[noise].kind, GroupKind::Noise);
    assert_eq!((plan.seeds(0), plan.seeds(noise)), (&[0, 1, 2][..], &[1_000_000, 1_000_001][..]));
    assert!(plan.spec().is_noise(1_000_000) && !plan.spec().is_noise(0));
    let planned = plan.expand(noise, &[]).unwrap();
    assert_eq!((planned.len(), planned[0].groups.as_slice()), (1, &[0, noise][..]));
    assert_eq!(planned[0].ordinal, 2, "the baseline keeps the place that it has among the stages");
    let (with, without) = (plan.summary(&[]), super::tests::plan(SMALL).summary(&[]));
    assert_eq!((with.trials, with.noise, with.configurations), (without.trials + 2, 2, without.configurations));
    assert_eq!(with.merged, without.merged);
}

#[test]
fn a_baseline_that_no_stage_asks_for_is_trained_for_the_noise_floor_alone() {
    let text = SMALL.replace(", keep: best_if_significant", "").replace("[1, 2]", "[2, 3]");
    let plan = plan(&format!("{text}noise: {{ seeds: [7] }}\n"));
    let summary = plan.summary(&[]);
    assert_eq!((summary.configurations, summary.trials), (5, 4 * 3 + 1));
    let all: Vec<_> = plan.released(&[]).configurations().map(|planned| planned.label(&plan)).collect();
    assert_eq!(all, ["filters=8", "filters=16", "dense_layers=2", "dense_layers=3", "baseline"]);
}

#[test]
fn seeds_are_added_a_few_at_a_time_up_to_a_bound() {
    let plan = with("{ adaptive: { start: 3, step: 2, at_most: 8 } }", "noise: { seeds: [99] }\n");
    let looks: Vec<usize> = plan.looks().collect();
    assert_eq!(looks, [3, 4, 5]);
    let seeds: Vec<&[u64]> = looks.iter().map(|look| plan.seeds(*look)).collect();
    assert_eq!(seeds, [&[3, 4][..], &[5, 6], &[7]]);
    assert_eq!(plan.spec().seeds, [0, 1, 2]);
    assert!(looks.iter().all(|look| plan.expand(*look, &[]).is_none()), "who gets them is decided by results");
    let summary = plan.summary(&[]);
    assert!(summary.at_most);
    assert_eq!((summary.more_seeds, summary.trials), (5 * 5, 5 * 3 + 1 + 5 * 5));
    assert_eq!(plan.behind(0), [1, 3, 4, 5], "without a winner nothing more is decided");
}

#[test]
fn no_trial_of_a_study_changes_when_it_gets_more_seeds_or_a_noise_floor() {
    let trials = |plan: &Plan| -> BTreeSet<TrialId> {
        let released = plan.released(&[]);
        let of_group = |group: &usize| {
            let (plan, group) = (plan.clone(), *group);
            let planned: Vec<_> = released.points(group).collect();
            planned
                .into_iter()
                .flat_map(move |planned| plan.trial_ids_under(&planned.configuration, plan.seeds(group)).unwrap())
        };
        released.groups().iter().flat_map(of_group).collect()
    };
    let places = |plan: &Plan| -> Vec<_> {
        let planned = plan.released(&[]);
        planned.configurations().map(|planned| (planned.ordinal, planned.configuration)).collect()
    };
    let small = plan(SMALL);
    for (seeds, more) in [
        ("5", ""),
        ("3", "noise: { seeds: 4 }\n"),
        ("{ adaptive: { start: 3, step: 3, at_most: 9 } }", "noise: { seeds: 4 }\n"),
    ] {
        let larger = with(seeds, more);
        assert!(trials(&small).is_subset(&trials(&larger)), "{seeds} {more}");
        assert_eq!(places(&small), places(&larger));
        assert_ne!(small.spec().digest().unwrap(), larger.spec().digest().unwrap());
    }
}

#[test]
fn a_choice_is_made_on_the_seeds_that_are_named() {
    let text = SMALL.replace("keep: best_if_significant", "keep: best, choose_on: [2, 0]");
    let chosen = spec(&text, &[]);
    assert_eq!((chosen.chose_on(0), chosen.chose_on(1)), (&[2, 0][..], &[][..]));
    assert_eq!(spec(SMALL, &[]).chose_on(0), [0, 1, 2]);
}
