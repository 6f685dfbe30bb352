//! Maintenance of a store: deleted sweeps, and unreferenced data.

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::{Incomplete, expect};

/// A sweep that was or would be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Deletion {
    /// Its number.
    pub sweep: u64,
    pub name: String,
    /// The user who deleted the sweep; `null` in a dry run.
    pub actor: Option<String>,
    pub asked_unix_ms: Option<i64>,
    /// When the removal was complete; `null` until then.
    pub finished_unix_ms: Option<i64>,
    /// Trials that are deleted, with their attempts, points and results.
    pub trials: u64,
    /// Trials that are kept because another sweep refers to them.
    pub kept: u64,
    /// Artifacts that only this sweep has.
    pub artifacts: u64,
    pub artifact_bytes: u64,
    /// Bytes that the store gave back to the file system.
    pub store_bytes: u64,
    /// Notes about the freed space, and about what delays or prevents the deletion.
    pub notes: Vec<String>,
}

impl TryFrom<v1::DeleteSweepResponse> for Deletion {
    type Error = Incomplete;

    fn try_from(answer: v1::DeleteSweepResponse) -> Result<Self, Incomplete> {
        let deletion = expect(answer.deletion, "deletion")?;
        let given = |ms: i64| (ms > 0).then_some(ms);
        Ok(Self {
            sweep: deletion.sweep,
            name: deletion.name,
            actor: (!deletion.actor.is_empty()).then_some(deletion.actor),
            asked_unix_ms: given(deletion.asked_unix_ms),
            finished_unix_ms: given(deletion.finished_unix_ms),
            trials: deletion.trials,
            kept: deletion.kept,
            artifacts: deletion.artifacts,
            artifact_bytes: deletion.artifact_bytes,
            store_bytes: deletion.store_bytes,
            notes: answer.notes,
        })
    }
}

/// Unreferenced data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GarbageList {
    /// By kind.
    pub found: Vec<Garbage>,
    /// Bytes that the store gave back to the file system.
    pub store_bytes: u64,
    /// Notes about the remaining space, and about files that an open backup keeps.
    pub notes: Vec<String>,
}

/// Unreferenced data of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Garbage {
    /// `trials`, `settings` (data set and protocol) of no trial, `thumbnails`, `files` of no artifact, `uploads` that never
    /// became whole.
    pub kind: String,
    pub count: u64,
    /// 0 for trials and settings, which are rows of the store.
    pub bytes: u64,
}

impl From<v1::CollectGarbageResponse> for GarbageList {
    fn from(answer: v1::CollectGarbageResponse) -> Self {
        let garbage = |row: v1::Garbage| Garbage { kind: row.kind, count: row.count, bytes: row.bytes };
        Self {
            found: answer.found.into_iter().map(garbage).collect(),
            store_bytes: answer.store_bytes,
            notes: answer.notes,
        }
    }
}
