//! A coordinator and its state.

use serde::Serialize;
use sweep_proto::v1;

use crate::sweep::some_text;

/// A coordinator. Moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coordinator {
    pub version: String,
    pub trainer_semantics: u32,
    pub started_unix_ms: i64,
    pub now_unix_ms: i64,
    /// `leading`, `standby`, `starting`, `troubled`.
    pub state: &'static str,
    /// Why it does not answer everything.
    pub reason: Option<String>,
    /// `sqlite` or `postgres`.
    pub store: String,
    pub http_address: String,
    pub disk_free_bytes: Option<u64>,
    pub disk_bytes: Option<u64>,
    /// What it holds; absent unless it leads.
    pub counts: Option<Holds>,
    /// What the caller may do; absent where no token is asked for.
    pub role: Option<String>,
}

/// What a coordinator holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Holds {
    /// Sweeps that have not ended.
    pub sweeps: u64,
    /// Trials that wait.
    pub queued: u64,
    pub workers: u64,
    pub draining_workers: u64,
    pub busy_slots: u64,
    pub free_slots: u64,
}

impl From<v1::GetCoordinatorResponse> for Coordinator {
    fn from(answer: v1::GetCoordinatorResponse) -> Self {
        let state = match answer.state() {
            v1::CoordinatorState::Unspecified => "unknown",
            v1::CoordinatorState::Leading => "leading",
            v1::CoordinatorState::Standby => "standby",
            v1::CoordinatorState::Starting => "starting",
            v1::CoordinatorState::Troubled => "troubled",
        };
        Self {
            version: answer.version,
            trainer_semantics: answer.trainer_semantics,
            started_unix_ms: answer.started_unix_ms,
            now_unix_ms: answer.now_unix_ms,
            state,
            reason: some_text(answer.reason),
            store: answer.store_kind,
            http_address: answer.http_address,
            disk_free_bytes: answer.disk_free_bytes,
            disk_bytes: answer.disk_bytes,
            counts: answer.counts.map(Holds::from),
            role: answer.role,
        }
    }
}

impl From<v1::CoordinatorCounts> for Holds {
    fn from(counts: v1::CoordinatorCounts) -> Self {
        let v1::CoordinatorCounts { sweeps, queued, workers, draining_workers, busy_slots, free_slots } = counts;
        Self { sweeps, queued, workers, draining_workers, busy_slots, free_slots }
    }
}
