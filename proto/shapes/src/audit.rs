//! A line of the audit log as programs read it.

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::some_text;
use crate::text::hex;

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditEntry {
    pub at_unix_ms: i64,
    pub actor: String,
    pub action: String,
    pub sweep: Option<u64>,
    pub trial_id: Option<String>,
    pub attempt: Option<u32>,
    pub worker: Option<String>,
    pub detail: String,
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
