//! Studies for tests: a baseline, changes, and the result of each under each seed.

use std::sync::Arc;

use sweep_spec::spec::Limits;
use sweep_spec::trainer::{EpochMetrics, Validation};
use sweep_spec::{Configuration, Digest, Outcome, Spec, TrialId};

use crate::study::{Answer, Group, GroupKind, Made, Replicate, State, Study, Subject};

/// A study of one stage, `width`, unless `more` contains other stages.
pub(crate) fn spec(more: &str) -> Spec {
    let stages = if more.contains("stages:") { "" } else { "stages: [{ name: width, vary: { filters: [4, 8] } }]" };
    let text = format!(
        "
version: 1
name: test
dataset: {{ kind: synthetic_scenes, seed: 1, train_images: 64, test_images: 32, image_size: 32, channels: 3, classes: 8 }}
seeds: [0, 1]
baseline: {{ family: cnn }}
{stages}
{more}
"
    );
    Spec::parse(text.as_bytes(), &[], &Limits::default()).unwrap()
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

fn made() -> Arc<Made> {
    Arc::new(Made {
        data_digest: Digest::of(b"data"),
        split_digest: Digest::of(b"split"),
        device: "cpu".into(),
        device_name: "test".into(),
        instruction_set: "avx2".into(),
        trainer: "test 1".into(),
        threads: 1,
        protocol_digest: None,
    })
}

/// A converged replicate; the best epoch is a tenth above the last.
pub(crate) fn replicate(seed: u64, accuracy: f64) -> Replicate {
    let (last, best) = (Some(epoch(3, accuracy)), Some(epoch(2, accuracy + 0.1)));
    Replicate {
        seed,
        trial: TrialId::of(b""),
        state: State::Succeeded,
        reused: false,
        noise: false,
        answer: Some(Answer { outcome: Outcome::Converged, last, best, seconds: 3.0, made: made(), test: None }),
    }
}

pub(crate) fn diverged(seed: u64, accuracy: f64) -> Replicate {
    let mut replicate = replicate(seed, accuracy);
    if let Some(answer) = &mut replicate.answer {
        answer.outcome = Outcome::Diverged;
    }
    replicate
}

/// A replicate without an answer.
pub(crate) fn without(seed: u64, state: State) -> Replicate {
    Replicate { state, answer: None, ..replicate(seed, 0.0) }
}

/// Converged replicates under the seeds 0, 1, ...
pub(crate) fn replicates(accuracies: &[f64]) -> Vec<Replicate> {
    (0..).zip(accuracies).map(|(seed, accuracy)| replicate(seed, *accuracy)).collect()
}

/// A configuration of the first group; the one at position 0 is the baseline.
pub(crate) fn subject(position: u32, params: u64, mut replicates: Vec<Replicate>) -> Subject {
    for replicate in &mut replicates {
        replicate.trial = trial(position, replicate.seed);
    }
    Subject {
        position,
        name: String::new(),
        label: if position == 0 { "baseline".into() } else { format!("c{position}") },
        configuration: Configuration::Cnn(sweep_spec::Cnn::default()),
        groups: vec![0],
        baseline: position == 0,
        params,
        flops: params,
        replicates,
    }
}

/// The trial of a subject under a seed.
pub(crate) fn trial(position: u32, seed: u64) -> TrialId {
    TrialId::of(format!("{position} {seed}").as_bytes())
}

/// A group of the plan that is over, starting from the subject at `start`.
pub(crate) fn group(stage: usize, name: &str, start: u32) -> Group {
    Group {
        name: name.into(),
        kind: GroupKind::Stage(stage),
        start: Some(start),
        start_label: String::new(),
        winner: None,
        chose_on: Vec::new(),
        ended: true,
    }
}

/// A study of one stage that starts from the baseline.
pub(crate) fn study(spec: Spec, subjects: Vec<Subject>) -> Study {
    let groups = vec![group(0, "width", 0)];
    Study { spec, groups, subjects, validations: Default::default(), classes: Vec::new() }
}

/// Predictions for images of two classes: `right` of `each` are correct in the first class and in the second.
pub(crate) fn validation(each: usize, right: [usize; 2]) -> Validation {
    let mut said = Validation { labels: vec![], predicted: vec![], confidence: vec![], confusion: vec![0; 4] };
    for (class, right) in right.into_iter().enumerate() {
        for image in 0..each {
            let predicted = if image < right { class } else { 1 - class };
            said.labels.push(class as u16);
            said.predicted.push(predicted as u16);
            said.confidence.push(0.9);
            said.confusion[class * 2 + predicted] += 1;
        }
    }
    said
}
