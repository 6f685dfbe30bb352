//! Whose weights are kept, as the store is told: what a sweep that has ended keeps, and what follows for files.

use sweep_scheduler::SweepId;

use super::write::AuditRow;

/// Whose weights a sweep keeps that has ended.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which.
    pub sweep: SweepId,
    /// When it ended. If it has gone on since, nothing changes.
    pub ended_ms: i64,
    /// The configurations whose weights stay; `None` where there is no winner, and all of them stay.
    pub kept: Option<Vec<u32>>,
    /// What the audit log says of it.
    pub audit: AuditRow,
}

/// What a settlement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Whether it counted.
    pub done: bool,
    /// Weights that no sweep keeps any more.
    pub released: u64,
}
