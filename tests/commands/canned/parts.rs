//! The messages that the canned coordinator's answers are made of.

use sweep_proto::v1::*;
use tonic::Status;

use super::HOSTILE;
use super::findings::{comparison, open_comparison};

pub(super) fn id(digit: u8) -> tonic::codegen::Bytes {
    vec![digit; 32].into()
}

pub(super) fn metrics(epoch: u32) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.0 / f64::from(epoch),
        train_accuracy: 0.870_282,
        val_loss: 0.477_707,
        val_accuracy: 0.846_344,
        learning_rate: 0.001,
        seconds: 2.5,
        images_per_second: 752.4,
    }
}

pub(super) fn counts() -> TrialCounts {
    TrialCounts { queued: 1, running: 1, succeeded: 3, diverged: 1, failed: 1, ..Default::default() }
}

pub(super) fn accuracy() -> PredictionAccuracy {
    let device = "a processor (avx2), 1 thread".to_owned();
    PredictionAccuracy { device, trials: 18, median: 0.08, worst: 0.31, within: 0.9 }
}

pub(super) fn cost() -> Cost {
    let about = |expected: f64| Some(Prediction { expected, low: expected * 0.8, high: expected * 1.3 });
    Cost {
        spent_slot_seconds: 1800.0,
        left_slot_seconds: about(360.0),
        end_seconds: about(185.0),
        price_per_hour: "2.5usd".into(),
        budget: "2h".into(),
        budget_slot_seconds: Some(7200.0),
        left_out_seeds: vec![4, 5],
        left_out_trials: 0,
        on_gpus: true,
        accuracy: vec![accuracy()],
    }
}

pub(super) fn sweep(reference: Option<SweepReference>) -> Result<SweepStatus, Status> {
    let running = RunningTrial {
        trial_id: id(0xab),
        configuration: "filters=64".into(),
        seed: 1,
        worker: HOSTILE.into(),
        slot: 1,
        attempt: 2,
        epochs: 10,
        newest: Some(metrics(4)),
    };
    let status = SweepStatus {
        id: 3,
        name: "scene-cnn".into(),
        state: SweepState::Running.into(),
        counts: Some(counts()),
        stages: vec![
            StageProgress { name: "depth".into(), counts: Some(counts()), choice: "conv_layers=4".into() },
            StageProgress { name: "width".into(), ..Default::default() },
        ],
        eta_seconds: Some(185.0),
        best_value: Some(0.846_344),
        best_configuration: "filters=256".into(),
        objective_metric: "val_accuracy".into(),
        running: vec![running],
        waiting_for: vec!["no worker has 16 GiB of memory".into()],
        out_of_service: vec![OutOfService {
            worker: "gpu-7".into(),
            reason: "3 trials in a row that succeeded on other workers failed here".into(),
            remedy:
                "repair its machine and restart the worker, or run `sweepctl workers return gpu-7` to return it to service"
                    .into(),
        }],
        spec_digest: id(0xdd),
        epochs_done: 34,
        epochs_total: 60,
        cost: Some(cost()),
        ..Default::default()
    };
    match reference.unwrap_or_default().text.as_str() {
        "3" | "scene-cnn" => Ok(status),
        "4" => {
            let (name, reason) = (HOSTILE.to_owned(), "stage depth has no winner".to_owned());
            Ok(SweepStatus { id: 4, name, reason, state: SweepState::Failed.into(), running: Vec::new(), ..status })
        }
        // They ran a trial again.
        "5" | "6" => Ok(SweepStatus { state: SweepState::Succeeded.into(), running: Vec::new(), ..status }),
        other => Err(missing("sweep", &format!("there is no sweep `{other}`"))),
    }
}

pub(super) fn estimate(mean: f64, spread: Option<f64>) -> Option<Estimate> {
    Some(Estimate { mean, standard_deviation: spread, count: if spread.is_some() { 2 } else { 1 } })
}

pub(super) fn rows() -> Vec<LeaderboardRow> {
    vec![
        LeaderboardRow {
            position: 2,
            shared_rank: Some(1),
            on_front: true,
            front_share: Some(0.93),
            comparison: Some(comparison(2, Verdict::Helps)),
            ..row(Some(1), "conv_layers=4 filters=256 dense_layers=2", Some(0.004))
        },
        LeaderboardRow {
            name: "vgg19".into(),
            position: 3,
            shared_rank: Some(1),
            comparison: Some(comparison(3, Verdict::NoDifferenceShown)),
            ..row(Some(2), "vgg19", None)
        },
        LeaderboardRow { baseline: true, shared_rank: Some(2), on_front: true, ..row(Some(3), "baseline", None) },
        LeaderboardRow {
            configuration: HOSTILE.into(),
            remark: "1 of 2 diverged".into(),
            params: 79_624,
            position: 4,
            comparison: Some(open_comparison()),
            ..Default::default()
        },
    ]
}

pub(super) fn row(rank: Option<u32>, configuration: &str, spread: Option<f64>) -> LeaderboardRow {
    LeaderboardRow {
        rank,
        configuration: configuration.into(),
        train_accuracy: estimate(0.870_282, spread),
        val_accuracy: estimate(0.846_344, spread),
        train_loss: estimate(0.382_219, spread),
        val_loss: estimate(0.477_707, spread),
        params: 6_256_392,
        flops: 53_000_000_000,
        ratio: estimate(1.391_028e-8, spread),
        seconds: estimate(412.25, None),
        ..Default::default()
    }
}

pub(super) fn entries() -> Vec<AuditEntry> {
    let entry = |actor: &str, action: &str, detail: &str| AuditEntry {
        at_unix_ms: 0,
        actor: actor.into(),
        action: action.into(),
        sweep: 3,
        trial_id: id(0xab),
        detail: detail.into(),
        ..Default::default()
    };
    let assigned = AuditEntry { attempt: 2, worker: HOSTILE.into(), ..entry("coordinator", "attempt_assigned", "") };
    vec![entry(HOSTILE, "submitted", "scene-cnn"), assigned, entry("ann", "priority_changed", "10")]
}

pub(super) fn setting(path: &str, value: setting::Value) -> Setting {
    Setting { path: path.into(), value: Some(value) }
}

pub(super) fn trial(state: TrialState) -> TrialSummary {
    let settings = vec![
        setting("configuration.filters", setting::Value::Integer(64)),
        setting("configuration.dropout", setting::Value::Number(0.2)),
        setting("configuration.batch_norm", setting::Value::Boolean(true)),
        setting("dataset.classes", setting::Value::Texts(TextList { texts: vec!["coast".into(), "forest".into()] })),
        setting("dataset.path", setting::Value::Text("@scenes".into())),
        setting("seed", setting::Value::Integer(1)),
    ];
    let provenance = Provenance {
        images_per_second: 617.0,
        seconds: 305.0,
        peak_memory_bytes: 1 << 30,
        data_digest: id(0xda),
        split_digest: id(0x51),
        device: "cpu".into(),
        device_name: "Example CPU".into(),
        instruction_set: "avx2".into(),
        trainer: "sweep-trainer 0.1.0".into(),
        threads: 1,
        params: 182_088,
        origin: Some(Origin {
            driver: "none".into(),
            kernel_cache: "none".into(),
            worker: "w1".into(),
            worker_version: "0.1.0".into(),
            host: HOSTILE.into(),
            coordinator_version: "0.1.0 (4f2a9c1)".into(),
            sweep: 3,
            spec_digest: id(0xdd),
            revision: format!("{}-dirty", "0f".repeat(20)),
            protocol_digest: id(0x70),
        }),
    };
    let succeeded = state == TrialState::Succeeded;
    TrialSummary {
        trial_id: id(if succeeded { 0xab } else { 0xcd }),
        configuration: if succeeded { "filters=64".into() } else { HOSTILE.into() },
        seed: 1,
        state: state.into(),
        attempts: 2,
        worker: "w1".into(),
        outcome: if succeeded { Outcome::Converged.into() } else { Outcome::Unspecified.into() },
        reported: succeeded.then(|| metrics(10)),
        stages: vec!["depth".into(), "width".into()],
        failure: (!succeeded).then(failure),
        params: 182_088,
        settings,
        provenance: succeeded.then_some(provenance),
        test: succeeded.then_some(Tested { epoch: 10, loss: 0.5, accuracy: 0.8125 }),
    }
}

pub(super) fn failure() -> Failure {
    Failure { class: FailureClass::OutOfMemory.into(), reason: "the device has 8 GiB, 9 were asked for".into() }
}

pub(super) fn coordinator() -> GetCoordinatorResponse {
    GetCoordinatorResponse {
        version: env!("CARGO_PKG_VERSION").into(),
        trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
        // A clock that is far ahead.
        started_unix_ms: 4_102_444_700_000,
        now_unix_ms: 4_102_444_800_000,
        state: CoordinatorState::Leading.into(),
        reason: String::new(),
        store_kind: "sqlite".into(),
        // Nobody listens there.
        http_address: "127.0.0.1:1".into(),
        disk_free_bytes: Some(1 << 28),
        disk_bytes: Some(1 << 40),
        counts: Some(CoordinatorCounts {
            sweeps: 1,
            queued: 1,
            workers: 1,
            busy_slots: 1,
            free_slots: 1,
            ..Default::default()
        }),
        role: Some("read".into()),
    }
}

/// The coordinator's error for a missing thing of this kind.
pub(super) fn missing(kind: &'static str, said: &str) -> Status {
    let mut status = Status::not_found(said);
    status.metadata_mut().insert("sweep-missing", tonic::metadata::MetadataValue::from_static(kind));
    status
}
