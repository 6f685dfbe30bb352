//! Fixtures of the store's tests: a sweep with one configuration, the epochs and the provenance of its results. The contract
//! suite in the crate and the test programs beside it both include this file, so it imports the store's types from `super`.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use sweep_scheduler::SweepId;
use sweep_spec::dataset::Source;
use sweep_spec::trainer::{EpochMetrics, Origin, Provenance};
use sweep_spec::{Classes, Cnn, Configuration, Dataset, Digest, Protocol, Trial, canonical};

use super::{AttemptKey, ConfigurationRow, NewTrial, PointRow, Preparation, StageRow, Submission, SweepRow};

pub(super) fn trial(seed: u64) -> Trial {
    let source = Source::SyntheticScenes { seed: 1, train_images: 64, test_images: 32 };
    let dataset = Dataset { source, image_size: 32, channels: 3, classes: Classes::Count(8), digest: None };
    Trial::new(Configuration::Cnn(Cnn::default()), seed, Protocol::default(), dataset)
}

/// What its trials share.
pub(super) fn question() -> (Digest, String) {
    let trial = trial(0);
    let shared = serde_json::json!({
        "dataset": trial.dataset, "protocol": trial.protocol, "semantics": trial.semantics,
    });
    let body = canonical::to_string(&shared).unwrap();
    (Digest::of(body.as_bytes()), body)
}

pub(super) fn stage(sweep: SweepId, position: u32, name: &str, trials_at_most: u64) -> StageRow {
    StageRow { sweep, position, name: name.to_owned(), trials_at_most, keep_best: true }
}

/// The rows of a sweep with one stage, whose configuration has these seeds.
pub(super) fn preparation(sweep: SweepId, seeds: Range<u64>) -> Preparation {
    let row = SweepRow {
        id: sweep,
        name: "test".into(),
        spec: b"version: 1".to_vec(),
        overrides: vec![("a.b".into(), "1".into())],
        spec_digest: Digest::of(b"spec"),
        submitter: "somebody".into(),
        priority: -2,
        weight: 3,
        trial_limit: u64::MAX,
        dataset_key: Digest::of(b"dataset"),
        pin: None,
        submitted_ms: 7,
        submission: Submission { fresh: true, reproduces: None, revision: "0123-dirty".into() },
    };
    let configuration = trial(0).configuration;
    let body: Arc<str> = canonical::to_string(&configuration).unwrap().into();
    let new = |seed| NewTrial {
        id: trial(seed).id().unwrap(),
        sweep,
        configuration: 0,
        seed,
        question: question().0,
        body: Arc::clone(&body),
    };
    Preparation {
        afresh: None,
        sweep: Some(row),
        stages: vec![stage(sweep, 0, "one", seeds.end - seeds.start)],
        questions: vec![question()],
        configurations: vec![ConfigurationRow {
            sweep,
            position: 0,
            name: String::new(),
            label: "baseline".into(),
            configuration,
            params: 1,
            flops: 2,
            cost: 3,
            memory_bytes: 4,
            baseline: true,
        }],
        stage_configurations: vec![(sweep, 0, 0)],
        trials: seeds.map(new).collect(),
    }
}

pub(crate) fn epoch(epoch: u32) -> EpochMetrics {
    EpochMetrics::from_numbers(epoch, [0.1 + f64::from(epoch), 0.2, 0.3, 0.4, 1e-7, 0.5, 600.0])
}

/// Points of the attempt `key`; each sequence number is also the epoch.
pub(crate) fn points(key: i64, sequences: RangeInclusive<u64>) -> Vec<PointRow> {
    let point = |sequence| PointRow { attempt: AttemptKey(key), sequence, metrics: epoch(sequence as u32) };
    sequences.map(point).collect()
}

pub(super) fn provenance() -> Provenance {
    Provenance {
        params: 5,
        images_per_second: 1.5,
        seconds: 2.5,
        peak_memory_bytes: 6,
        data_digest: Digest::of(b"data"),
        split_digest: Digest::of(b"split"),
        device: "cpu".into(),
        device_name: "a name".into(),
        instruction_set: "avx2".into(),
        trainer: "test 1".into(),
        threads: 2,
        origin: Origin::default(),
    }
}
