//! Rows of the audit log.

use sweep_store::codes::AuditAction;
use sweep_store::write::AuditRow;

use crate::unix_ms;

pub(crate) use sweep_store::codes::COORDINATOR;

/// A row of the audit log that names no sweep, trial or worker yet.
pub(crate) fn audit(actor: &str, action: AuditAction) -> AuditRow {
    let actor = if actor.is_empty() { "unknown user" } else { actor };
    AuditRow {
        at_ms: unix_ms(),
        actor: actor.to_owned(),
        action,
        sweep: None,
        trial: None,
        attempt: None,
        worker: String::new(),
        detail: String::new(),
    }
}
