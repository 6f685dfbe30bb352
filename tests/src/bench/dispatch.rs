//! How many trials a second go through a coordinator: assigned, reported, finished and committed.

use std::sync::atomic::Ordering;

use super::Error;
use super::machine;
use super::noop::Work;
use super::run::{Layout, run};

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Dispatch {
    /// Trials of the sweep.
    #[arg(long, default_value_t = 20_000)]
    pub trials: u32,
    /// Workers, each with a separate connection.
    #[arg(long, default_value_t = 4)]
    pub workers: u32,
    /// Slots of each worker.
    #[arg(long, default_value_t = 32)]
    pub slots: u32,
    /// Points that each trial reports.
    #[arg(long, default_value_t = 10)]
    pub points: u64,
}

/// Runs it and returns the figures.
///
/// # Errors
/// The coordinator or a worker failed, or a trial was lost.
pub async fn dispatch(options: Dispatch) -> Result<serde_json::Value, Error> {
    let work = Work { points: options.points, batch: options.points.max(1) };
    let Dispatch { trials, workers, slots, .. } = options;
    let measured = run(Layout { trials, workers, slots, work }).await?;
    let seconds = measured.elapsed.as_secs_f64();
    let mut waits = std::mem::take(&mut *measured.counted.waits_ms.lock().await);
    Ok(serde_json::json!({
        "bench": "dispatch",
        "trials": trials,
        "workers": workers,
        "slots": workers * slots,
        "points": measured.counted.points.load(Ordering::Relaxed),
        "seconds": seconds,
        "trials_per_second": f64::from(trials) / seconds,
        "coordinator_cpu_ms_per_trial": measured.coordinator_cpu.as_secs_f64() * 1e3 / f64::from(trials),
        "dispatch_ms_p50": machine::quantile(&mut waits, 0.5),
        "dispatch_ms_p99": machine::quantile(&mut waits, 0.99),
        "cores": machine::cores(),
        "load_before": measured.load_before,
    }))
}
