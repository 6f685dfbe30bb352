//! Measures for how long this agent was running, and not suspended. A thread reads the clock twice a second and counts
//! larger gaps as suspension, whatever the agent waits for.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::time::ClockId;
use sweep_proto::v1::AttemptPhases;
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

/// A moment: how long the agent had been running and suspended by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClockReading {
    ran: Duration,
    paused: Duration,
}

/// The times that the trainer reports for one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct TrainerTimes {
    /// Training time of this attempt's own epochs, without those of a checkpoint.
    pub(crate) trained_seconds: f64,
    /// Time for which its process was suspended.
    pub(crate) paused_seconds: f64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let time = Arc::new(Mutex::new(RunningTime::since(reading())));
        let (end, ended) = mpsc::channel();
        let shared = Arc::clone(&time);
        let ticking = thread::Builder::new().name("clock".to_owned()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
                look(&shared);
            }
        });
        if let Err(error) = ticking {
            tracing::warn!(%error, "cannot start the clock's thread: pauses of this process are counted as run time");
        }
        Self { time, _end: end }
    }

    pub(crate) fn read(&self) -> ClockReading {
        let time = look(&self.time);
        ClockReading { ran: time.ran(), paused: time.paused() }
    }
}

/// Divides the time of an attempt into phases. Time in which neither process ran belongs to no phase. Agent and trainer
/// can be suspended separately; training while only the agent was suspended counts as run time.
pub(crate) fn phases(
    begun: ClockReading,
    started: Option<ClockReading>,
    ended: ClockReading,
    told: TrainerTimes,
) -> AttemptPhases {
    let between = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64();
    let until = started.unwrap_or(ended);
    let paused_before = between(begun.paused, until.paused);
    let stood = between(until.paused, ended.paused);
    let whole = between(until.ran, ended.ran) + stood;
    let paused_after = stood.max(told.paused_seconds).min((whole - told.trained_seconds.max(0.0)).max(0.0));
    AttemptPhases {
        start_seconds: between(begun.ran, until.ran),
        run_seconds: whole - paused_after,
        paused_seconds: paused_before + paused_after,
    }
}

fn look(time: &Mutex<RunningTime>) -> RunningTime {
    let mut time = time.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(gap) = time.read(reading()) {
        tracing::warn!("this worker was paused for {} s, which are not counted", gap.as_secs());
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

    fn reading(ran: u64, paused: u64) -> ClockReading {
        ClockReading { ran: Duration::from_secs(ran), paused: Duration::from_secs(paused) }
    }

    fn trainer_times(trained_seconds: f64, paused_seconds: f64) -> TrainerTimes {
        TrainerTimes { trained_seconds, paused_seconds }
    }

    fn numbers(phases: AttemptPhases) -> (f64, f64, f64) {
        (phases.start_seconds, phases.run_seconds, phases.paused_seconds)
    }

    #[test]
    fn time_that_did_not_run_is_in_no_phase() {
        let (begun, started) = (reading(10, 5), Some(reading(12, 5)));
        assert_eq!(numbers(phases(begun, started, reading(32, 5), trainer_times(18.0, 0.0))), (2.0, 20.0, 0.0));
        // Both were suspended for 300 s.
        assert_eq!(numbers(phases(begun, started, reading(32, 305), trainer_times(18.0, 300.0))), (2.0, 20.0, 300.0));
        // Suspended before the trainer had started; the trainer reports nothing.
        assert_eq!(
            numbers(phases(begun, Some(reading(12, 65)), reading(32, 65), trainer_times(18.0, 0.0))),
            (2.0, 20.0, 60.0)
        );
        assert_eq!(numbers(phases(begun, None, reading(14, 65), TrainerTimes::default())), (4.0, 0.0, 60.0));
    }

    #[test]
    fn agent_and_trainer_may_be_stopped_apart() {
        let (begun, started) = (reading(0, 0), Some(reading(0, 0)));
        // The agent was suspended for 300 s; the trainer trained for all but 10 of them.
        assert_eq!(numbers(phases(begun, started, reading(20, 300), trainer_times(310.0, 0.0))), (0.0, 310.0, 10.0));
        // The trainer was suspended, and the agent waited for it.
        assert_eq!(numbers(phases(begun, started, reading(320, 0), trainer_times(19.0, 300.0))), (0.0, 20.0, 300.0));
        // A trainer that reports more time than has passed.
        assert_eq!(numbers(phases(begun, started, reading(20, 0), trainer_times(1e9, 1e9))), (0.0, 20.0, 0.0));
        assert_eq!(numbers(phases(begun, started, reading(20, 0), trainer_times(0.0, 1e9))), (0.0, 0.0, 20.0));
    }
}
