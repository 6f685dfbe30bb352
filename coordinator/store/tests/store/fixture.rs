//! A sweep of one configuration, as it is prepared: what tests of the store begin with. The contract suite within the crate and
//! the test programs beside it have this file both, so it takes the names of the store from whichever has it.

use std::ops::Range;
use std::sync::Arc;

use sweep_scheduler::SweepId;
use sweep_spec::dataset::Source;
use sweep_spec::{Classes, Cnn, Configuration, Dataset, Digest, Protocol, Trial, canonical};

use super::{ConfigurationRow, NewTrial, Preparation, StageRow, Submission, SweepRow};

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
