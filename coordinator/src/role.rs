//! Whether this coordinator leads, as every part of it sees it. The leader task (`leadership.rs`) sends each change.

use std::sync::Arc;

use sweep_store::leadership::Waiting;

use crate::services::Services;

/// The role of this coordinator.
#[derive(Clone)]
pub enum Role {
    /// A standby, or a coordinator that does not know the leader yet. It has no services.
    Waiting(Waiting),
    /// The leader, with the services of its term.
    Leading(Arc<Services>),
}

/// Why a coordinator that does not lead refuses a request, and which coordinator to call instead.
pub fn reason(waiting: &Waiting) -> String {
    match waiting {
        Waiting::Looking => "this coordinator does not yet know which one leads: try again".to_owned(),
        Waiting::Led { address } => format!("this coordinator is a standby; the coordinator at {address} leads"),
        Waiting::Unreachable { why } => format!("the store cannot be reached: {why}"),
    }
}
