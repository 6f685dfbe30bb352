//! The states of slots: how many are in each, and for how long.

use std::sync::PoisonError;
use std::time::Instant;

use super::Metrics;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotState {
    Idle,
    Starting,
    Running,
    Ending,
}

impl SlotState {
    pub(super) const ALL: [Self; 4] = [Self::Idle, Self::Starting, Self::Running, Self::Ending];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ending => "ending",
        }
    }
}

/// The state of a slot, and the moment up to which its time is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotClock {
    slot: u32,
    state: SlotState,
    counted: Instant,
    /// When its last trial ended; before the first trial there is no gap to measure.
    ended: Option<Instant>,
}

impl Metrics {
    pub(crate) fn slot_appears(&self, slot: u32) {
        self.slots.with_label_values(&[SlotState::Idle.name()]).inc();
        for state in SlotState::ALL {
            self.slot_seconds.with_label_values(&[slot.to_string().as_str(), state.name()]);
        }
        let clock = SlotClock { slot, state: SlotState::Idle, counted: Instant::now(), ended: None };
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner).push(clock);
    }

    pub(crate) fn slot_moves(&self, slot: u32, to: SlotState) {
        self.slot_moves_at(Instant::now(), slot, to);
    }

    fn slot_moves_at(&self, now: Instant, slot: u32, to: SlotState) {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(clock) = clocks.iter_mut().find(|clock| clock.slot == slot) else { return };
        self.count(clock, now);
        self.slots.with_label_values(&[clock.state.name()]).dec();
        self.slots.with_label_values(&[to.name()]).inc();
        if clock.state == SlotState::Idle
            && let Some(ended) = clock.ended.take()
        {
            self.gap_seconds.observe(now.saturating_duration_since(ended).as_secs_f64());
        }
        if to == SlotState::Idle {
            clock.ended = Some(now);
        }
        clock.state = to;
    }

    /// Counts the time of every slot up to `now`.
    pub(super) fn count_time(&self, now: Instant) {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.iter_mut().for_each(|clock| self.count(clock, now));
    }

    fn count(&self, clock: &mut SlotClock, now: Instant) {
        let seconds = now.saturating_duration_since(clock.counted).as_secs_f64();
        let slot = clock.slot.to_string();
        self.slot_seconds.with_label_values(&[slot.as_str(), clock.state.name()]).inc_by(seconds);
        clock.counted = clock.counted.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn slots_are_counted_once_wherever_they_stand() {
        let metrics = Metrics::new("w1").unwrap();
        metrics.slot_appears(0);
        metrics.slot_moves(0, SlotState::Running);
        let text = metrics.render().unwrap();
        assert!(text.contains("sweep_worker_slots{state=\"running\",worker=\"w1\"} 1"), "{text}");
        assert!(text.contains("sweep_worker_slots{state=\"idle\",worker=\"w1\"} 0"));
    }

    #[test]
    fn time_goes_to_what_a_slot_did_and_a_gap_lies_between_two_trials() {
        let metrics = Metrics::new("w1").unwrap();
        metrics.slot_appears(0);
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let spent = |state: SlotState| metrics.slot_seconds.with_label_values(&["0", state.name()]).get();
        metrics.slot_moves_at(at(0), 0, SlotState::Running);
        metrics.slot_moves_at(at(10), 0, SlotState::Idle);
        metrics.count_time(at(12));
        metrics.slot_moves_at(at(15), 0, SlotState::Starting);
        metrics.count_time(at(16));
        assert_eq!(spent(SlotState::Running), 10.0);
        assert!((5.0..5.5).contains(&spent(SlotState::Idle)), "{}", spent(SlotState::Idle));
        assert_eq!(spent(SlotState::Starting), 1.0);
        let gaps = &metrics.gap_seconds;
        assert_eq!((gaps.get_sample_count(), gaps.get_sample_sum()), (1, 5.0));
    }
}
