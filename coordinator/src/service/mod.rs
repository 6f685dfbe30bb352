//! The application service: what the coordinator does for users and pages, below both protocols. `grpc` and `web` translate
//! requests and answers, and decide nothing.
//!
//! Requests and answers are messages of `sweep.v1`. Requests are validated here into domain types. A failure is an engine
//! error; [`failure::Failure`] has the kinds that both protocols map to their codes.
//!
//! `access` has checked the permission of the caller before a request gets here. Only the permission to delete a sweep depends
//! on the sweep, and `deletion` checks it. No SQL, tonic or axum may enter.

pub(crate) mod analysis;
pub(crate) mod analysis_messages;
mod cost_messages;
mod deletion;
mod downloads;
pub(crate) mod failure;
pub(crate) mod leaderboard_page;
pub(crate) mod operations;
mod queries;
mod report;
mod reproduce;
pub mod requests;
pub mod streams;
mod submission;
pub(crate) mod sweep_messages;
pub(crate) mod tokens;
pub(crate) mod watch;

use sweep_store::artifacts::Folder;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use streams::{Kind, Permit, Streams};
use watch::Watching;

use crate::access::Caller;
use crate::engine::{Error, Handle};

/// The largest request of a user, in bytes: a spec with its overrides.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// The service for one term.
#[derive(Clone)]
pub(crate) struct Sweeps {
    pub(crate) engine: Handle,
    pub(crate) artifacts: Folder,
    watching: Watching,
    streams: Streams,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Sweeps {
    /// Streams run on `tasks` within the limits of `streams`, and end with `shutdown`.
    pub(crate) fn new(
        engine: Handle,
        artifacts: Folder,
        (streams, tasks, shutdown): (Streams, TaskTracker, CancellationToken),
    ) -> Self {
        Self { engine, artifacts, watching: Watching::default(), streams, tasks, shutdown }
    }

    /// A permit for a long answer.
    ///
    /// # Errors
    /// The limit of this kind, or of the caller's token, is reached.
    pub(crate) fn begin(&self, kind: Kind, caller: Option<&Caller>) -> Result<Permit, Error> {
        self.streams.begin(kind, caller.map(|caller| &caller.identity))
    }
}
