//! A line of the audit log as programs read it.

use serde::Serialize;
use sweep_proto::v1;

use super::sweep::some_text;
use crate::text::hex;

/// Who did what, or what happened to what.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AuditEntry {
    pub(crate) at_unix_ms: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) sweep: Option<u64>,
    pub(crate) trial_id: Option<String>,
    pub(crate) attempt: Option<u32>,
    pub(crate) worker: Option<String>,
    pub(crate) detail: String,
}

impl From<v1::AuditEntry> for AuditEntry {
    fn from(entry: v1::AuditEntry) -> Self {
        Self {
            at_unix_ms: entry.at_unix_ms,
            actor: entry.actor,
            action: entry.action,
            sweep: (entry.sweep > 0).then_some(entry.sweep),
            trial_id: some_text(hex(&entry.trial_id)),
            attempt: (entry.attempt > 0).then_some(entry.attempt),
            worker: some_text(entry.worker),
            detail: entry.detail,
        }
    }
}
