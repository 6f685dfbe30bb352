//! The leaderboard's rules, one by one, and the reference's own column.

use std::sync::Arc;

use sweep_spec::Digest;

use super::*;
use crate::fixtures::{diverged, replicate, replicates, spec, study, subject, without};

fn order(board: &Leaderboard) -> Vec<(Option<u32>, u32)> {
    board.rows.iter().map(|row| (row.rank, row.position)).collect()
}

#[test]
fn means_and_sample_deviations_are_over_seeds() {
    let two = estimate(&[0.5, 0.7]).unwrap();
    assert!((two.mean - 0.6).abs() < 1e-15);
    assert!((two.standard_deviation.unwrap() - 0.02_f64.sqrt()).abs() < 1e-15);
    assert_eq!(estimate(&[0.5]).unwrap().standard_deviation, None);
    assert_eq!(estimate(&[]), None);
    let values = [0.1, 0.2, 0.3, 0.7, 0.9];
    let mut backwards = values;
    backwards.reverse();
    assert_eq!(estimate(&values), estimate(&backwards));
}

#[test]
fn ties_go_to_fewer_parameters_and_then_to_the_first_in_the_spec() {
    let made = [(9, 0.5), (5, 0.5), (5, 0.5), (5, 0.6)];
    let subjects = (0..).zip(made).map(|(place, (params, value))| subject(place, params, replicates(&[value])));
    let board = leaderboard(&study(spec(""), subjects.collect()), None);
    assert_eq!(order(&board), [(Some(1), 3), (Some(2), 1), (Some(3), 2), (Some(4), 0)]);
    assert!(board.rows[3].baseline);
}

#[test]
fn a_diverged_replicate_is_below_every_converged_one_and_enters_no_mean() {
    let subjects = vec![
        subject(0, 1, replicates(&[0.1, 0.1])),
        subject(1, 1, vec![replicate(0, 0.9), diverged(1, 0.99)]),
        subject(2, 1, vec![replicate(0, 0.95), without(1, State::Failed(String::new()))]),
    ];
    let board = leaderboard(&study(spec(""), subjects), None);
    assert_eq!(order(&board), [(Some(1), 0), (None, 1), (None, 2)]);
    assert_eq!((board.rows[1].remark.as_str(), board.rows[2].remark.as_str()), ("1 of 2 diverged", "1 of 2 failed"));
    let mean = board.rows[1].val_accuracy.unwrap();
    assert_eq!((mean.mean, mean.count), (0.9, 1));
}

#[test]
fn an_unfinished_configuration_has_no_rank_and_a_reason() {
    let subjects = vec![
        subject(0, 1, vec![replicate(0, 0.9), without(1, State::Queued)]),
        subject(1, 1, vec![without(0, State::Running)]),
        subject(2, 1, vec![]),
    ];
    let board = leaderboard(&study(spec(""), subjects), None);
    assert_eq!(order(&board), [(None, 0), (None, 1)], "a configuration without trials is no row");
    assert_eq!(
        (board.rows[0].remark.as_str(), board.rows[1].remark.as_str()),
        ("1 of 2 not ended", "1 of 1 not ended")
    );
    assert_eq!((board.rows[0].counts.queued, board.rows[1].counts.running), (1, 1));
}

#[test]
fn the_protocol_chooses_the_epoch_and_a_choice_on_the_test_set_is_named() {
    let board = |spec| leaderboard(&study(spec, vec![subject(0, 1, replicates(&[0.5]))]), None);
    let last = board(spec(""));
    assert_eq!((last.rows[0].val_accuracy.unwrap().mean, last.notes.len()), (0.5, 0));
    let best = board(spec("protocol: { report: best }"));
    assert_eq!(
        (best.rows[0].val_accuracy.unwrap().mean, best.notes.as_slice()),
        (0.6, &["epoch chosen on the test set".to_owned()][..])
    );
}

#[test]
fn with_a_holdout_the_test_set_is_only_reported_and_noted() {
    let held = || spec("protocol: { report: best, holdout: { fraction: 0.1, seed: 1 } }");
    let board = |replicates| leaderboard(&study(held(), vec![subject(0, 1, replicates)]), None);
    assert_eq!(board(replicates(&[0.5])).notes, ["epoch chosen on the holdout; the test set was not used"]);
    let mut tested = replicate(1, 0.5);
    tested.answer.as_mut().unwrap().test = Some(TestScore { epoch: 2, loss: 1.5, accuracy: 0.25 });
    assert_eq!(
        board(vec![tested.clone()]).notes,
        ["epoch chosen on the holdout; the test set was used for reporting only"]
    );
    let mut some = board(vec![replicate(0, 0.5), tested]);
    assert_eq!(
        some.notes,
        ["epoch chosen on the holdout; the test set was used for reporting only, for 1 of 2 trials"]
    );
    let row = some.rows.remove(0);
    let (accuracy, loss) = (row.test_accuracy.unwrap(), row.test_loss.unwrap());
    assert_eq!((accuracy.mean, accuracy.count, loss.mean), (0.25, 1, 1.5));
}

#[test]
fn answers_under_two_protocols_are_not_compared_and_an_unknown_one_is_no_other() {
    let notes = |one: Option<&[u8]>, other: Option<&[u8]>| {
        let mut study = study(spec(""), vec![subject(0, 1, replicates(&[0.5])), subject(1, 1, replicates(&[0.9]))]);
        for (subject, protocol) in study.subjects.iter_mut().zip([one, other]) {
            Arc::make_mut(&mut subject.replicates[0].answer.as_mut().unwrap().made).protocol_digest =
                protocol.map(Digest::of);
        }
        leaderboard(&study, None).notes
    };
    assert!(notes(Some(b"a"), Some(b"a")).is_empty() && notes(Some(b"a"), None).is_empty());
    assert!(notes(Some(b"a"), Some(b"b"))[0].contains("cannot be compared"));
}

#[test]
fn another_metric_ranks_its_own_way() {
    let study = study(spec(""), vec![subject(0, 1, replicates(&[0.5])), subject(1, 1000, replicates(&[0.9]))]);
    let by = |metric| order(&leaderboard(&study, Some(metric)))[0].1;
    assert_eq!((by(Metric::ValLoss), by(Metric::ValAccuracy), by(Metric::Ratio)), (1, 1, 0));
}

#[test]
fn unequal_data_are_not_compared_and_mixed_devices_are_named() {
    let mut study = study(spec(""), vec![subject(0, 1, replicates(&[0.5])), subject(1, 1, replicates(&[0.9]))]);
    Arc::make_mut(&mut study.subjects[1].replicates[0].answer.as_mut().unwrap().made).device = "cuda:0".into();
    let mixed = leaderboard(&study, None);
    assert!(mixed.notes[0].contains("different devices (cpu, cuda; avx2)") && mixed.rows[0].rank.is_some());
    Arc::make_mut(&mut study.subjects[1].replicates[0].answer.as_mut().unwrap().made).split_digest =
        Digest::of(b"another");
    let unequal = leaderboard(&study, None);
    assert!(unequal.notes[0].contains("cannot be compared"));
    assert!(unequal.rows.iter().all(|row| row.rank.is_none()));
    study.subjects[1].replicates[0].seed = 1;
    assert!(leaderboard(&study, None).rows[0].rank.is_some(), "a split may depend on the seed");
}

/// Each six-digit accuracy is first restored to the fraction that it was rounded from.
#[test]
fn the_reference_ratios_come_out_to_their_printed_digits() {
    let mut seen = 0;
    for line in include_str!("../../../spec/tests/reference.csv").lines().skip(1) {
        let values: Vec<&str> = line.split(',').collect();
        let (params, accuracy, printed) = (values[10].parse().unwrap(), values[11], values[15]);
        let mut train: f64 = accuracy.parse().unwrap();
        if accuracy.len() == "0.613503".len() {
            train = f64::from(((train * 1881.0).round() / 1881.0) as f32);
        }
        let board = leaderboard(&study(spec(""), vec![subject(0, params, replicates(&[train]))]), None);
        let (digits, exponent) = printed.split_once('e').unwrap();
        let decimals = digits.split_once('.').unwrap().1.len();
        let ours = format!("{:.decimals$e}", board.rows[0].ratio.unwrap().mean);
        assert_eq!(ours, format!("{digits}e{}", exponent.parse::<i32>().unwrap()), "{line}");
        seen += 1;
    }
    assert_eq!(seen, 19);
}
