//! Fills a store with a sweep that is as large as queries must support, without a coordinator. Run it by hand:
//! `SWEEP_LARGE_STORE=/tmp/large.db SWEEP_LARGE_TRIALS=300000 cargo test -p sweep-coordinator --lib fills_a_large_store -- --ignored`
//! Then `ci/questions.py` starts a coordinator on it and prints the cost of each query.

use std::path::PathBuf;

use sweep_scheduler::{Lease, SweepId};
use sweep_spec::spec::Limits;
use sweep_spec::trainer::{EpochMetrics, Origin, Provenance};
use sweep_spec::{Digest, Outcome, Plan, Spec};
use sweep_store::Store;
use sweep_store::codes::{AttemptState, RoundState, StageState, SweepState};
use sweep_store::record::{AttemptKey, Predictions, ResultRecord, SweepRecord};
use sweep_store::sqlite::{Options, SqliteStore};
use sweep_store::write::{AttemptEnd, AttemptStart, Bound, Commit, ResultRow, RoundEndRow, StageChange, SweepEndRow};

use crate::engine::cost::model::Shared;
use crate::engine::messages::submission::Submit;
use crate::engine::submission::expansion::Expansion;
use crate::engine::submission::submit::{preparation, record};

/// Seeds of each configuration.
const SEEDS: u64 = 5;
/// Trials of one commit.
const PIECE: usize = 5_000;
/// Bytes of comments in each spec of the list.
const COMMENT: usize = 1_000_000;

fn number(name: &str) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A grid with at least this many trials.
fn spec(trials: u64) -> String {
    let configurations = trials.div_ceil(SEEDS);
    let filters = configurations.clamp(2, 250);
    let widths = configurations.div_ceil(filters);
    let levels = |count: u64| (1..=count).map(|level| level.to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "version: 1\nname: large\ndataset: {{ kind: synthetic_scenes, image_size: 8, channels: 3, classes: 8 }}\n\
         protocol: {{ epochs: 1 }}\nseeds: {SEEDS}\nbaseline: {{ family: cnn }}\n\
         stages: [ {{ name: all, grid: {{ filters: [{}], dense_units: [{}] }} }} ]\n",
        levels(filters),
        levels(widths)
    )
}

fn epoch(value: f64) -> EpochMetrics {
    EpochMetrics {
        epoch: 1,
        train_loss: 2.0 - value,
        train_accuracy: value,
        val_loss: 2.1 - value,
        val_accuracy: value * 0.9,
        learning_rate: 0.001,
        seconds: 1.0,
        images_per_second: 800.0,
    }
}

fn answer(key: i64, params: u64) -> ResultRecord {
    let mixed = (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let epoch = epoch(0.5 + mixed as f64 / (1_u64 << 26) as f64);
    ResultRecord {
        outcome: Outcome::Converged,
        last: Some(epoch),
        best: Some(epoch),
        provenance: Provenance {
            params,
            images_per_second: 800.0,
            seconds: 1.0 + mixed as f64 / 1e6,
            peak_memory_bytes: 200_000_000,
            data_digest: Digest::of(b"data"),
            split_digest: Digest::of(b"split"),
            device: "cpu".into(),
            device_name: "AMD EPYC 9554 64-Core Processor".into(),
            instruction_set: "avx512".into(),
            trainer: "sweep-trainer 0.9.0".into(),
            threads: 2,
            origin: Origin {
                driver: "none".into(),
                kernel_cache: "none".into(),
                worker: format!("worker-{}", key % 40),
                worker_version: "0.9.0 (0123456789ab)".into(),
                host: format!("node-{}.example", key % 40),
                coordinator_version: "0.9.0 (0123456789ab)".into(),
                sweep: Some(1),
                spec_digest: Some(Digest::of(b"spec")),
                revision: "0123456789abcdef".into(),
                protocol_digest: Some(Digest::of(b"protocol")),
            },
        },
        test: None,
    }
}

/// Prepares and begins a sweep. Returns its trials in the order of the spec.
async fn begun(store: &dyn Store, id: u64, text: String) -> (SweepRecord, Vec<(sweep_spec::TrialId, u32, u64)>) {
    let request = Submit { spec: text.into_bytes(), user: "somebody".into(), ..Submit::default() };
    let limits = Limits { trials: u64::MAX };
    let plan = Plan::new(&Spec::parse(&request.spec, &[], &limits).unwrap());
    let record = SweepRecord { id: SweepId(id), ..record(&request, &plan, limits, 1_000).unwrap() };
    store.prepare(&preparation(&record, &request.spec)).await.unwrap();
    let groups = plan.released(&[]).groups().to_vec();
    let mut expansion = Expansion::new((record.id, &plan), &[], &groups, &Shared::default()).unwrap();
    expansion.write(store).await.unwrap();
    let trials = expansion.places();
    let stages = (0_u32..).zip(&record.stages).map(|(stage, _)| change(record.id, stage, StageState::Open)).collect();
    let pins = vec![(record.id, Digest::of(b"data"))];
    let commit = Commit { sweeps_begun: vec![record.id], stages, pins, ..Commit::default() };
    store.commit(&commit).await.unwrap();
    (record, trials)
}

fn change(sweep: SweepId, stage: u32, state: StageState) -> StageChange {
    StageChange { sweep, stage, state: Some(state), choice: String::new(), winner: None, decided: None }
}

/// A commit in which these trials begin and end.
fn ended(sweep: SweepId, first: i64, trials: &[(sweep_spec::TrialId, u32, u64)]) -> Commit {
    let mut commit = Commit::default();
    for (key, (trial, configuration, seed)) in (first..).zip(trials) {
        let lease = Lease { trial: *trial, round: 1, attempt: 1 };
        commit.rounds_opened.push((*trial, 1, 1_000));
        let (configuration, seed, reused) = (*configuration, *seed, false);
        commit.bound.push(Bound { sweep, configuration, seed, trial: *trial, round: 1, reused });
        commit.attempts_started.push(AttemptStart {
            key: AttemptKey(key),
            lease,
            worker: format!("worker-{}", key % 40),
            session: 1,
            slot: 0,
            device: "cpu".into(),
            slot_memory_bytes: None,
            at_ms: 1_000,
        });
        let result = answer(key, 1_000 + u64::from(configuration));
        commit.results.push(ResultRow { attempt: AttemptKey(key), result, said: Predictions::default() });
        commit.attempts_ended.push(AttemptEnd {
            key: AttemptKey(key),
            lease,
            state: AttemptState::Succeeded,
            failure: None,
            at_ms: 2_000,
            start_seconds: 0.1,
            run_seconds: 0.9,
            log_tail: String::new(),
        });
        commit.rounds_ended.push(RoundEndRow {
            trial: *trial,
            round: 1,
            state: RoundState::Succeeded,
            accepted: Some((1, Outcome::Converged)),
            failure: None,
            at_ms: 2_000,
        });
    }
    commit.rounds_opened.sort_unstable();
    commit
}

async fn end(store: &dyn Store, record: &SweepRecord) {
    let sweep = record.id;
    let stages = (0_u32..).zip(&record.stages).map(|(stage, _)| change(sweep, stage, StageState::Ended)).collect();
    let row = SweepEndRow { sweep, state: SweepState::Succeeded, reason: String::new(), at_ms: 3_000 };
    store.commit(&Commit { stages, sweeps_ended: vec![row], ..Commit::default() }).await.unwrap();
}

/// `SWEEP_LARGE_LIVE=1` leaves the sweep running with half of its trials ended. `SWEEP_LARGE_SPECS=400` adds this many
/// small sweeps with specs of 1 MB.
#[tokio::test]
#[ignore = "fills a store for measurements, by hand"]
async fn fills_a_large_store() {
    let path = PathBuf::from(std::env::var("SWEEP_LARGE_STORE").unwrap());
    let store = SqliteStore::open(&Options::new(path)).await.unwrap();
    let trials = number("SWEEP_LARGE_TRIALS");
    let mut key = 1;
    if trials > 0 {
        let (record, trials) = begun(&store, 1, spec(trials)).await;
        let live = number("SWEEP_LARGE_LIVE") > 0;
        let answered = if live { trials.len() / 2 } else { trials.len() };
        for piece in trials[..answered].chunks(PIECE) {
            store.commit(&ended(record.id, key, piece)).await.unwrap();
            key += piece.len() as i64;
        }
        if !live {
            end(&store, &record).await;
        }
    }
    for id in 2..2 + number("SWEEP_LARGE_SPECS") {
        let comment = format!("# {}\n", "a comment of a person who writes much ".repeat(25)).repeat(COMMENT / 950);
        let text = spec(1).replace("name: large", &format!("name: spec-{id}")) + &comment;
        let (record, trials) = begun(&store, id, text.replace("seeds: 5", &format!("seeds: [{id}]"))).await;
        for piece in trials.chunks(PIECE) {
            store.commit(&ended(record.id, key, piece)).await.unwrap();
            key += piece.len() as i64;
        }
        end(&store, &record).await;
    }
    store.close().await;
}
