//! Facts from `/proc` about this machine and one process.

use std::time::Duration;

/// `/proc` counts in hundredths of a second on every Linux that we build for.
const MILLISECONDS_A_TICK: u64 = 10;

/// CPU time that a process has used, user and system.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub(crate) fn cpu_time(process: u32) -> std::io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name may hold spaces; the fields that follow it do not. User and system time are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * MILLISECONDS_A_TICK))
}

/// Load average of the last minute, to report with every figure.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(f64::NAN)
}

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The value at `share` of sorted `values`, in [0, 1].
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}
