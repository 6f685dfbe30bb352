//! gRPC: validate into domain types, ask the engine, map the answer. No SQL, no policy.

pub(crate) mod access;
pub(crate) mod analysis;
pub(crate) mod analysis_messages;
mod backpressure;
pub(crate) mod board_part;
mod chunks;
pub(crate) mod coordinator;
mod cost_messages;
mod estimate;
pub mod gate;
pub(crate) mod operations;
mod quota;
mod report;
mod reproduce;
mod streams;
pub mod sweep;
mod sweep_messages;
pub mod sweep_questions;
pub mod timing;
pub(crate) mod upkeep;
pub(crate) mod upload;
pub(crate) mod watching;
pub mod worker;

pub(crate) use sweep_messages::status as status_message;
use sweep_proto::v1;
use sweep_spec::Problems;
use sweep_store as store;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tracing::error;

use crate::engine::{Error, NameHeld};

/// The longest ending that is taken, in bytes: a result with a million images.
pub const MAX_ENDING_BYTES: usize = 32 * 1024 * 1024;
/// The longest of a worker's other messages, in bytes: a batch of points. An empty point takes two bytes on the wire and many
/// more in memory, so that this is what bounds the memory of one message.
pub const MAX_REPORT_BYTES: usize = 2 * 1024 * 1024;
/// The longest message of a person, in bytes: a spec with its overrides.
pub const MAX_QUESTION_BYTES: usize = 4 * 1024 * 1024;
/// The longest piece of an artifact, in bytes.
pub const MAX_CHUNK_BYTES: usize = 1024 * 1024;
/// The longest message that is sent, in bytes: a leaderboard of many thousand configurations.
pub const MAX_RESPONSE_BYTES: usize = 256 * 1024 * 1024;

/// The metadata of a NOT_FOUND that says what kind of thing is not there: `sweep`, `trial`, `worker`, `configuration`, ...
pub const MISSING: &str = "sweep-missing";

/// The metadata of an ALREADY_EXISTS that says who holds a worker's name: a `NameHeld`.
pub const NAME_HELD: &str = "sweep-name-held-bin";

/// The one mapping of errors. Causes inside the coordinator are logged, not sent.
pub fn status(error: Error) -> Status {
    match error {
        Error::Invalid(invalid) => Status::invalid_argument(invalid.to_string()),
        Error::Spec(problems) => spec_status(&problems),
        Error::NotAnExtension { .. } => Status::invalid_argument(error.to_string()),
        Error::NotFound { .. } | Error::Configuration(_) | Error::UnknownSession => not_found(&error),
        // Not FAILED_PRECONDITION: registering again would not help.
        Error::Semantics { .. } | Error::Version { .. } => Status::permission_denied(error.to_string()),
        Error::NotYours { .. } => Status::permission_denied(error.to_string()),
        Error::StillRuns { .. } => Status::failed_precondition(error.to_string()),
        Error::Refused(_) | Error::Ended { .. } | Error::Cancelled { .. } | Error::OtherSemantics { .. } => {
            Status::failed_precondition(error.to_string())
        }
        Error::NameHeld(held) => name_held(&held),
        Error::TooMany { .. } | Error::Busy { .. } => Status::resource_exhausted(error.to_string()),
        Error::Unavailable | Error::Troubled { .. } | Error::Held { .. } => Status::unavailable(error.to_string()),
        Error::Store(error @ store::Error::Deposed { .. }) => Status::unavailable(error.to_string()),
        Error::Store(error) if error.is_unreachable() => {
            Status::unavailable(format!("the store cannot be reached: {}", crate::chain(&error)))
        }
        Error::Store(error @ store::Error::Full(_)) => {
            Status::unavailable(format!("the coordinator cannot commit now: {}", crate::chain(&error)))
        }
        Error::Store(_) | Error::Internal(_) => {
            error!(error = %crate::chain(&error), "a request failed");
            Status::internal("the coordinator failed: see its log")
        }
    }
}

/// What is not there, in words, and of which kind it is, so that nobody has to read them.
fn not_found(error: &Error) -> Status {
    let kind = match error {
        Error::Configuration(_) => "configuration",
        // It begins with its kind: "sweep `x`".
        Error::NotFound { what } => what.split(' ').next().unwrap_or_default(),
        _ => "",
    };
    let mut status = Status::not_found(error.to_string());
    if let Ok(kind) = kind.parse() {
        status.metadata_mut().insert(MISSING, kind);
    }
    status
}

/// Who holds a worker's name, in words and as a message.
fn name_held(held: &NameHeld) -> Status {
    let message = v1::NameHeld {
        worker: held.worker.clone(),
        host: held.host.clone(),
        address: held.address.clone(),
        since_unix_ms: held.since_ms,
        last_heard_unix_ms: held.heard_ms,
        free_in_ms: held.free_in_ms,
    };
    let mut status = Status::already_exists(held.to_string());
    let bytes = prost::Message::encode_to_vec(&message);
    status.metadata_mut().insert_bin(NAME_HELD, MetadataValue::from_bytes(&bytes));
    status
}

/// Every problem on a line of its own: `line:column: path: message`.
fn spec_status(problems: &Problems) -> Status {
    Status::new(Code::InvalidArgument, problems.to_string())
}
