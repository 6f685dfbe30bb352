//! Progress as lines: at changes, and at most one every few seconds.

use std::time::{Duration, Instant};
use sweep_shapes::text::{count, duration, escape};
use sweep_shapes::{Counts, Prediction, Sweep};

use crate::commands::status::{best_of, counts, headline};
use crate::output::Output;

/// The shortest time between two lines, unless a trial failed or the sweep ended.
const LEAST_PAUSE: Duration = Duration::from_secs(2);
/// The shortest time between two lines if only epochs have changed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(crate) struct Plain {
    output: Output,
    last: Option<Last>,
}

struct Last {
    at: Instant,
    counts: Counts,
    epochs_done: u64,
    waiting_for: Vec<String>,
}

impl Plain {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, last: None }
    }

    pub(crate) fn update(&mut self, sweep: &Sweep) {
        let now = Instant::now();
        if !is_worth_a_line(self.last.as_ref(), sweep, now) {
            return;
        }
        let waited = self.last.as_ref().map_or(&[][..], |last| &last.waiting_for);
        let waits = if sweep.state.has_ended() { &[][..] } else { &sweep.waiting_for };
        for reason in waits.iter().filter(|reason| !waited.contains(reason)) {
            self.output.say(&format!("waits: {}", escape(reason)));
        }
        self.output.say(&line(sweep));
        let waiting_for = sweep.waiting_for.clone();
        self.last = Some(Last { at: now, counts: sweep.counts, epochs_done: sweep.epochs_done, waiting_for });
    }
}

fn is_worth_a_line(last: Option<&Last>, sweep: &Sweep, now: Instant) -> bool {
    let Some(last) = last else {
        return true;
    };
    let since = now.saturating_duration_since(last.at);
    let changed = sweep.counts != last.counts || sweep.waiting_for != last.waiting_for;
    sweep.state.has_ended()
        || sweep.counts.failed > last.counts.failed
        || (changed && since >= LEAST_PAUSE)
        || (sweep.epochs_done != last.epochs_done && since >= LONGEST_PAUSE)
}

/// For example `sweep 3 scene-cnn: running; 3 of 16 ended, 2 running; epoch 30 of 160; best val_accuracy 0.6120
/// (filters=64); 2 min to go`.
fn line(sweep: &Sweep) -> String {
    let mut parts = vec![headline(sweep), counts(&sweep.counts)];
    if sweep.epochs_total > 0 {
        parts.push(format!("epoch {} of {}", count(sweep.epochs_done), count(sweep.epochs_total)));
    }
    if let Some(best) = &sweep.best {
        parts.push(format!("best {}", best_of(best)));
    }
    if let (Some(eta), false) = (sweep.eta_seconds, sweep.state.has_ended()) {
        parts.push(to_go(sweep, eta));
    }
    parts.join("; ")
}

/// For example `2 min to go (1 min to 3 min)`.
pub(super) fn to_go(sweep: &Sweep, eta: f64) -> String {
    remaining(eta, sweep.cost.as_ref().and_then(|cost| cost.end_seconds))
}

/// The expected time and its interval. Below a second the two are not distinguished.
pub(in crate::watch) fn remaining(eta: f64, interval: Option<Prediction>) -> String {
    let said = |seconds: f64| match seconds.round() {
        seconds if seconds < 1.0 => "less than 1 s".to_owned(),
        seconds => duration(seconds),
    };
    let expected = said(eta);
    match interval.map(|interval| (said(interval.low), said(interval.high))) {
        Some((low, high)) if low != high => format!("{expected} to go ({low} to {high})"),
        Some(_) | None => format!("{expected} to go"),
    }
}

#[cfg(test)]
mod tests {
    use sweep_proto::v1;

    use super::*;

    #[test]
    fn the_time_that_is_left_is_said_only_as_far_as_it_says_something() {
        let interval = |low: f64, high: f64| Some(Prediction { expected: 1.0, low, high });
        assert_eq!(remaining(754.0, interval(603.0, 980.0)), "12 min 34 s to go (10 min 3 s to 16 min 20 s)");
        assert_eq!(remaining(0.0, interval(0.0, 0.2)), "less than 1 s to go");
        assert_eq!(remaining(0.4, interval(0.2, 3.2)), "less than 1 s to go (less than 1 s to 3 s)");
        assert_eq!(remaining(5.0, interval(4.9, 5.2)), "5 s to go");
        assert_eq!(remaining(61.0, None), "1 min 1 s to go");
        assert_eq!(remaining(f64::NAN, None), "? to go");
    }

    fn sweep(counts: v1::TrialCounts, state: v1::SweepState) -> Sweep {
        let mut status = v1::SweepStatus { id: 3, name: "x".into(), counts: Some(counts), ..Default::default() };
        status.set_state(state);
        status.into()
    }

    #[test]
    fn lines_come_at_changes_and_not_too_often() {
        let before = v1::TrialCounts { queued: 2, ..Default::default() };
        let first = sweep(before, v1::SweepState::Running);
        let at = Instant::now();
        assert!(is_worth_a_line(None, &first, at));
        let last = Last { at, counts: first.counts, epochs_done: 0, waiting_for: Vec::new() };
        assert!(!is_worth_a_line(Some(&last), &first, at + LONGEST_PAUSE));
        let changed = sweep(v1::TrialCounts { queued: 1, running: 1, ..before }, v1::SweepState::Running);
        assert!(!is_worth_a_line(Some(&last), &changed, at));
        assert!(is_worth_a_line(Some(&last), &changed, at + LEAST_PAUSE));
        let failed = sweep(v1::TrialCounts { failed: 1, ..before }, v1::SweepState::Running);
        assert!(is_worth_a_line(Some(&last), &failed, at));
        let ended = sweep(before, v1::SweepState::Cancelled);
        assert!(is_worth_a_line(Some(&last), &ended, at));
        let moved = Sweep { epochs_done: 1, ..first };
        assert!(!is_worth_a_line(Some(&last), &moved, at + LEAST_PAUSE));
        assert!(is_worth_a_line(Some(&last), &moved, at + LONGEST_PAUSE));
    }

    #[test]
    fn a_line_says_what_is_known() {
        let running = sweep(v1::TrialCounts { queued: 2, ..Default::default() }, v1::SweepState::Running);
        assert_eq!(line(&running), "sweep 3 x: running; 0 of 2 ended");
        let running = Sweep { epochs_total: 20, epochs_done: 5, eta_seconds: Some(61.0), ..running };
        assert_eq!(line(&running), "sweep 3 x: running; 0 of 2 ended; epoch 5 of 20; 1 min 1 s to go");
    }
}
