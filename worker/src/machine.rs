//! What this machine is: its name, cores and memory, with the limits of the container that it may be.

pub(crate) mod folders;
mod limits;

use std::path::Path;
use std::time::Duration;

/// The host's name; `worker` where it cannot be told.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "worker".to_owned() } else { name }
}

/// Cores that this process may use, container limits included.
pub(crate) fn cores() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    limits::read(Path::new("/")).cores.map_or(cores, |limit| limit.min(cores))
}

/// Memory that this process may use, in bytes: the machine's, or the container's limit where it is lower.
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

/// `duration` times a random share of at least one half, so that workers that lost one coordinator come back apart.
pub(crate) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.5 + 0.5 * (random() as f64 / u64::MAX as f64))
}

/// Eight bytes that no other process has.
pub(crate) fn random_bytes() -> [u8; 8] {
    random().to_be_bytes()
}

/// From the keys of the standard library's hash maps, which the system's generator seeds once per thread and which
/// differ from map to map.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
pub(crate) mod testing {
    //! Random numbers that a seed repeats.

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
        // Two in a hundred that agree to the nanosecond would be no chance.
        let apart: std::collections::BTreeSet<_> = pauses.iter().collect();
        assert_eq!(apart.len(), pauses.len());
    }

    #[test]
    fn no_two_processes_have_the_same_bytes() {
        assert_ne!(random_bytes(), random_bytes());
    }
}
