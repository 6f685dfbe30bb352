//! The time for which a trial is charged: time in which its process was stopped or its machine slept does not count.
//! Pure: the result depends only on the given clock readings.

use std::time::Duration;

/// A process that runs reads its clock this often.
pub const TICK: Duration = Duration::from_millis(500);

/// Less than this between two readings is a busy machine, and counts.
pub const LEAST_GAP: Duration = Duration::from_secs(3);

/// Measures how long a process ran, by readings of a clock that continues while the process is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningTime {
    newest: Duration,
    ran: Duration,
    paused: Duration,
}

impl RunningTime {
    /// From this reading on.
    pub fn since(reading: Duration) -> Self {
        Self { newest: reading, ran: Duration::ZERO, paused: Duration::ZERO }
    }

    /// Adds a reading. Returns how long the process did not run before it, if it did not. An older reading than the
    /// newest one changes nothing.
    pub fn read(&mut self, reading: Duration) -> Option<Duration> {
        let passed = reading.saturating_sub(self.newest);
        self.newest = self.newest.max(reading);
        // A process that was stopped had run for a tick at most since its last reading.
        let gap = if passed < LEAST_GAP { Duration::ZERO } else { passed - TICK };
        self.ran = self.ran.saturating_add(passed - gap);
        self.paused = self.paused.saturating_add(gap);
        (!gap.is_zero()).then_some(gap)
    }

    pub fn ran(&self) -> Duration {
        self.ran
    }

    /// How long the process did not run.
    pub fn paused(&self) -> Duration {
        self.paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn running_time_is_counted_and_a_gap_is_not() {
        let mut time = RunningTime::since(seconds(100.0));
        let mut gaps = Vec::new();
        for reading in [100.5, 101.0, 103.9, 104.0, 416.5, 417.0] {
            gaps.extend(time.read(seconds(reading)));
        }
        assert_eq!(gaps, [seconds(312.0)], "once, and half a second before it counts as run");
        assert_eq!((time.ran(), time.paused()), (seconds(5.0), seconds(312.0)));
        assert_eq!(time.ran() + time.paused(), seconds(317.0), "nothing is lost");
    }

    #[test]
    fn a_gap_is_reported_by_the_first_reading_only() {
        let mut time = RunningTime::since(Duration::ZERO);
        assert_eq!(time.read(seconds(60.0)), Some(seconds(59.5)));
        assert_eq!(time.read(seconds(60.0)), None);
        assert_eq!(time.ran(), TICK);
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_or_jumps_to_its_end_does_no_harm() {
        let mut time = RunningTime::since(seconds(10.0));
        for reading in [seconds(10.0), seconds(3.0), Duration::ZERO] {
            assert_eq!(time.read(reading), None);
        }
        assert_eq!((time.ran(), time.paused()), (Duration::ZERO, Duration::ZERO));
        assert_eq!(time.read(seconds(11.0)), None);
        assert_eq!(time.ran(), seconds(1.0), "from the newest reading on");
        let rest = Duration::MAX - seconds(11.0);
        assert_eq!(time.read(Duration::MAX), Some(rest - TICK));
        assert_eq!(time.read(Duration::MAX), None);
        let mut whole = RunningTime::since(Duration::ZERO);
        whole.read(Duration::MAX);
        assert_eq!(whole.ran() + whole.paused(), Duration::MAX);
    }
}
