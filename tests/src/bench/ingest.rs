//! How many points a second are durable. A point is one epoch's seven numbers.

use std::sync::atomic::Ordering;

use super::Error;
use super::machine;
use super::noop::Work;
use super::run::{Layout, run};

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Ingest {
    /// Trials of the sweep.
    #[arg(long, default_value_t = 64)]
    pub trials: u32,
    /// Workers, each with a separate connection.
    #[arg(long, default_value_t = 4)]
    pub workers: u32,
    /// Slots of each worker.
    #[arg(long, default_value_t = 4)]
    pub slots: u32,
    /// Points that each trial reports.
    #[arg(long, default_value_t = 10_000)]
    pub points: u64,
    /// Points of one report.
    #[arg(long, default_value_t = 200)]
    pub batch: u64,
}

/// Runs it and returns the figures.
///
/// # Errors
/// The coordinator or a worker failed, or a trial was lost.
pub async fn ingest(options: Ingest) -> Result<serde_json::Value, Error> {
    let Ingest { trials, workers, slots, points, batch } = options;
    let measured = run(Layout { trials, workers, slots, work: Work { points, batch: batch.max(1) } }).await?;
    let seconds = measured.elapsed.as_secs_f64();
    let stored = measured.counted.points.load(Ordering::Relaxed);
    Ok(serde_json::json!({
        "bench": "ingest",
        "points": stored,
        "values": stored * 7,
        "batch": batch,
        "slots": workers * slots,
        "seconds": seconds,
        "points_per_second": stored as f64 / seconds,
        "values_per_second": stored as f64 * 7.0 / seconds,
        "coordinator_cpu_us_per_point": measured.coordinator_cpu.as_secs_f64() * 1e6 / stored as f64,
        "cores": machine::cores(),
        "load_before": measured.load_before,
    }))
}
