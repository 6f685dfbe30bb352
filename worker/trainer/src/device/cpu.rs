//! Describes the CPU and the machine's memory, from `/proc` if there is one.

use std::fs;

/// The CPU's model name, for people.
pub(super) fn model_name() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim().to_owned())
}

/// The widest vector instructions that the tensor library may choose at run time.
#[cfg(target_arch = "x86_64")]
pub(super) fn instruction_set() -> String {
    let widest = if is_x86_feature_detected!("avx512f") {
        "avx512f"
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        "avx2+fma"
    } else if is_x86_feature_detected!("avx") {
        "avx"
    } else {
        "sse2"
    };
    format!("x86_64 {widest}")
}

/// The widest vector instructions that the tensor library may choose at run time.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn instruction_set() -> String {
    std::env::consts::ARCH.to_owned()
}

/// The machine's memory in bytes.
pub(super) fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
