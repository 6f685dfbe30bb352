//! A store in a folder of its own, and a sweep in it that has something of everything.

#![allow(dead_code, reason = "three test programs use this, each a part of it")]

use std::path::PathBuf;

use sweep_scheduler::event::{Instance, Service, Until};
use sweep_scheduler::{Lease, SweepId};
use sweep_spec::trainer::{Described, Origin, Provenance, Validation};
use sweep_spec::{Digest, FailureClass, Outcome, TrialId};
use sweep_store::Store;
use sweep_store::codes::{ArtifactKind, AttemptState, AuditAction, RoundState, StageState, SweepState};
use sweep_store::record::{ArtifactRecord, AttemptKey, Predictions, ResultRecord, Submission, TestScore};
use sweep_store::sqlite::{Options, SqliteStore};
use sweep_store::write::*;

#[path = "fixture.rs"]
mod fixture;

pub(crate) use fixture::{epoch, points};

pub(crate) const SWEEP: SweepId = SweepId(1);

pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        self.0.path().join(format!("store.db{suffix}"))
    }

    pub(crate) fn options(&self, accept_loss: bool) -> Options {
        Options { accept_loss, ..Options::new(self.path()) }
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.options(false)).await.unwrap()
    }

    /// Every file of the store, as it is now.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        for suffix in ["", "-wal", ".acknowledged"] {
            if self.beside(suffix).exists() {
                std::fs::copy(self.beside(suffix), copy.beside(suffix)).unwrap();
            }
        }
        copy
    }
}

/// Numbers that look random, the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

pub(crate) fn trial(seed: u64) -> TrialId {
    fixture::trial(seed).id().unwrap()
}

/// With a second stage, which waits.
pub(crate) fn preparation(sweep: SweepId, seeds: std::ops::Range<u64>) -> Preparation {
    let trials = seeds.end - seeds.start;
    let stage = |position, name| StageRow { keep_best: false, ..fixture::stage(sweep, position, name, trials) };
    Preparation { stages: vec![stage(0, "first"), stage(1, "second")], ..fixture::preparation(sweep, seeds) }
}

pub(crate) fn audit(at_ms: i64, detail: String) -> AuditRow {
    AuditRow {
        at_ms,
        actor: "somebody".into(),
        action: AuditAction::Submitted,
        sweep: Some(SWEEP),
        trial: Some(trial(0)),
        attempt: Some(1),
        worker: "w".into(),
        detail,
    }
}

pub(crate) fn start(seed: u64, key: i64) -> AttemptStart {
    AttemptStart {
        key: AttemptKey(key),
        lease: Lease { trial: trial(seed), round: 1, attempt: 1 },
        worker: "w".into(),
        session: 7,
        slot: 0,
        device: "cpu".into(),
        slot_memory_bytes: Some(1 << 34),
        at_ms: 3,
    }
}

fn end(seed: u64, key: i64, state: AttemptState, failure: Option<(FailureClass, String)>) -> AttemptEnd {
    AttemptEnd {
        key: AttemptKey(key),
        lease: Lease { trial: trial(seed), round: 1, attempt: 1 },
        state,
        failure,
        at_ms: 4,
        start_seconds: 0.1,
        run_seconds: 0.2,
        log_tail: "its last words".into(),
    }
}

fn result(key: i64) -> ResultRow {
    let origin = Origin { worker: "w".into(), sweep: Some(1), ..Origin::default() };
    let provenance = Provenance { origin, ..fixture::provenance() };
    let result = ResultRecord {
        outcome: Outcome::Converged,
        last: Some(epoch(3)),
        best: None,
        provenance,
        test: Some(TestScore { epoch: 3, loss: 0.5, accuracy: 0.25 }),
    };
    let validation = Validation { labels: vec![1], predicted: vec![0], confidence: vec![0.5], confusion: vec![0; 4] };
    ResultRow {
        attempt: AttemptKey(key),
        result,
        said: Predictions { test: Some(validation.clone()), validation: Some(validation) },
    }
}

/// Prepares a sweep and begins it, its first stage open and its data pinned.
pub(crate) async fn begin(store: &dyn Store, sweep: SweepId, seeds: std::ops::Range<u64>) {
    store.prepare(&preparation(sweep, seeds)).await.unwrap();
    let open = StageChange {
        sweep,
        stage: 0,
        state: Some(StageState::Open),
        choice: String::new(),
        winner: None,
        decided: None,
    };
    let commit = Commit {
        sweeps_begun: vec![sweep],
        stages: vec![open],
        pins: vec![(sweep, Digest::of(b"data"))],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
}

/// One trial that succeeded, one that runs, one that ran out of memory, one whose worker was lost, one that waits, one
/// that is not bound; and a sweep that was cancelled.
pub(crate) async fn fill(store: &dyn Store) {
    begin(store, SWEEP, 0..6).await;
    let bound = |seed| Bound { sweep: SWEEP, configuration: 0, seed, trial: trial(seed), round: 1, reused: false };
    let described = Described {
        digest: Digest::of(b"data"),
        classes: vec!["a".into()],
        channels: 3,
        train_images: 64,
        test_images: 32,
    };
    let service = |worker: &str, service| ServiceRow { worker: worker.into(), service, actor: "me".into(), at_ms: 1 };
    let suspended = Service::Suspended { reason: "it fails".into(), until: Until::Return };
    let started = Commit {
        descriptions: vec![(Digest::of(b"dataset"), described)],
        workers: vec![WorkerRow {
            name: "w".into(),
            host: "h".into(),
            version: "1".into(),
            session: 7,
            slots: vec![SlotRow { device: "cpu".into(), device_name: "a name".into(), memory_bytes: 1 << 34 }],
            labels: vec![("zone".into(), "a".into())],
            at_ms: 1,
        }],
        services: vec![service("v", Service::Draining), service("u", suspended)],
        names: vec![NameRow {
            worker: "w".into(),
            instance: Instance { folder: 1, process: 2 },
            held: true,
            host: "h".into(),
            address: "127.0.0.1:5".into(),
            since_ms: 1,
        }],
        rounds_opened: (0..5).map(|seed| (trial(seed), 1, 2)).collect(),
        bound: (0..5).map(bound).collect(),
        attempts_started: (0..4).map(|seed| start(seed, seed as i64 + 1)).collect(),
        points: [points(1, 1..=3), points(2, 1..=2)].concat(),
        last_session: Some(7),
        audit: vec![audit(1, "one".into()), audit(2, "two".into())],
        ..Commit::default()
    };
    store.commit(&started).await.unwrap();
    let oom = Some((FailureClass::OutOfMemory, "it wanted more".into()));
    let ended = Commit {
        results: vec![result(1)],
        attempts_ended: vec![
            end(0, 1, AttemptState::Succeeded, None),
            end(2, 3, AttemptState::Failed, oom),
            end(3, 4, AttemptState::Expired, None),
        ],
        rounds_ended: vec![RoundEndRow {
            trial: trial(0),
            round: 1,
            state: RoundState::Succeeded,
            accepted: Some((1, Outcome::Converged)),
            failure: None,
            at_ms: 4,
        }],
        ..Commit::default()
    };
    store.commit(&ended).await.unwrap();
    begin(store, SweepId(2), 10..12).await;
    let cancelled = SweepEndRow { sweep: SweepId(2), state: SweepState::Cancelled, reason: String::new(), at_ms: 9 };
    store
        .commit(&Commit { sweeps_ended: vec![cancelled], weights_due: vec![(SweepId(2), 9)], ..Commit::default() })
        .await
        .unwrap();
    let artifact = ArtifactRecord {
        digest: Digest::of(b"log"),
        kind: ArtifactKind::Log,
        owner: Some((AttemptKey(1), trial(0), 1)),
        data_digest: None,
        size_bytes: 3,
    };
    store.add_artifact(&artifact).await.unwrap();
}
