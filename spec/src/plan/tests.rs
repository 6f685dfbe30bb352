//! Plans of small specs, looked at point by point.

use super::*;
use crate::levels::{Factor, Family, Level};
use crate::spec::{Limits, Metric};

pub(super) fn spec(text: &str, overrides: &[(&str, &str)]) -> Spec {
    let overrides: Vec<(String, String)> =
        overrides.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    match Spec::parse(text.as_bytes(), &overrides, &Limits::default()) {
        Ok(spec) => spec,
        Err(problems) => panic!("{problems}"),
    }
}

pub(super) fn plan(text: &str) -> Plan {
    Plan::new(&spec(text, &[]))
}

pub(super) fn labels(plan: &Plan, group: usize, winners: &[Winner]) -> Vec<String> {
    let planned = plan.expand(group, winners).unwrap_or_default();
    planned.iter().map(|planned| planned.label(plan)).collect()
}

const STUDY: &str = "
version: 1
name: scene-cnn
dataset: { kind: image_folder, path: scenes, image_size: 64, channels: 3, classes: 8 }
protocol: { epochs: 100, schedule: { min_learning_rate: 1.0e-6 }, augment: { horizontal_flip: true, shift: 0.1 } }
seeds: [0, 1]
baseline: { family: cnn, conv_layers: 1, filters: 64, kernel_size: 5, dense_layers: 1, dense_units: 1024 }
stages:
  - { name: depth, vary: { conv_layers: [1, 2, 4, 8] }, keep: { conv_layers: 4 } }
  - { name: head,  vary: { dense_layers: [1, 2, 4] },   keep: { dense_layers: 2 } }
  - { name: width, vary: { filters: [32, 64, 128, 256] }, keep: { filters: 256 } }
  - { name: regularization, grid: { max_pool: [false, true], batch_norm: [false, true], dropout: [0.0, 0.2] } }
  - { name: kernel, from: width, set: { dropout: 0.2 }, vary: { kernel_size: [3, 5, 7, 9] } }
extra: [ { name: vgg19, family: vgg19 } ]
objective: { metric: val_accuracy, goal: maximize }
";

/// The same with its keys in another order, in block form, with comments, quotes and other spellings of its numbers.
const STUDY_WRITTEN_OTHERWISE: &str = "
objective:
  goal: maximize   # the default
  metric: \"val_accuracy\"
extra:
  - family: vgg19
    name: vgg19
stages:
  - vary: { conv_layers: [1, 2, 0x4, 8] }
    keep: { conv_layers: 4 }
    name: depth
  - { keep: { dense_layers: 2 }, vary: { dense_layers: [1, 2, 4] }, name: head }
  - { name: width, vary: { filters: [32, 64, 128, 256] }, keep: { filters: 256 } }
  - name: 'regularization'
    grid:
      dropout: [0, 2.0e-1]
      batch_norm: [False, True]
      max_pool: [false, true]
  - { vary: { kernel_size: [3, 5, 7, 9] }, from: width, set: { dropout: .2 }, name: kernel }
baseline: { dropout: 0, dense_layers: 1, kernel_size: 5, conv_layers: 1, family: cnn, max_pool: false }
seeds: 2
protocol:
  augment: { shift: 1.0e-1, horizontal_flip: true }
  schedule: { min_learning_rate: 0.000001, kind: reduce_on_plateau, patience: 10 }
  optimizer: { learning_rate: 1.0e-3 }
dataset: { classes: 8, channels: 3, image_size: 64, path: ./scenes/, kind: image_folder }
name: another name
version: 1
";

#[test]
fn the_study_has_twenty_configurations_and_shares_what_occurs_twice() {
    let plan = plan(STUDY);
    let summary = plan.summary(&[]);
    assert_eq!((summary.configurations, summary.trials, summary.merged), (20, 40, 4));
    assert_eq!(summary.params, Some((79_624, 24_229_960)));
    assert!(!summary.at_most);
    let merged: Vec<u64> = summary.groups.iter().map(|group| group.merged).collect();
    assert_eq!(merged, [0, 1, 1, 1, 1, 0]);
    let released = plan.released(&[]);
    let all: Vec<_> = released.configurations().collect();
    assert_eq!(all[0].label(&plan), "baseline");
    assert_eq!(all[19].label(&plan), "vgg19");
    let shared = all.iter().find(|planned| planned.groups == [2, 3]).unwrap();
    assert_eq!(shared.label(&plan), "conv_layers=4 filters=256 dense_layers=2");
    let again = plan.expand(3, &[]).unwrap();
    assert_eq!(again[0], *shared, "a group shows what it shares under the ordinal of its first release");
}

#[test]
fn neither_the_order_of_keys_nor_their_spelling_changes_the_plan() {
    let (one, other) = (plan(STUDY), plan(STUDY_WRITTEN_OTHERWISE));
    let all = |plan: &Plan| -> Vec<_> { plan.released(&[]).configurations().collect() };
    assert_eq!(all(&one), all(&other));
    let ids = |plan: &Plan| -> Vec<_> {
        all(plan).iter().flat_map(|planned| plan.trial_ids(&planned.configuration).unwrap()).collect()
    };
    assert_eq!(ids(&one), ids(&other));
    let mut different = ids(&one);
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 40);
}

#[test]
fn a_spec_s_digest_is_of_what_it_means() {
    let digest = |text: &str, overrides: &[(&str, &str)]| spec(text, overrides).digest().unwrap();
    let renamed = [("name", "scene-cnn")];
    assert_eq!(digest(STUDY, &[]), digest(STUDY_WRITTEN_OTHERWISE, &renamed));
    for other in [
        ("name", "other"),
        ("seeds", "1"),
        ("weight", "2"),
        ("stages[0].keep", "best"),
        ("stages[4].from", "head"),
        ("stages[2].vary.filters", "[64, 32, 128, 256]"),
        ("extra[0].name", "vgg"),
        ("objective.goal", "minimize"),
    ] {
        assert_ne!(digest(STUDY, &[other]), digest(STUDY, &[]), "{other:?}");
    }
}

#[test]
fn ids_made_at_once_are_the_ids_of_the_trials() {
    let plan = plan(STUDY);
    for planned in plan.released(&[]).configurations() {
        let ids = plan.trial_ids(&planned.configuration).unwrap();
        let seeds = plan.spec().seeds.iter();
        let each: Vec<_> = seeds.map(|&seed| plan.trial(&planned.configuration, seed).id().unwrap()).collect();
        assert_eq!(ids, each);
    }
}

#[test]
fn overrides_change_what_is_planned() {
    let overrides = [
        ("seeds", "3"),
        ("protocol.epochs", "2"),
        ("dataset.path", "other"),
        ("stages[2].vary.filters", "[8, 256]"),
        ("objective.metric", "val_loss"),
        ("objective.goal", "minimize"),
        ("protocol.holdout", "{ fraction: 0.1 }"),
    ];
    let spec = spec(STUDY, &overrides);
    assert_eq!(spec.seeds, [0, 1, 2]);
    assert_eq!(spec.protocol.epochs, 2);
    assert_eq!(spec.protocol.holdout.as_ref().map(|holdout| holdout.seed), Some(0));
    assert_eq!(spec.objective.metric, Metric::ValLoss);
    assert_eq!(Plan::new(&spec).summary(&[]).configurations, 19);
    let wrong = [("protocol.epoch".to_owned(), "2".to_owned())];
    let problems = Spec::parse(STUDY.as_bytes(), &wrong, &Limits::default()).unwrap_err();
    assert_eq!(problems.to_string(), "override: protocol.epoch: unknown key; did you mean `epochs`?");
}

/// Two decisions, one behind the other; a stage beside them; a stage behind the second one, not directly.
const GREEDY: &str = "
version: 1
name: greedy
dataset: { kind: synthetic_scenes, image_size: 32 }
baseline: { family: cnn, filters: 8, kernel_size: 3, dense_units: 16 }
stages:
  - { name: depth, vary: { conv_layers: [1, 2, 6] }, keep: best }
  - { name: width, vary: { filters: [8, 16] }, keep: best }
  - { name: beside, from: baseline, grid: { filters: [8, 16], max_pool: [false, true] }, keep: { max_pool: true } }
  - { name: pooling, from: width, vary: { max_pool: [false, true] } }
  - { name: dropout, vary: { dropout: [0.1, 0.2] } }
extra: [ { name: vgg, family: vgg19 } ]
";

fn winner(plan: &Plan, stage: usize, winners: &[Winner], index: usize) -> Winner {
    let configuration = plan.expand(stage, winners).unwrap()[index].configuration.clone();
    Winner { stage, configuration }
}

#[test]
fn a_group_that_waits_for_a_winner_is_expanded_when_it_is_known() {
    let plan = plan(GREEDY);
    let waits: Vec<_> = plan.groups().iter().map(|group| group.waits_for).collect();
    assert_eq!(waits, [None, Some(0), None, Some(1), Some(1), None]);
    assert_eq!(plan.decisions().collect::<Vec<_>>(), [0, 1]);
    assert_eq!((plan.behind(0), plan.behind(1)), (vec![1, 3, 4], vec![3, 4]));
    assert_eq!(plan.released(&[]).groups(), [0, 2, 5]);
    assert_eq!(plan.expand(1, &[]), None);
    assert_eq!(plan.expand(99, &[]), None);

    let mut winners = vec![winner(&plan, 0, &[], 1)];
    assert_eq!(labels(&plan, 1, &winners), ["conv_layers=2", "conv_layers=2 filters=16"]);
    assert_eq!(plan.expand(3, &winners), None);
    winners.push(winner(&plan, 1, &winners, 1));
    assert_eq!(plan.released(&winners).groups(), [0, 2, 5, 1, 3, 4]);
    assert_eq!(labels(&plan, 3, &winners), ["conv_layers=2 filters=16", "conv_layers=2 filters=16 max_pool=true"]);
    assert_eq!(labels(&plan, 4, &winners)[1], "conv_layers=2 filters=16 dropout=0.2");
    let summary = plan.summary(&winners);
    assert!(!summary.at_most);
    // 3 of depth, 3 more beside, vgg; width has one more than depth; pooling one more than width; dropout two.
    assert_eq!((summary.configurations, summary.merged), (11, 3));
}

#[test]
fn ordinals_stay_whatever_is_decided_later() {
    let plan = plan(GREEDY);
    let first = winner(&plan, 0, &[], 0);
    let second = winner(&plan, 1, std::slice::from_ref(&first), 1);
    let steps = [vec![], vec![first.clone()], vec![first, second]];
    let mut before: Vec<(u64, Configuration)> = Vec::new();
    for winners in &steps {
        let released = plan.released(winners);
        let now: Vec<_> = released.configurations().map(|planned| (planned.ordinal, planned.configuration)).collect();
        assert_eq!(now[..before.len()], before);
        let mut ordinals: Vec<u64> = now.iter().map(|(ordinal, _)| *ordinal).collect();
        ordinals.sort_unstable();
        ordinals.dedup();
        assert_eq!(ordinals.len(), now.len());
        before = now;
    }
    // The stage beside was released first, so what the decided stages share with it has its ordinals.
    let width = plan.expand(1, &steps[1]).unwrap();
    assert_eq!(width[1].ordinal, plan.groups()[2].first_ordinal + 2);
    assert_eq!(width[1].groups, [2, 1]);
}

#[test]
fn a_choice_is_never_revised() {
    let plan = plan(GREEDY);
    let first = winner(&plan, 0, &[], 0);
    let other = winner(&plan, 0, &[], 2);
    let both = [first.clone(), other];
    assert_eq!(plan.expand(1, &both), plan.expand(1, &[first]));
}

#[test]
fn behind_a_decision_the_plan_tells_bounds_that_hold_for_every_winner() {
    let plan = plan(GREEDY);
    let bounds = plan.summary(&[]);
    assert!(bounds.at_most);
    assert_eq!(bounds.groups[1].points, 2);
    assert_eq!(bounds.trials, 3 + 2 + 3 + 2 + 2 + 1);
    for depth in 0..3 {
        let first = winner(&plan, 0, &[], depth);
        for width in 0..2 {
            let second = winner(&plan, 1, std::slice::from_ref(&first), width);
            let decided = plan.summary(&[first.clone(), second]);
            assert!(decided.configurations <= bounds.configurations);
            for (decided, bounds) in decided.groups.iter().zip(&bounds.groups) {
                let (Some(decided), Some(bounds)) = (decided.params, bounds.params) else { continue };
                assert!(bounds.0 <= decided.0 && decided.1 <= bounds.1, "{decided:?} {bounds:?}");
            }
        }
    }
}

#[test]
fn impossible_networks_after_a_decision_are_left_out_and_reported() {
    let plan = plan(GREEDY);
    let deep = winner(&plan, 0, &[], 2);
    let wide = winner(&plan, 1, std::slice::from_ref(&deep), 0);
    let winners = [deep, wide];
    assert_eq!(labels(&plan, 3, &winners), ["conv_layers=6"]);
    let left_out: Vec<_> = plan.released(&winners).left_out(3).collect();
    assert_eq!(left_out.len(), 1);
    assert_eq!(left_out[0].configuration.level(Factor::MaxPool), Some(Level::Bool(true)));
    assert_eq!((left_out[0].reason.pooling, left_out[0].ordinal), (6, plan.groups()[3].first_ordinal + 1));
    let summary = plan.summary(&winners);
    assert_eq!((summary.groups[3].left_out, summary.groups[3].configurations, summary.groups[3].merged), (1, 0, 1));
}

#[test]
fn an_extra_that_a_stage_asks_for_too_is_one_configuration() {
    let text = GREEDY.replace(
        "{ name: vgg, family: vgg19 }",
        "{ name: twin, family: cnn, filters: 8, kernel_size: 3, dense_units: 16 }",
    );
    let plan = plan(&text);
    let twin = &plan.expand(5, &[]).unwrap()[0];
    assert_eq!(
        (twin.groups.as_slice(), twin.label(&plan).as_str(), twin.ordinal),
        ([0, 2, 5].as_slice(), "baseline", 0)
    );
    assert_eq!(Family::Cnn.factors().len(), twin.configuration.levels().len());
}

#[test]
fn a_million_trials_are_summed_up_without_being_kept() {
    let levels = |most: u32| format!("{:?}", (1..=most).collect::<Vec<_>>());
    let grid = format!("{{ filters: {}, dense_units: {}, batch_norm: [false, true] }}", levels(100), levels(50));
    let spec = spec(GREEDY, &[("stages[2].grid", &grid), ("stages[2].keep", "{ filters: 8 }"), ("seeds", "95")]);
    let summary = Plan::new(&spec).summary(&[]);
    assert_eq!(summary.groups[2].configurations, 100 * 50 * 2 - 1);
    assert!(summary.trials > 950_000);
}

/// A stage that starts from later ones, a diamond, and stages that nothing joins.
const GRAPH: &str = "
version: 1
name: graph
dataset: { kind: synthetic_scenes, image_size: 32 }
baseline: { family: cnn, filters: 8, kernel_size: 3, dense_units: 16 }
stages:
  - { name: last, from: right, vary: { dense_units: [16, 32] } }
  - { name: left, from: root, vary: { filters: [8, 16] }, keep: best }
  - { name: right, from: root, vary: { kernel_size: [3, 5] }, keep: best }
  - { name: root, from: baseline, vary: { conv_layers: [1, 2] }, keep: best }
  - { name: alone, from: baseline, list: [ { name: plain }, { name: wide, filters: 64 } ] }
  - { name: behind, from: alone, set: { filters: 64 }, leave_one_out: { filters: 8 } }
";

#[test]
fn stages_start_from_any_stage_and_run_side_by_side() {
    let plan = plan(GRAPH);
    let waits: Vec<_> = plan.groups().iter().map(|group| group.waits_for).collect();
    assert_eq!(waits, [Some(2), Some(3), Some(3), None, None, None]);
    assert_eq!(plan.released(&[]).groups(), [3, 4, 5], "what depends on no decision is released at once");
    assert_eq!((plan.behind(3), plan.behind(2), plan.behind(1)), (vec![0, 1, 2], vec![0], vec![]));
    let root = winner(&plan, 3, &[], 1);
    assert_eq!(plan.released(std::slice::from_ref(&root)).groups(), [3, 4, 5, 1, 2], "both sides at once");
    let right = winner(&plan, 2, std::slice::from_ref(&root), 1);
    let winners = [root, right];
    assert_eq!(plan.released(&winners).groups(), [3, 4, 5, 1, 2, 0]);
    assert_eq!(labels(&plan, 0, &winners)[1], "conv_layers=2 kernel_size=5 dense_units=32");
    let bounds = plan.summary(&[]);
    let decided = plan.summary(&winners);
    assert!(bounds.at_most && !decided.at_most);
    for (decided, bounds) in decided.groups.iter().zip(&bounds.groups) {
        let (Some(decided), Some(bounds)) = (decided.params, bounds.params) else { continue };
        assert!(bounds.0 <= decided.0 && decided.1 <= bounds.1, "{decided:?} {bounds:?}");
    }
}

#[test]
fn a_hand_picked_point_has_its_name_if_nothing_asked_for_it_before() {
    let plan = plan(GRAPH);
    // The root, released before, asked for the plain one, and what has been told without a name stays without one.
    assert_eq!(labels(&plan, 4, &[]), ["baseline", "wide"]);
    let released = plan.released(&[]);
    let wide: Vec<_> = released.configurations().filter(|planned| planned.name.as_deref() == Some("wide")).collect();
    assert_eq!((wide.len(), wide[0].groups.as_slice()), (1, [4, 5].as_slice()));
    assert_eq!(released.tries_start(5), Some(true));
    assert_eq!((released.tries_start(0), released.tries_start(3)), (None, Some(true)));
}

#[test]
fn conditions_are_counted_and_excluded_points_are_reported() {
    let grid = "{ filters: [8, 16], max_pool: [false, true], dropout: [0.0, 0.2] }";
    let keep = "{ filters: 16, max_pool: true }";
    let condition = ("stages[2].where", "filters > 8 or not max_pool");
    let spec = spec(GREEDY, &[("stages[2].grid", grid), condition, ("stages[2].keep", keep)]);
    let plan = Plan::new(&spec);
    assert_eq!((plan.groups()[2].places, plan.groups()[2].points), (8, 6));
    let summary = plan.summary(&[]);
    // The baseline is the depth stage's.
    let beside = &summary.groups[2];
    assert_eq!((beside.points, beside.configurations, beside.merged, beside.excluded), (6, 5, 1, 2));
    assert_eq!(plan.trials_before_merging(), 3 + 2 + 6 + 2 + 2 + 1);
    let ordinals: Vec<u64> = plan.expand(2, &[]).unwrap().iter().skip(1).map(|planned| planned.ordinal - 5).collect();
    assert_eq!(ordinals, [1, 4, 5, 6, 7], "what is excluded leaves its place empty");
    let spec = self::spec(GREEDY, &[("stages[2].grid", grid), ("stages[2].only_if", "{ dropout: max_pool }")]);
    let summary = Plan::new(&spec).summary(&[]);
    let beside = &summary.groups[2];
    assert_eq!((beside.points, beside.configurations, beside.merged, beside.excluded), (8, 5, 3, 0));
}

#[test]
fn behind_a_decision_a_condition_is_asked_when_the_start_is_known() {
    let spec = spec(GREEDY, &[("stages[1].where", "conv_layers < 2 or filters > 8")]);
    let plan = Plan::new(&spec);
    assert_eq!(plan.groups()[1].points, 2, "the most that it can have");
    let shallow = winner(&plan, 0, &[], 0);
    assert_eq!(plan.summary(std::slice::from_ref(&shallow)).groups[1].points, 2);
    let deep = winner(&plan, 0, &[], 1);
    let summary = plan.summary(std::slice::from_ref(&deep));
    assert_eq!((summary.groups[1].points, summary.groups[1].excluded), (1, 1));
    assert_eq!(plan.released(&[deep]).tries_start(1), Some(false));
}
