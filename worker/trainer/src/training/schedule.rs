//! The learning rate per epoch, as Keras's `ReduceLROnPlateau` computes it.

use sweep_spec::protocol::{Monitor, Optimizer, Protocol, Schedule};
use sweep_spec::trainer::EpochMetrics;

/// A schedule and its state, a function of the epochs so far; a checkpoint stores only their metrics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScheduleState {
    schedule: Schedule,
    learning_rate: f64,
    best: Option<f64>,
    wait: u32,
    cooldown: u32,
}

impl ScheduleState {
    fn new(schedule: &Schedule, learning_rate: f64) -> Self {
        Self { schedule: schedule.clone(), learning_rate, best: None, wait: 0, cooldown: 0 }
    }

    /// The schedule before the first epoch under `protocol`.
    pub(crate) fn of(protocol: &Protocol) -> Self {
        let Optimizer::Adam { learning_rate, .. } = protocol.optimizer;
        Self::new(&protocol.schedule, learning_rate)
    }

    /// The learning rate of the next epoch.
    pub(crate) fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Updates the state with an epoch's metrics.
    pub(crate) fn observe(&mut self, metrics: &EpochMetrics) {
        let Schedule::ReduceOnPlateau { monitor, factor, patience, min_delta, cooldown, min_learning_rate } =
            self.schedule
        else {
            return;
        };
        // Larger values are better in both cases.
        let value = match monitor {
            Monitor::ValAccuracy => metrics.val_accuracy,
            Monitor::ValLoss => -metrics.val_loss,
        };
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.wait = 0;
        }
        if self.best.is_none_or(|best| value > best + min_delta) {
            self.best = Some(value);
            self.wait = 0;
        } else if self.cooldown == 0 {
            self.wait += 1;
            if self.wait >= patience {
                self.learning_rate = self.learning_rate.min((self.learning_rate * factor).max(min_learning_rate));
                self.cooldown = cooldown;
                self.wait = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: &Schedule, accuracies: &[f64]) -> Vec<f64> {
        let mut state = ScheduleState::new(schedule, 1.0);
        let observe = |&val_accuracy: &f64| {
            state.observe(&EpochMetrics {
                epoch: 1,
                train_loss: 0.0,
                train_accuracy: 0.0,
                val_loss: 1.0 - val_accuracy,
                val_accuracy,
                learning_rate: 0.0,
                seconds: 0.0,
                images_per_second: 0.0,
            });
            state.learning_rate()
        };
        accuracies.iter().map(observe).collect()
    }

    fn plateau(monitor: Monitor, patience: u32, cooldown: u32) -> Schedule {
        Schedule::ReduceOnPlateau { monitor, factor: 0.5, patience, min_delta: 1e-4, cooldown, min_learning_rate: 0.2 }
    }

    #[test]
    fn the_rate_falls_after_patience_and_never_below_its_floor() {
        let accuracies = [0.5, 0.6, 0.6, 0.60005, 0.6, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7];
        let expected = [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2];
        for monitor in [Monitor::ValAccuracy, Monitor::ValLoss] {
            assert_eq!(rates(&plateau(monitor, 2, 0), &accuracies), expected);
        }
    }

    #[test]
    fn epochs_of_a_cooldown_are_not_counted() {
        assert_eq!(rates(&plateau(Monitor::ValAccuracy, 1, 2), &[0.5; 5]), [1.0, 0.5, 0.5, 0.25, 0.25]);
    }

    #[test]
    fn a_rate_that_starts_below_the_floor_does_not_rise() {
        let mut state = ScheduleState::new(&plateau(Monitor::ValAccuracy, 1, 0), 0.1);
        let metrics = EpochMetrics {
            epoch: 1,
            train_loss: 0.0,
            train_accuracy: 0.0,
            val_loss: 0.0,
            val_accuracy: 0.5,
            learning_rate: 0.1,
            seconds: 0.0,
            images_per_second: 0.0,
        };
        (0..3).for_each(|_| state.observe(&metrics));
        assert_eq!(state.learning_rate(), 0.1);
    }

    #[test]
    fn a_constant_rate_stays() {
        assert_eq!(rates(&Schedule::Constant, &[0.5; 3]), [1.0; 3]);
    }
}
