//! Benchmarks of one coordinator and one trainer thread on this machine. Only benchmarks measure time; tests never do.

mod board;
mod coordinator;
mod dispatch;
mod ingest;
mod machine;
mod noop;
mod page;
mod restart;
mod run;
mod train;

pub use board::{Board, board};
pub use coordinator::serve;
pub use dispatch::{Dispatch, dispatch};
pub use ingest::{Ingest, ingest};
pub use page::{Page, page};
pub use restart::{Restart, restart};
pub use train::{Train, train};

pub type Error = Box<dyn std::error::Error + Send + Sync>;
