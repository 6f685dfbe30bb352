//! The provenance of a result: software, hardware, data and speed.

use std::fs;

use sweep_spec::Digest;
use sweep_spec::trainer::{Origin, Provenance};

use crate::device::{ComputeDevice, kernel_cache};

/// Threads that train a trial on a CPU. Burn is built without its thread pool, so that bits do not depend on the number
/// of cores; a machine with more cores has more slots.
const THREADS: u32 = 1;

/// The training speed.
pub(crate) struct Speed {
    /// Wall time of training and validation.
    pub(crate) seconds: f64,
    /// Training images per second, without validation.
    pub(crate) images_per_second: f64,
}

/// The name and version of this trainer.
pub(crate) fn trainer() -> String {
    let revision = sweep_spec::build::REVISION.map_or_else(String::new, |revision| format!(", {revision}"));
    format!("sweep-trainer {} (burn 0.21.0{revision})", env!("CARGO_PKG_VERSION"))
}

/// `digests` are those of the data and of the split.
pub(crate) fn of(params: u64, speed: &Speed, digests: (Digest, Digest), device: &ComputeDevice) -> Provenance {
    Provenance {
        params,
        images_per_second: speed.images_per_second,
        seconds: speed.seconds,
        peak_memory_bytes: device.peak_memory_bytes().or_else(peak_memory).unwrap_or(0),
        data_digest: digests.0,
        split_digest: digests.1,
        device: device.name.clone(),
        device_name: device.description.clone(),
        instruction_set: device.instruction_set.clone(),
        trainer: trainer(),
        threads: THREADS,
        origin: Origin {
            driver: device.driver.clone(),
            kernel_cache: kernel_cache::describe(&device.name),
            ..Origin::default()
        },
    }
}

/// Resets the kernel's peak of resident memory, so that it does not include the previous trial.
pub(crate) fn forget_peak_memory() {
    // Not every kernel allows it; then the peak is that of the process.
    if let Err(error) = fs::write("/proc/self/clear_refs", "5") {
        tracing::debug!(%error, "cannot reset peak memory");
    }
}

/// The highest resident memory of this process, in bytes.
fn peak_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
