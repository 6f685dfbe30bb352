//! This machine's name, cores and memory, within the limits of its container, and random numbers.

pub(crate) mod folders;
mod limits;

use std::path::Path;
use std::time::Duration;

/// The host's name; `worker` if it is unknown.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "worker".to_owned() } else { name }
}

/// Cores that this process may use, within its container's limits.
pub(crate) fn cores() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    limits::read(Path::new("/")).cores.map_or(cores, |limit| limit.min(cores))
}

/// Memory that this process may use, in bytes: the lower of the machine's memory and the container's limit.
pub(crate) fn memory_bytes() -> Option<u64> {
    [physical_memory_bytes(), limits::read(Path::new("/")).memory_bytes].into_iter().flatten().min()
}

#[cfg(target_os = "linux")]
fn physical_memory_bytes() -> Option<u64> {
    let info = rustix::system::sysinfo();
    info.totalram.checked_mul(info.mem_unit.into())
}

#[cfg(not(target_os = "linux"))]
fn physical_memory_bytes() -> Option<u64> {
    None
}

/// `duration` times a random factor from 0.5 to 1, so that workers that lost a coordinator do not return at the same
/// moment.
pub(crate) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.5 + 0.5 * (random() as f64 / u64::MAX as f64))
}

/// Eight bytes that are unique to this process.
pub(crate) fn random_bytes() -> [u8; 8] {
    random().to_be_bytes()
}

/// From the keys of the standard library's hash maps: the system's generator seeds them per thread, and they differ
/// between maps.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
pub(crate) mod testing {
    //! Seeded random numbers.

    /// Splitmix64: a counter, mixed.
    pub(crate) struct Random(u64);

    impl Random {
        pub(crate) fn new(seed: u64) -> Self {
            Self(seed)
        }

        pub(crate) fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        /// From 0 to below `end`, which is not 0.
        pub(crate) fn below(&mut self, end: u64) -> u64 {
            self.next() % end
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_name_cores_and_memory() {
        assert!(!host_name().is_empty());
        assert!(cores() >= 1);
        #[cfg(target_os = "linux")]
        assert!(memory_bytes().unwrap() > 1 << 20);
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let pauses: Vec<_> = (0..100).map(|_| jittered(Duration::from_secs(2))).collect();
        for pause in &pauses {
            assert!(*pause >= Duration::from_secs(1) && *pause <= Duration::from_secs(2));
        }
        // Two equal values in a hundred, to the nanosecond, would not be a coincidence.
        let apart: std::collections::BTreeSet<_> = pauses.iter().collect();
        assert_eq!(apart.len(), pauses.len());
    }

    #[test]
    fn no_two_processes_have_the_same_bytes() {
        assert_ne!(random_bytes(), random_bytes());
    }
}
