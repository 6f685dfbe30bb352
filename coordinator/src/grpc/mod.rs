//! gRPC: translates requests for the application service and for the engine, and maps their answers. No SQL, no policy.

pub(crate) mod access;
mod backpressure;
pub(crate) mod coordinator;
pub mod gate;
pub(crate) mod maintenance;
mod quota;
pub(crate) mod sweep;
pub mod timing;
pub(crate) mod upload;
pub mod worker;

use sweep_proto::v1;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::engine::NameHeld;
use crate::service::failure::{Failure, Kind};

/// The largest `Finish` request, in bytes: a result with a million images.
pub const MAX_FINISH_BYTES: usize = 32 * 1024 * 1024;
/// The largest of a worker's other requests, in bytes: a batch of points. An empty point takes two bytes on the wire and many
/// more in memory, so this limit bounds the memory of one request.
pub const MAX_REPORT_BYTES: usize = 2 * 1024 * 1024;
/// The largest chunk of an artifact, in bytes.
pub const MAX_CHUNK_BYTES: usize = 1024 * 1024;
/// The largest response, in bytes: a leaderboard of many thousand configurations.
pub const MAX_RESPONSE_BYTES: usize = 256 * 1024 * 1024;

/// The metadata of NOT_FOUND that names the kind of the missing object: `sweep`, `trial`, `worker`, `configuration`, ...
pub const MISSING: &str = "sweep-missing";

/// The metadata of ALREADY_EXISTS that describes the worker with the name: a `NameHeld`.
pub const NAME_HELD: &str = "sweep-name-held-bin";

/// The status of a failure.
pub(crate) fn status(failure: impl Into<Failure>) -> Status {
    let Failure { kind, message } = failure.into();
    match kind {
        Kind::Invalid => Status::invalid_argument(message),
        Kind::NotFound(kind) => not_found(&kind, message),
        Kind::Forbidden => Status::permission_denied(message),
        Kind::Precondition => Status::failed_precondition(message),
        Kind::NameHeld(held) => name_held(&held, message),
        Kind::TooMany | Kind::Busy => Status::resource_exhausted(message),
        Kind::Unavailable => Status::unavailable(message),
        Kind::Internal => Status::internal(message),
    }
}

/// Names the kind of the missing object in the metadata too, so that programs need not parse the message.
fn not_found(kind: &str, message: String) -> Status {
    let mut status = Status::not_found(message);
    if let Ok(kind) = kind.parse() {
        status.metadata_mut().insert(MISSING, kind);
    }
    status
}

/// Describes the worker with the name as a message too.
fn name_held(held: &NameHeld, message: String) -> Status {
    let details = v1::NameHeld {
        worker: held.worker.clone(),
        host: held.host.clone(),
        address: held.address.clone(),
        since_unix_ms: held.since_ms,
        last_heard_unix_ms: held.heard_ms,
        free_in_ms: held.free_in_ms,
    };
    let mut status = Status::already_exists(message);
    let bytes = prost::Message::encode_to_vec(&details);
    status.metadata_mut().insert_bin(NAME_HELD, MetadataValue::from_bytes(&bytes));
    status
}
