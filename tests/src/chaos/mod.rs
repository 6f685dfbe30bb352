//! The chaos: a real coordinator, real workers and scripted trainers, and signals that hit them while a sweep runs. In the
//! end the store is counted with SQL.

mod count;
mod crew;
pub mod partitions;
mod plan;
mod report;
mod run;
mod scribe;
mod study;

pub use count::{Count, Witness};
pub use plan::{Counts, Fault, plan};
pub use report::Report;
pub use run::{Options, run, submit};
pub use study::{EPOCHS, grid, poison};

/// An error that prevents a run from being counted.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
