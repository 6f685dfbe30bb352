//! The leaderboard's rules, one by one, and the reference's own column.

use sweep_spec::trainer::Provenance;
use sweep_spec::{Cnn, Configuration, Digest};

use super::*;
use crate::store::record::ResultRecord;

fn spec(more: &str) -> Spec {
    let text = format!(
        "
version: 1
name: test
dataset: {{ kind: synthetic_scenes, seed: 1, train_images: 64, test_images: 32, image_size: 32, channels: 3, classes: 8 }}
seeds: [0, 1]
baseline: {{ family: cnn }}
stages: [{{ name: width, vary: {{ filters: [4, 8] }} }}]
{more}
"
    );
    Spec::parse(text.as_bytes(), &[], &sweep_spec::spec::Limits::default()).unwrap()
}

fn configuration(position: u32, params: u64) -> ConfigurationRecord {
    ConfigurationRecord {
        position,
        name: String::new(),
        label: format!("c{position}"),
        configuration: Configuration::Cnn(Cnn::default()),
        params,
        flops: 1,
        cost: 1,
        memory_bytes: 1,
        baseline: position == 0,
        stages: vec![0],
    }
}

fn epoch(epoch: u32, accuracy: f64) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.0 - accuracy,
        train_accuracy: accuracy,
        val_loss: 1.0 - accuracy,
        val_accuracy: accuracy,
        learning_rate: 0.001,
        seconds: 1.0,
        images_per_second: 1.0,
    }
}

fn made() -> Provenance {
    Provenance {
        params: 1,
        images_per_second: 1.0,
        seconds: 3.0,
        peak_memory_bytes: 1,
        data_digest: Digest::of(b"data"),
        split_digest: Digest::of(b"split"),
        device: "cpu".into(),
        device_name: "test".into(),
        instruction_set: "avx2".into(),
        trainer: "test 1".into(),
        threads: 1,
        origin: Default::default(),
    }
}

fn replicate(configuration: u32, seed: u64, accuracy: f64) -> Replicate {
    let (last, best) = (Some(epoch(3, accuracy)), Some(epoch(2, accuracy + 0.1)));
    Replicate {
        configuration,
        seed,
        trial: TrialId::of(format!("{configuration} {seed}").as_bytes()),
        state: Some(RoundState::Succeeded),
        running: false,
        reused: false,
        result: Some(ResultRecord { outcome: Outcome::Converged, last, best, provenance: made(), test: None }),
    }
}

fn diverged(configuration: u32, seed: u64, accuracy: f64) -> Replicate {
    let mut replicate = replicate(configuration, seed, accuracy);
    replicate.result.as_mut().unwrap().outcome = Outcome::Diverged;
    replicate
}

fn order(board: &Leaderboard) -> Vec<(Option<u32>, u32)> {
    board.rows.iter().map(|row| (row.rank, row.position)).collect()
}

#[test]
fn means_and_sample_deviations_are_over_seeds() {
    let estimate = Estimate::of(&[0.5, 0.7]).unwrap();
    assert!((estimate.mean - 0.6).abs() < 1e-15);
    assert!((estimate.standard_deviation.unwrap() - 0.02_f64.sqrt()).abs() < 1e-15);
    assert_eq!(Estimate::of(&[0.5]).unwrap().standard_deviation, None);
    assert_eq!(Estimate::of(&[]), None);
    let values = [0.1, 0.2, 0.3, 0.7, 0.9];
    let mut backwards = values;
    backwards.reverse();
    assert_eq!(Estimate::of(&values), Estimate::of(&backwards));
}

#[test]
fn ties_go_to_fewer_parameters_and_then_to_the_first_in_the_spec() {
    let configurations = [configuration(0, 9), configuration(1, 5), configuration(2, 5), configuration(3, 5)];
    let replicates = [replicate(0, 0, 0.5), replicate(1, 0, 0.5), replicate(2, 0, 0.5), replicate(3, 0, 0.6)];
    let board = leaderboard(&spec(""), None, &configurations, &replicates);
    assert_eq!(order(&board), [(Some(1), 3), (Some(2), 1), (Some(3), 2), (Some(4), 0)]);
    assert!(board.rows[3].baseline);
}

#[test]
fn a_diverged_replicate_is_below_every_converged_one_and_enters_no_mean() {
    let configurations = [configuration(0, 1), configuration(1, 1), configuration(2, 1)];
    let mut failed = replicate(2, 1, 0.9);
    (failed.state, failed.result) = (Some(RoundState::Failed), None);
    let replicates = [
        replicate(0, 0, 0.1),
        replicate(0, 1, 0.1),
        replicate(1, 0, 0.9),
        diverged(1, 1, 0.99),
        replicate(2, 0, 0.95),
        failed,
    ];
    let board = leaderboard(&spec(""), None, &configurations, &replicates);
    assert_eq!(order(&board), [(Some(1), 0), (None, 1), (None, 2)]);
    assert_eq!((board.rows[1].remark.as_str(), board.rows[2].remark.as_str()), ("1 of 2 diverged", "1 of 2 failed"));
    let mean = board.rows[1].val_accuracy.unwrap();
    assert_eq!((mean.mean, mean.count), (0.9, 1));
}

#[test]
fn an_unfinished_configuration_has_no_rank_and_says_why() {
    let configurations = [configuration(0, 1), configuration(1, 1), configuration(2, 1)];
    let mut waits = replicate(0, 1, 0.0);
    (waits.state, waits.result) = (None, None);
    let mut runs = waits.clone();
    (runs.configuration, runs.running, runs.state) = (1, true, Some(RoundState::Open));
    let replicates = [replicate(0, 0, 0.9), waits, runs];
    let board = leaderboard(&spec(""), None, &configurations, &replicates);
    assert_eq!(order(&board), [(None, 0), (None, 1)], "a configuration without trials is no row");
    assert_eq!(
        (board.rows[0].remark.as_str(), board.rows[1].remark.as_str()),
        ("1 of 2 not ended", "1 of 1 not ended")
    );
    assert_eq!((board.rows[0].counts.queued, board.rows[1].counts.running), (1, 1));
}

#[test]
fn the_protocol_chooses_the_epoch_and_a_choice_on_the_test_set_is_named() {
    let configurations = [configuration(0, 1)];
    let replicates = [replicate(0, 0, 0.5)];
    let last = leaderboard(&spec(""), None, &configurations, &replicates);
    assert_eq!((last.rows[0].val_accuracy.unwrap().mean, last.notes.len()), (0.5, 0));
    let best = spec("protocol: { report: best }");
    let best = leaderboard(&best, None, &configurations, &replicates);
    assert_eq!(
        (best.rows[0].val_accuracy.unwrap().mean, best.notes.as_slice()),
        (0.6, &["epoch chosen on the test set".to_owned()][..])
    );
    let held = spec("protocol: { report: best, holdout: { fraction: 0.1, seed: 1 } }");
    let notes = |replicates: &[Replicate]| leaderboard(&held, None, &configurations, replicates).notes;
    assert_eq!(notes(&replicates), ["epoch chosen on the holdout; the test set was not looked at"]);
    let mut tested = replicate(0, 1, 0.5);
    tested.result.as_mut().unwrap().test = Some(TestScore { epoch: 2, loss: 1.5, accuracy: 0.25 });
    assert_eq!(notes(&[tested.clone()]), ["epoch chosen on the holdout; the test set only reports"]);
    let some = [replicate(0, 0, 0.5), tested];
    assert_eq!(notes(&some), ["epoch chosen on the holdout; the test set only reports, for 1 of 2 trials"]);
    let row = leaderboard(&held, None, &configurations, &some).rows.remove(0);
    let (accuracy, loss) = (row.test_accuracy.unwrap(), row.test_loss.unwrap());
    assert_eq!((accuracy.mean, accuracy.count, loss.mean), (0.25, 1, 1.5));
}

#[test]
fn splits_may_differ_between_seeds_and_not_within_one() {
    let configurations = [configuration(0, 1), configuration(1, 1)];
    let split = |configuration, seed, split: &[u8]| {
        let mut replicate = replicate(configuration, seed, 0.5);
        replicate.result.as_mut().unwrap().provenance.split_digest = Digest::of(split);
        replicate
    };
    let fair = [split(0, 0, b"a"), split(0, 1, b"b"), split(1, 0, b"a"), split(1, 1, b"b")];
    let board = leaderboard(&spec(""), None, &configurations, &fair);
    assert!(board.notes.is_empty() && board.rows.iter().all(|row| row.rank.is_some()));
    let unfair = [split(0, 0, b"a"), split(0, 1, b"b"), split(1, 0, b"b"), split(1, 1, b"a")];
    assert!(leaderboard(&spec(""), None, &configurations, &unfair).notes[0].contains("cannot be compared"));
}

#[test]
fn answers_under_two_protocols_are_not_compared_and_an_unknown_one_is_no_other() {
    let configurations = [configuration(0, 1), configuration(1, 1)];
    let under = |configuration, protocol: Option<&[u8]>| {
        let mut replicate = replicate(configuration, 0, 0.5);
        replicate.result.as_mut().unwrap().provenance.origin.protocol_digest = protocol.map(Digest::of);
        replicate
    };
    let notes = |one, other| leaderboard(&spec(""), None, &configurations, &[under(0, one), under(1, other)]).notes;
    assert!(notes(Some(b"a"), Some(b"a")).is_empty() && notes(Some(b"a"), None).is_empty());
    assert!(notes(Some(b"a"), Some(b"b"))[0].contains("cannot be compared"));
}

#[test]
fn another_metric_ranks_its_own_way() {
    let configurations = [configuration(0, 1), configuration(1, 1000)];
    let replicates = [replicate(0, 0, 0.5), replicate(1, 0, 0.9)];
    let spec = spec("");
    let by = |metric| order(&leaderboard(&spec, Some(metric), &configurations, &replicates))[0].1;
    assert_eq!((by(Metric::ValLoss), by(Metric::ValAccuracy), by(Metric::Ratio)), (1, 1, 0));
}

#[test]
fn unequal_data_are_not_compared_and_mixed_devices_are_named() {
    let configurations = [configuration(0, 1), configuration(1, 1)];
    let mut other = replicate(1, 0, 0.9);
    other.result.as_mut().unwrap().provenance.device = "cuda:0".into();
    let spec = spec("");
    let mixed = leaderboard(&spec, None, &configurations, &[replicate(0, 0, 0.5), other.clone()]);
    assert!(mixed.notes[0].contains("different devices (cpu, cuda; avx2)") && mixed.rows[0].rank.is_some());
    other.result.as_mut().unwrap().provenance.split_digest = Digest::of(b"another");
    let unequal = leaderboard(&spec, None, &configurations, &[replicate(0, 0, 0.5), other]);
    assert!(unequal.notes[0].contains("cannot be compared"));
    assert!(unequal.rows.iter().all(|row| row.rank.is_none()));
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
        let board = leaderboard(&spec(""), None, &[configuration(0, params)], &[replicate(0, 0, train)]);
        let (digits, exponent) = printed.split_once('e').unwrap();
        let decimals = digits.split_once('.').unwrap().1.len();
        let ours = format!("{:.decimals$e}", board.rows[0].ratio.unwrap().mean);
        assert_eq!(ours, format!("{digits}e{}", exponent.parse::<i32>().unwrap()), "{line}");
        seen += 1;
    }
    assert_eq!(seen, 19);
}
