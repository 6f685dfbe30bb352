//! Predicts the end of a sweep by assigning its trials to slots as the scheduler does, the longest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::model::{Estimate, Prediction};

/// More trials than this are not put on slots one by one: then the end is where the work is shared out evenly.
const ONE_BY_ONE: u64 = 20_000;

/// Trials that take the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batch {
    pub trials: u64,
    /// The time of each trial.
    pub each: Estimate,
}

/// The rest of a sweep.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Left {
    /// The seconds that each running trial still needs.
    pub running: Vec<Estimate>,
    /// Waiting trials by step. A step begins when the step before it has ended.
    pub steps: Vec<Vec<Batch>>,
}

/// The forecast of the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Seconds until the end; absent without a slot.
    pub end: Option<Prediction>,
    /// Seconds of slots.
    pub slot_seconds: Prediction,
}

/// Sums over trials, for their common spread.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    seconds: f64,
    /// The sum of squares, weighted by the variance of each.
    own: f64,
    /// Weighted by seconds.
    shared: f64,
    freedom: f64,
}

impl Sums {
    fn add(&mut self, estimate: &Estimate, trials: f64) {
        self.seconds += trials * estimate.seconds;
        self.own += trials * estimate.seconds.powi(2) * estimate.own;
        self.shared += trials * estimate.seconds * estimate.shared;
        self.freedom += trials * estimate.seconds * estimate.freedom;
    }

    /// The variance of the logarithm of a sum over a share of the trials.
    fn variance(&self, slots: f64) -> f64 {
        if self.seconds > 0.0 { self.shared / self.seconds + slots * self.own / self.seconds.powi(2) } else { 0.0 }
    }

    fn freedom(&self) -> f64 {
        if self.seconds > 0.0 { self.freedom / self.seconds } else { 1.0 }
    }
}

/// The forecast for `slots` slots. It is zero if nothing is left.
pub fn forecast(left: &Left, slots: usize) -> Forecast {
    let mut sums = Sums::default();
    left.running.iter().for_each(|running| sums.add(running, 1.0));
    left.steps.iter().flatten().for_each(|batch| sums.add(&batch.each, batch.trials as f64));
    let end = (slots > 0 || left.is_empty()).then(|| {
        let mut busy: Vec<f64> = left.running.iter().map(|running| running.seconds).collect();
        let mut begun = 0.0;
        for step in &left.steps {
            begun += step_end(&busy, step, slots.max(1));
            busy.clear();
        }
        if left.steps.is_empty() {
            begun = busy.iter().copied().fold(0.0, f64::max);
        }
        Prediction::around(begun, sums.variance(slots.max(1) as f64), sums.freedom())
    });
    Forecast { end, slot_seconds: Prediction::around(sums.seconds, sums.variance(1.0), sums.freedom()) }
}

impl Left {
    fn is_empty(&self) -> bool {
        self.running.is_empty() && self.steps.iter().all(Vec::is_empty)
    }
}

/// When the last trial of a step ends, the longest being taken first.
fn step_end(busy: &[f64], step: &[Batch], slots: usize) -> f64 {
    let trials: u64 = step.iter().map(|batch| batch.trials).sum();
    let longest = step.iter().filter(|batch| batch.trials > 0).map(|batch| batch.each.seconds);
    let longest = longest.chain(busy.iter().copied()).fold(0.0, f64::max);
    if trials > ONE_BY_ONE {
        let work: f64 = step.iter().map(|batch| batch.trials as f64 * batch.each.seconds).sum();
        return ((work + busy.iter().sum::<f64>()) / slots as f64).max(longest);
    }
    let mut batches: Vec<&Batch> = step.iter().collect();
    batches.sort_by(|a, b| b.each.seconds.total_cmp(&a.each.seconds));
    // Whole microseconds have an order.
    let micros = |seconds: f64| (seconds.max(0.0) * 1e6) as u64;
    let mut free: BinaryHeap<Reverse<u64>> = busy.iter().map(|seconds| Reverse(micros(*seconds))).collect();
    while free.len() < slots {
        free.push(Reverse(0));
    }
    let mut last = busy.iter().map(|seconds| micros(*seconds)).max().unwrap_or(0);
    for batch in batches {
        for _ in 0..batch.trials {
            let Some(Reverse(from)) = free.pop() else { break };
            let until = from.saturating_add(micros(batch.each.seconds));
            last = last.max(until);
            free.push(Reverse(until));
        }
    }
    last as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(seconds: f64) -> Estimate {
        Estimate { seconds, own: 0.01, shared: 0.0025, freedom: 20.0, memory_bytes: 0 }
    }

    fn batch(trials: u64, seconds: f64) -> Batch {
        Batch { trials, each: each(seconds) }
    }

    fn end(left: &Left, slots: usize) -> f64 {
        forecast(left, slots).end.unwrap().expected
    }

    #[test]
    fn the_longest_go_first_and_what_runs_counts_with_what_it_still_needs() {
        let left = Left { running: vec![each(3.0)], steps: vec![vec![batch(2, 2.0), batch(1, 4.0)]] };
        // One slot: 3 + 4 + 2 + 2; two: the other takes 4 and then 2.
        assert_eq!((end(&left, 1), end(&left, 2)), (11.0, 6.0));
        assert_eq!(forecast(&left, 2).slot_seconds.expected, 11.0);
    }

    #[test]
    fn a_step_waits_for_the_one_before_it() {
        let left = Left { running: Vec::new(), steps: vec![vec![batch(3, 2.0)], vec![batch(1, 5.0)]] };
        assert_eq!(end(&left, 2), 9.0);
    }

    #[test]
    fn without_a_slot_there_is_no_end_but_there_is_work() {
        let left = Left { running: Vec::new(), steps: vec![vec![batch(3, 2.0)]] };
        let found = forecast(&left, 0);
        assert_eq!((found.end, found.slot_seconds.expected), (None, 6.0));
        assert_eq!(forecast(&Left::default(), 0).end.unwrap().expected, 0.0);
    }

    #[test]
    fn a_million_trials_are_shared_out_evenly() {
        let left = Left { running: Vec::new(), steps: vec![vec![batch(1_000_000, 2.0)]] };
        assert_eq!(end(&left, 100), 20_000.0);
    }

    #[test]
    fn many_trials_are_surer_together_than_each_alone() {
        let spread = |trials: u64| {
            let found = forecast(&Left { running: Vec::new(), steps: vec![vec![batch(trials, 2.0)]] }, 1);
            found.slot_seconds.high / found.slot_seconds.expected
        };
        assert!(spread(100) < spread(1) && spread(100) > 1.05, "{} {}", spread(100), spread(1));
    }
}
