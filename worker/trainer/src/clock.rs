//! Measures for how long this process was running, and not suspended. A thread reads the clock twice a second, so that
//! gaps show even in the middle of a long step.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::time::ClockId;
use sweep_spec::running::{RunningTime, TICK};

/// Counts time during the machine's sleep where the system supports it, so that sleep shows as a gap.
#[cfg(target_os = "linux")]
const CLOCK_ID: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK_ID: ClockId = ClockId::Monotonic;

/// Measures from its start until it is dropped.
pub(crate) struct Clock {
    time: Arc<Mutex<RunningTime>>,
    /// Dropping it stops the thread.
    _end: mpsc::Sender<()>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let time = Arc::new(Mutex::new(RunningTime::since(reading())));
        let (end, ended) = mpsc::channel();
        let shared = Arc::clone(&time);
        let ticking = thread::Builder::new().name("clock".to_owned()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
                lock(&shared);
            }
        });
        if let Err(error) = ticking {
            tracing::warn!(%error, "cannot start the clock's thread: pauses of this process are counted as training \
                time");
        }
        Self { time, _end: end }
    }

    /// Time for which the process has been running.
    pub(crate) fn ran(&self) -> Duration {
        lock(&self.time).ran()
    }

    /// Time for which it was suspended.
    pub(crate) fn paused(&self) -> Duration {
        lock(&self.time).paused()
    }
}

fn lock(time: &Mutex<RunningTime>) -> RunningTime {
    let mut time = time.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(gap) = time.read(reading()) {
        tracing::warn!("this process was paused for {} s, which are not counted", gap.as_secs());
    }
    time.clone()
}

fn reading() -> Duration {
    let now = rustix::time::clock_gettime(CLOCK_ID);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_has_no_gap() {
        let clock = Clock::start();
        let before = clock.ran();
        let mut work = 0_u64;
        while clock.ran() == before {
            work += 1;
        }
        assert!(work < u64::MAX && clock.ran() > before);
    }
}
