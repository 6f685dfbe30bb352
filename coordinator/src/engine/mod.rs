//! The engine: one owner task has the scheduler, and the other parts have a cheap `Handle`. Queries that only need the
//! store do not wait for the owner task.
//!
//! A folder may use those above it in this list, and none below it:
//!
//! - the files beside this one, except `handle.rs`, `offline.rs` and `start.rs`: errors, settings and small helpers
//! - `cost/`: the cost model
//! - `state/`: the memory of a live sweep
//! - `signals/`, `cache/`: values that the tasks share
//! - `messages/`: commands and their answers
//! - `handle.rs`: asks the owner task
//! - `query/`: answers queries
//! - `submission/`: submits, extends, retries and reproduces sweeps
//! - `background/`: decides by results, and deletes
//! - `owner/`: the owner task; it uses `messages/` and the entries above it, and nothing that needs a handle
//! - `start.rs`: starts all of these

mod audit;
mod background;
mod blocking;
mod cache;
mod cost;
mod error;
mod handle;
mod messages;
mod name_held;
pub mod offline;
mod owner;
mod query;
mod reply;
mod settings;
mod signals;
mod start;
mod state;
mod stored_plan;
mod submission;
#[cfg(test)]
mod testing;

pub(crate) use audit::audit;
pub use background::deletion::{Collected, Garbage};
pub use cache::analyses::Analysed;
pub(crate) use cache::analyses::MAX_CACHED_TRIALS;
pub use cost::sweep_cost::Cost;
pub use error::Error;
pub use handle::Handle;
pub use messages::capacity::Unended;
pub use messages::submission::{Submit, Submitted};
pub use messages::views::{Gauges, LiveStatus, ProgressGauges, Running, WorkerView};
pub use messages::worker::{
    Assignment, Describe, Finish, FinishEnding, Finished, Poll, PollReply, Register, Registered, Report, Reported,
};
pub use name_held::NameHeld;
pub use query::analysis::Pairwise;
pub use query::estimate::PlanCost;
pub use query::noise_floor::Noise;
pub use query::plans::Outline;
pub(crate) use query::report::material;
pub use query::reproductions::Answered;
pub use query::status::{StageStatus, Status};
pub(crate) use query::study::epoch;
pub(crate) use query::weights::FilesLeft;
pub use settings::{Limits, Settings};
#[cfg(test)]
pub(crate) use signals::sweep_changes::SweepChanges;
pub use signals::trouble::Trouble;
pub use start::start;
pub(crate) use state::budget::stopped_at_budget;
pub use submission::reproduce::Reproducing;
