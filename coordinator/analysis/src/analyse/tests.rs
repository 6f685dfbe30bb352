//! The rules of verdicts, one by one, on studies made by hand.

use std::sync::Arc;

use sweep_spec::Digest;

use super::*;
use crate::fixtures::{diverged, group, replicate, replicates, spec, study, subject, trial, validation, without};
use crate::result::Verdict;
use crate::study::{GroupKind, State};

/// Accuracies around `middle` that go up and down with the seed in the same way for all.
fn around(middle: f64, shift: f64, seeds: u64) -> Vec<crate::study::Replicate> {
    let value = |seed: u64| middle + shift * (1.0 + 0.1 * (seed % 3) as f64) + 0.01 * ((seed * 7) % 5) as f64;
    (0..seeds).map(|seed| replicate(seed, value(seed))).collect()
}

/// A baseline, and three changes: one helps under every seed, one hurts, and one does either.
fn clear(seeds: u64) -> Study {
    let mut either = around(0.7, 0.0, seeds);
    for one in &mut either {
        let value = one.answer.as_ref().unwrap().last.unwrap().val_accuracy;
        *one = replicate(one.seed, value + if one.seed.is_multiple_of(2) { 0.01 } else { -0.012 });
    }
    study(
        spec(""),
        vec![
            subject(0, 1, around(0.7, 0.0, seeds)),
            subject(1, 2, around(0.7, 0.1, seeds)),
            subject(2, 3, around(0.7, -0.1, seeds)),
            subject(3, 4, either),
        ],
    )
}

fn verdicts(analysis: &Analysis) -> Vec<(u32, Verdict)> {
    analysis.comparisons.iter().map(|one| (one.position, one.verdict.clone())).collect()
}

fn plain(study: &Study) -> Analysis {
    analyse(study, &Request::default())
}

#[test]
fn a_change_helps_or_hurts_by_the_corrected_exact_test_and_else_no_difference_is_shown() {
    let analysis = plain(&clear(8));
    let expected = [(1, Verdict::Helps), (2, Verdict::Hurts), (3, Verdict::NoDifferenceShown)];
    assert_eq!(verdicts(&analysis), expected);
    let helps = &analysis.comparisons[0];
    let test = helps.test.unwrap();
    assert!(test.exact && test.p == 2.0 / 256.0 && helps.adjusted_p == Some(3.0 * 2.0 / 256.0));
    assert!(helps.delta.unwrap() > 0.1 && helps.t_interval.unwrap().low > 0.0 && helps.bca_interval.is_some());
    let open = &analysis.comparisons[2];
    assert!(
        open.more_seeds.unwrap() > 0
            && open.sentence().contains("more seeds would make a difference of this size significant")
    );
    assert_eq!((helps.reference, helps.group, helps.pairs.len()), (0, Some(0), 8));
}

#[test]
fn less_is_better_for_a_minimised_metric() {
    let request = Request { metric: Some(Metric::ValLoss), ..Request::default() };
    let analysis = analyse(&clear(8), &request);
    assert_eq!(verdicts(&analysis)[..2], [(1, Verdict::Helps), (2, Verdict::Hurts)]);
    assert!(analysis.comparisons[0].delta.unwrap() < 0.0);
}

#[test]
fn holm_over_the_family_decides_and_neither_t_nor_the_bootstrap() {
    // Six pairs: p = 0.03125 alone, and 0.09375 as one of three. The t interval is far from zero.
    let analysis = plain(&clear(6));
    let one = &analysis.comparisons[0];
    assert_eq!((one.test.unwrap().p, one.adjusted_p), (0.03125, Some(0.09375)));
    assert!(one.t_interval.unwrap().low > 0.05);
    assert_eq!(one.verdict, Verdict::NoDifferenceShown);
    assert!(analysis.notes.iter().any(|note| note
        == "with 6 seeds no comparison of val_accuracy can be significant (3 comparisons need at least 7 seeds)"));
}

#[test]
fn false_discovery_is_shown_on_request_and_never_decides() {
    let request = Request { correction: Correction::BenjaminiHochberg, ..Request::default() };
    let analysis = analyse(&clear(6), &request);
    let one = &analysis.comparisons[0];
    assert!(one.false_discovery_p.unwrap() < 0.05 && one.verdict == Verdict::NoDifferenceShown);
    assert_eq!(plain(&clear(6)).comparisons[0].false_discovery_p, None);
}

#[test]
fn a_diverged_replicate_keeps_a_configuration_out_of_every_test() {
    let mut study = clear(8);
    study.subjects[1].replicates[3] = diverged(3, 0.9);
    study.subjects[1].replicates[5] = diverged(5, 0.9);
    let analysis = plain(&study);
    let one = &analysis.comparisons[0];
    assert_eq!(one.verdict, Verdict::Open("2 of 8 diverged".into()));
    assert!(one.test.is_none() && one.adjusted_p.is_none() && one.t_interval.is_none());
    assert_eq!((one.pairs.len(), one.delta.is_some()), (6, true), "what there is, is shown");
    assert_eq!(analysis.comparisons[1].adjusted_p, Some(3.0 * 2.0 / 256.0), "it counts in the family");
    let excluded: Vec<_> = analysis.excluded.iter().map(|one| (one.position, one.seed, one.reason.as_str())).collect();
    assert_eq!(excluded, [(1, Some(3), "diverged"), (1, Some(5), "diverged")]);
    assert_eq!(analysis.standings.last().unwrap().rank, None);
}

#[test]
fn failed_cancelled_and_unfinished_trials_are_excluded_with_the_reason() {
    let mut study = clear(8);
    study.subjects[1].replicates[0] = without(0, State::Failed("out of memory".into()));
    study.subjects[2].replicates[0] = without(0, State::Running);
    study.subjects[3].replicates[0] = without(0, State::Cancelled);
    let analysis = plain(&study);
    let open: Vec<_> = verdicts(&analysis).into_iter().map(|(_, verdict)| verdict).collect();
    let reasons = ["1 of 8 failed", "1 of 8 not ended", "1 of 8 cancelled"].map(|text| Verdict::Open(text.into()));
    assert_eq!(open, reasons);
    let excluded: Vec<_> = analysis.excluded.iter().map(|one| (one.position, one.seed, one.reason.as_str())).collect();
    assert_eq!(
        excluded,
        [(1, Some(0), "failed: out of memory"), (2, None, "1 of 8 not ended"), (3, Some(0), "cancelled")]
    );
}

#[test]
fn a_reference_that_cannot_be_tested_leaves_everything_open_and_is_named() {
    let mut study = clear(8);
    study.subjects[0].replicates[0] = diverged(0, 0.5);
    let analysis = plain(&study);
    let reason = "`baseline`, the reference: 1 of 8 diverged";
    assert!(analysis.comparisons.iter().all(|one| one.verdict == Verdict::Open(reason.into())));
}

#[test]
fn unequal_data_and_splits_are_refused_within_a_seed() {
    let mut study = clear(8);
    let made = |study: &mut Study, place: usize| {
        Arc::make_mut(&mut study.subjects[1].replicates[place].answer.as_mut().unwrap().made).split_digest =
            Digest::of(b"another");
    };
    made(&mut study, 4);
    let analysis = plain(&study);
    let reason = "the two configurations were trained on different splits under seed 4, so they cannot be compared";
    assert_eq!(analysis.comparisons[0].verdict, Verdict::Open(reason.into()));
    assert!(analysis.comparisons[0].pairs.is_empty());
    let refused = compare(&study, &Request::default(), 1, 0).unwrap_err();
    assert_eq!(refused.to_string(), reason);
    // Under that seed, all configurations have the same other split.
    for subject in &mut study.subjects {
        Arc::make_mut(&mut subject.replicates[4].answer.as_mut().unwrap().made).split_digest = Digest::of(b"another");
    }
    assert_eq!(plain(&study).comparisons[0].verdict, Verdict::Helps);
    Arc::make_mut(&mut study.subjects[1].replicates[4].answer.as_mut().unwrap().made).data_digest =
        Digest::of(b"other images");
    assert!(
        compare(&study, &Request::default(), 1, 0).unwrap_err().to_string().contains("different data under seed 4")
    );
}

#[test]
fn noise_replicates_make_the_noise_floor_and_enter_nothing_else() {
    let mut study = clear(8);
    let before = plain(&study);
    for seed in 100..110 {
        let mut extra = replicate(seed, 0.7 + 0.03 * (seed % 4) as f64);
        (extra.noise, extra.trial) = (true, trial(0, seed));
        study.subjects[0].replicates.push(extra);
    }
    let after = plain(&study);
    assert_eq!(before.comparisons, after.comparisons);
    assert_eq!(before.standings, after.standings);
    let (few, many) = (before.noise.unwrap(), after.noise.unwrap());
    assert_eq!((few.count, many.count, many.pairs), (8, 18, 8));
    let values: Vec<f64> = study.subjects[0]
        .replicates
        .iter()
        .map(|one| one.answer.as_ref().unwrap().last.unwrap().val_accuracy)
        .collect();
    let deviation = crate::statistics::estimate(&values).unwrap().standard_deviation.unwrap();
    // t(0.975; 17) = 2.10982.
    assert!((many.half_width - 2.109_815_577_833_181 * deviation * (2.0_f64 / 8.0).sqrt()).abs() < 1e-9);
}

/// The second stage starts from the winner of the first.
fn staged(chose_on: Vec<u64>) -> Study {
    let mut study = clear(8);
    study.spec = spec(
        "stages: [{ name: width, vary: { filters: [4, 8] }, keep: best }, { name: more, vary: { dropout: [0.0, 0.2] } }]",
    );
    study.groups[0].winner = Some(1);
    study.groups[0].chose_on = chose_on;
    study.groups.push(group(1, "more", 1));
    study.subjects[1].groups.push(1);
    let mut better = subject(4, 5, around(0.7, 0.3, 8));
    better.groups = vec![1];
    study.subjects.push(better);
    study
}

#[test]
fn a_comparison_with_a_winner_on_the_seeds_that_chose_it_never_helps() {
    let analysis = plain(&staged((0..8).collect()));
    let won = &analysis.comparisons[0];
    assert_eq!((won.position, won.verdict.clone(), won.after_selection), (1, Verdict::AfterSelection, true));
    assert!(won.delta.is_some() && won.test.is_some() && won.adjusted_p.is_none());
    assert_eq!(won.remark, "`c1` won `width` by these seeds");
    let next = analysis.comparisons.last().unwrap();
    assert_eq!((next.position, next.reference, next.group), (4, 1, Some(1)));
    assert_eq!(next.verdict, Verdict::AfterSelection);
    assert_eq!(analysis.comparisons[1].verdict, Verdict::Hurts, "neither side was chosen");
}

#[test]
fn with_fresh_seeds_only_these_speak() {
    let mut study = staged(vec![0, 1]);
    for subject in &mut study.subjects {
        let more = around(if subject.position == 0 { 0.7 } else { 0.8 }, 0.0, 10);
        if [0, 1].contains(&subject.position) {
            subject.replicates.extend(more.into_iter().skip(8));
        }
    }
    let analysis = plain(&study);
    let won = &analysis.comparisons[0];
    let seeds: Vec<u64> = won.pairs.iter().map(|pair| pair.seed).collect();
    assert_eq!(seeds, [2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!((won.verdict.clone(), won.after_selection), (Verdict::Helps, false));
    assert_eq!(won.remark, "`c1` won `width`: only 8 seeds of 10 counted here, those that did not choose the winner");
}

#[test]
fn the_path_has_the_gain_of_each_stage() {
    let analysis = plain(&staged((0..8).collect()));
    let path = &analysis.stages;
    assert_eq!((path.len(), path[0].start, path[0].winner), (2, Some(0), Some(1)));
    assert!((path[0].gain.unwrap() - analysis.comparisons[0].delta.unwrap()).abs() < 1e-12);
    assert_eq!((path[1].start, path[1].winner, path[1].gain), (Some(1), None, None));
}

#[test]
fn everything_against_the_baseline_is_a_family_of_its_own() {
    let study = staged(Vec::new());
    let request = Request { against_baseline: true, ..Request::default() };
    let analysis = analyse(&study, &request);
    assert!(plain(&study).against_baseline.is_empty());
    let pairs: Vec<_> = analysis.against_baseline.iter().map(|one| (one.position, one.reference)).collect();
    assert_eq!(pairs, [(1, 0), (2, 0), (3, 0), (4, 0)]);
    assert_eq!(analysis.against_baseline[3].adjusted_p, Some(4.0 * 2.0 / 256.0));
}

#[test]
fn any_two_are_compared_as_one_more_of_the_family() {
    let study = clear(8);
    let inside = compare(&study, &Request::default(), 1, 0).unwrap();
    assert_eq!((inside.family, inside.comparison.adjusted_p), (3, plain(&study).comparisons[0].adjusted_p));
    let mirrored = compare(&study, &Request::default(), 0, 1).unwrap();
    assert_eq!((mirrored.family, mirrored.comparison.verdict), (3, Verdict::Hurts));
    let beside = compare(&study, &Request::default(), 1, 2).unwrap();
    assert_eq!((beside.family, beside.comparison.adjusted_p), (4, Some(4.0 * 2.0 / 256.0)));
    assert!(beside.notes.iter().any(|note| note.contains("not one of the sweep's own 3")));
    assert_eq!(compare(&study, &Request::default(), 9, 0).unwrap_err(), Refused::Unknown(9));
    assert_eq!(
        compare(&study, &Request::default(), 1, 1).unwrap_err().to_string(),
        "`c1` cannot be compared with itself"
    );
}

#[test]
fn one_seed_has_no_test_but_mcnemar_s_on_the_same_images() {
    let mut study = clear(1);
    assert!(plain(&study).comparisons[0].images.is_none(), "only where the images are known");
    study.validations.insert(trial(0, 0), validation(10, [4, 5]));
    study.validations.insert(trial(1, 0), validation(10, [10, 5]));
    let analysis = plain(&study);
    let one = &analysis.comparisons[0];
    assert_eq!(one.verdict, Verdict::Open("one seed: a test needs at least two".into()));
    assert!(one.test.is_none());
    let images = one.images.unwrap();
    assert_eq!((images.seed, images.gained, images.lost), (0, 6, 0));
    assert!((images.p - 2.0 / 64.0).abs() < 1e-12);
    assert!(images.sentence().contains("one pair of trained networks, not the methods"));
    // Other images are no pair.
    study.validations.insert(trial(1, 0), validation(9, [9, 5]));
    assert!(plain(&study).comparisons[0].images.is_none());
}

#[test]
fn classes_are_corrected_for_their_number() {
    let mut study = clear(8);
    for seed in 0..8 {
        study.validations.insert(trial(0, seed), validation(20, [10, 10]));
        study.validations.insert(trial(1, seed), validation(20, [14 + seed as usize % 3, 10 + seed as usize % 2]));
    }
    let one = &plain(&study).comparisons[0];
    assert!(one.images.is_none(), "several seeds");
    let [first, second] = one.classes.as_slice() else { panic!("{:?}", one.classes) };
    assert_eq!((first.class, first.adjusted_p, first.verdict.clone()), (0, Some(4.0 / 256.0), Verdict::Helps));
    assert!(first.delta > 0.2);
    assert_eq!((second.class, second.verdict.clone()), (1, Verdict::NoDifferenceShown));
    // A replicate without predictions leaves all classes out.
    study.validations.remove(&trial(1, 7));
    assert!(plain(&study).comparisons[0].classes.is_empty());
}

#[test]
fn configurations_without_a_shown_difference_share_a_rank() {
    let analysis = plain(&clear(10));
    let ranks: Vec<_> = analysis.standings.iter().map(|one| (one.position, one.rank)).collect();
    // The best is alone; the baseline and the change without a difference share a rank; the change that hurts is below.
    assert_eq!(ranks[0], (1, Some(1)));
    assert_eq!(ranks[3], (2, Some(4)));
    assert_eq!((ranks[1].1, ranks[2].1), (Some(2), Some(2)));
}

#[test]
fn the_front_is_what_nothing_beats_in_everything() {
    let analysis = plain(&clear(6));
    let front: Vec<_> = analysis.standings.iter().map(|one| (one.position, one.on_front)).collect();
    // The baseline is the cheapest, 1 the best; 2 and 3 cost more than the baseline and are no better.
    assert!(front.contains(&(0, true)) && front.contains(&(1, true)) && front.contains(&(2, false)));
    let share = |position: u32| analysis.standings.iter().find(|one| one.position == position).unwrap().front_share;
    assert_eq!((share(1), share(2)), (Some(1.0), Some(0.0)));
    assert_eq!(plain(&clear(1)).standings[0].front_share, None);
}

#[test]
fn a_grid_shows_main_effects_and_interactions() {
    let mut study = clear(4);
    study.spec = spec("stages: [{ name: reg, grid: { batch_norm: [false, true], dropout: [0.0, 0.5] } }]");
    study.subjects.truncate(1);
    study.subjects.clear();
    for position in 0..4u32 {
        let (norm, drop) = (position & 1 == 1, position & 2 == 2);
        let value = 0.6 + if norm { 0.1 } else { 0.0 } + if drop { -0.04 } else { 0.0 };
        let mut made = subject(position, 1, replicates(&[value, value + 0.01, value + 0.02, value]));
        made.configuration = sweep_spec::Configuration::Cnn(sweep_spec::Cnn {
            batch_norm: norm,
            dropout: if drop { 0.5 } else { 0.0 },
            ..Default::default()
        });
        study.subjects.push(made);
    }
    let effects = &plain(&study).stages[0].effects;
    let names: Vec<String> = effects.iter().map(|effect| effect.factors.join(" × ")).collect();
    assert_eq!(names, ["batch_norm", "dropout", "batch_norm × dropout"]);
    let sizes: Vec<f64> = effects.iter().map(|effect| (effect.size.unwrap() * 1e6).round() / 1e6).collect();
    assert_eq!(sizes, [0.1, -0.04, 0.0]);
    assert!(effects[0].variance_share > 0.8);
    let says = |analysis: &Analysis, part: &str| analysis.notes.iter().any(|note| note.contains(part));
    assert!(!says(&plain(&study), "not balanced"));
    let grid = effects.clone();
    study.spec = spec("stages: [{ name: reg, pairwise: { batch_norm: [true], dropout: [0.5] } }]");
    assert_eq!(plain(&study).stages[0].effects, grid, "two factors of two levels are all of their pairs");
    study.subjects[3].replicates[0] = diverged(0, 0.5);
    let analysis = plain(&study);
    assert!(says(&analysis, "leave out 1 of 4 configurations") && says(&analysis, "not balanced"));
}

#[test]
fn extras_are_held_against_the_baseline_and_more_seeds_against_nothing() {
    let mut study = clear(8);
    let mut extra = group(0, "extra", 0);
    extra.kind = GroupKind::Extra;
    let mut more = group(0, "more seeds", 0);
    more.kind = GroupKind::MoreSeeds;
    study.groups.extend([extra, more]);
    study.subjects[3].groups = vec![1, 2];
    let analysis = plain(&study);
    assert_eq!(analysis.comparisons.len(), 3);
    assert_eq!((analysis.comparisons[2].position, analysis.comparisons[2].group), (3, Some(1)));
}

#[test]
fn a_stage_without_a_trained_starting_point_is_noted() {
    let mut study = clear(8);
    study.groups[0].start = None;
    study.groups[0].start_label = "filters=8".into();
    let analysis = plain(&study);
    assert!(analysis.comparisons.is_empty());
    let said = "`width`: the starting point (filters=8) was not trained, so the stage has no comparisons";
    assert!(analysis.notes.iter().any(|note| note == said), "{:?}", analysis.notes);
}

#[test]
fn running_trials_count_in_the_family_so_that_their_results_change_no_verdict() {
    let mut study = clear(8);
    study.groups[0].ended = false;
    for replicate in &mut study.subjects[3].replicates {
        *replicate = without(replicate.seed, State::Queued);
    }
    let early = plain(&study);
    assert!(early.notes.iter().any(|note| note.starts_with("the sweep has not ended")));
    let late = plain(&clear(8));
    assert_eq!(early.comparisons[0].adjusted_p, late.comparisons[0].adjusted_p);
}

#[test]
fn other_devices_are_remarked() {
    let mut study = clear(8);
    Arc::make_mut(&mut study.subjects[1].replicates[2].answer.as_mut().unwrap().made).device = "cuda:1".into();
    let one = &plain(&study).comparisons[0];
    assert_eq!(one.remark, "trained on different devices (cuda avx2, cpu avx2 under seed 2)");
    assert_eq!(one.verdict, Verdict::Helps);
}

#[test]
fn a_large_sweep_takes_seconds_and_notes_omissions() {
    let values = |position: u32, seed: u64| 0.5 + f64::from((position * 7919 + seed as u32 * 104_729) % 1000) / 2000.0;
    let one = |position: u32| {
        subject(position, u64::from(position) + 1, (0..5).map(|seed| replicate(seed, values(position, seed))).collect())
    };
    let study = study(spec(""), (0..20_000).map(one).collect());
    let analysis = plain(&study);
    assert_eq!(analysis.comparisons.len(), 19_999);
    assert!(analysis.comparisons.iter().all(|one| one.test.is_some() && one.bca_interval.is_none()));
    for left_out in ["bootstrap intervals are computed", "too many to compare each pair", "share of resamples"] {
        assert!(analysis.notes.iter().any(|note| note.contains(left_out)), "{left_out}: {:?}", analysis.notes);
    }
}

/// Ten configurations without any difference: in how many of many studies is a difference shown?
#[test]
fn studies_without_a_difference_seldom_show_one() {
    let studies = 100;
    let mut wrong = 0;
    for number in 0..studies {
        let mut random = crate::statistics::Random::simulation(number);
        let draw = |position: u32, random: &mut crate::statistics::Random| {
            subject(position, 1, (0..9).map(|seed| replicate(seed, 0.5 + 0.02 * random.normal())).collect())
        };
        let study = study(spec(""), (0..10).map(|position| draw(position, &mut random)).collect());
        let context = Context::new(&study, &Request::default());
        let family = family::stages(&context, &mut Vec::new());
        wrong += u32::from(family.iter().any(|one| matches!(one.verdict, Verdict::Helps | Verdict::Hurts)));
    }
    // 5 % of 100 are 5, with a standard deviation of 2.2.
    assert!(wrong <= 13, "{wrong} of {studies}");
}
