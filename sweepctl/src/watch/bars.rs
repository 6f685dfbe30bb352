//! Progress bars on a terminal: one for the sweep, and one line per running trial.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sweep_analysis::number::fixed;
use sweep_shapes::Sweep;
use sweep_shapes::text::escape;

use crate::commands::status::{best_of, counts};
use crate::output::Output;

/// The most running trials that are shown; more are counted.
const MOST_TRIALS: usize = 12;
/// How often the clock on the sweep's line advances without news.
const TICK: Duration = Duration::from_millis(500);

pub(crate) struct Bars {
    progress: MultiProgress,
    sweep: ProgressBar,
    /// By trial id.
    trials: BTreeMap<String, ProgressBar>,
    /// Running trials that are not shown, and why others wait.
    rest: ProgressBar,
    trial_style: ProgressStyle,
}

impl Bars {
    pub(crate) fn new(output: Output, progress: MultiProgress) -> Self {
        let coloured = output.stderr_is_coloured();
        let colour = |name: &str| if coloured { name.to_owned() } else { String::new() };
        let sweep_bar = format!("{{elapsed:>5}} {{bar:32{}}} {{wide_msg}}", colour(".cyan"));
        let trial_bar = format!("      {{bar:16{}}} {{pos:>4}}/{{len}} {{wide_msg}}", colour(".green"));
        let sweep = progress.add(ProgressBar::new(0).with_style(style(&sweep_bar)));
        sweep.enable_steady_tick(TICK);
        let rest = progress.add(ProgressBar::new(0).with_style(style("      {wide_msg}")));
        Self { progress, sweep, trials: BTreeMap::new(), rest, trial_style: style(&trial_bar) }
    }

    pub(crate) fn update(&mut self, sweep: &Sweep) {
        self.sweep.set_length(sweep.epochs_total);
        self.sweep.set_position(sweep.epochs_done);
        self.sweep.set_message(headline(sweep));
        let shown = &sweep.running[..sweep.running.len().min(MOST_TRIALS)];
        self.trials.retain(|id, bar| {
            let stays = shown.iter().any(|trial| trial.trial_id == *id);
            if !stays {
                bar.finish_and_clear();
                self.progress.remove(bar);
            }
            stays
        });
        for trial in shown {
            let bar = self.trials.entry(trial.trial_id.clone()).or_insert_with(|| {
                let bar = ProgressBar::new(0).with_style(self.trial_style.clone());
                self.progress.insert_before(&self.rest, bar)
            });
            let numbers = trial.newest.map_or_else(
                || "starts".to_owned(),
                |newest| {
                    let (loss, accuracy) = (fixed(newest.train_loss, 4), fixed(newest.val_accuracy, 4));
                    format!("loss {loss}  val accuracy {accuracy}")
                },
            );
            bar.set_length(trial.epochs.into());
            bar.set_position(trial.newest.map_or(0, |newest| newest.epoch.into()));
            bar.set_message(format!("{numbers}  seed {}  {}", trial.seed, escape(&trial.configuration)));
        }
        let hidden = sweep.running.len() - shown.len();
        let hidden = (hidden > 0).then(|| format!("and {hidden} more"));
        let waits = sweep.waiting_for.iter().map(|reason| escape(reason));
        self.rest.set_message(hidden.into_iter().chain(waits).collect::<Vec<_>>().join("; "));
    }

    /// Prints a line above the bars.
    pub(crate) fn say(&self, text: &str) {
        self.progress.println(text).ok();
    }

    pub(crate) fn clear(&mut self) {
        self.sweep.disable_steady_tick();
        self.progress.clear().ok();
    }
}

fn headline(sweep: &Sweep) -> String {
    let mut parts = vec![counts(&sweep.counts)];
    if let Some(eta) = sweep.eta_seconds {
        parts.push(super::plain::to_go(sweep, eta));
    }
    if let Some(best) = &sweep.best {
        parts.push(format!("best {}", best_of(best)));
    }
    parts.join("; ")
}

/// The templates are constants that a test checks; a plain bar is the fallback.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━╌")
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;

    use super::*;
    use crate::output::{Color, Format};

    #[test]
    fn the_templates_are_understood() {
        for template in ["{elapsed:>5} {bar:32.cyan} {wide_msg}", "      {bar:16} {pos:>4}/{len} {wide_msg}"] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn trials_come_and_go() {
        let progress = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut bars = Bars::new(Output::new(Format::Text, Color::Never), progress);
        let running =
            |id: u8| sweep_proto::v1::RunningTrial { trial_id: vec![id].into(), epochs: 3, ..Default::default() };
        let sweep = |ids: std::ops::Range<u8>| {
            let running = ids.map(running).collect();
            Sweep::from(sweep_proto::v1::SweepStatus { running, ..Default::default() })
        };
        bars.update(&sweep(0..20));
        assert_eq!(bars.trials.len(), MOST_TRIALS);
        bars.update(&sweep(2..4));
        assert_eq!(bars.trials.len(), 2);
        bars.clear();
    }
}
