//! A schedule of faults, by seed. Times are shares of the sweep that is done, not durations, so that every fault falls
//! into the sweep on slow machines too.

use crate::random::Random;

/// A fault of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of a worker, which is started again.
    KillWorker(usize),
    /// `kill -9` of the coordinator, which is started again on the same store and port.
    KillCoordinator,
    /// A worker is frozen for longer than its lease.
    PauseWorker(usize),
    /// The coordinator is frozen for longer than a lease.
    PauseCoordinator,
    /// A worker is asked to leave, and restarted when it has left.
    DrainWorker(usize),
}

/// How often each fault happens.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Counts {
    /// `kill -9` of a worker.
    #[arg(long, default_value_t = 200)]
    pub worker_kills: u32,
    /// `kill -9` of the coordinator.
    #[arg(long, default_value_t = 20)]
    pub coordinator_kills: u32,
    /// Workers frozen for longer than their lease.
    #[arg(long, default_value_t = 8)]
    pub worker_pauses: u32,
    /// The coordinator frozen for longer than a lease.
    #[arg(long, default_value_t = 2)]
    pub coordinator_pauses: u32,
    /// Workers asked to leave.
    #[arg(long, default_value_t = 8)]
    pub drains: u32,
}

/// The first fault comes after this share of the trials, the last before that.
const FIRST: f64 = 0.01;
const LAST: f64 = 0.95;

/// The schedule of `seed` for `workers` workers, earliest first.
pub fn plan(seed: u64, workers: usize, counts: &Counts) -> Vec<(f64, Fault)> {
    let mut random = Random::new(seed);
    let mut planned = Vec::new();
    let mut add = |count: u32, fault: fn(usize) -> Fault| {
        for _ in 0..count {
            let at = FIRST + random.share() * (LAST - FIRST);
            planned.push((at, fault(random.below(workers as u64) as usize)));
        }
    };
    add(counts.worker_kills, Fault::KillWorker);
    add(counts.coordinator_kills, |_| Fault::KillCoordinator);
    add(counts.worker_pauses, Fault::PauseWorker);
    add(counts.coordinator_pauses, |_| Fault::PauseCoordinator);
    add(counts.drains, Fault::DrainWorker);
    planned.sort_by(|one, other| one.0.total_cmp(&other.0));
    planned
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts =
        Counts { worker_kills: 200, coordinator_kills: 20, worker_pauses: 8, coordinator_pauses: 2, drains: 8 };

    #[test]
    fn a_seed_gives_one_schedule_with_everything_in_it() {
        let first = plan(7, 8, &COUNTS);
        assert_eq!(first, plan(7, 8, &COUNTS));
        assert_ne!(first, plan(8, 8, &COUNTS));
        assert_eq!(first.len(), 238);
        assert_eq!(first.iter().filter(|(_, fault)| *fault == Fault::KillCoordinator).count(), 20);
        assert!(first.is_sorted_by(|one, other| one.0 <= other.0));
        for worker in 0..8 {
            assert!(first.iter().any(|(_, fault)| *fault == Fault::KillWorker(worker)), "{worker} is spared");
        }
    }
}
