//! `sweepctl status`: shows the state of a sweep.

use clap::Args;
use sweep_analysis::number::fixed;
use sweep_proto::v1::GetSweepRequest;
use sweep_shapes::text::{ago, count, duration, escape, plural};
use sweep_shapes::{Best, Counts, State, Sweep};

use super::Context;
use super::compare::number;
use crate::client;
use crate::cost;
use crate::failure::{Exit, Failure};
use crate::output::{FAINT, STRONG};

/// The most device classes whose predictions are shown.
const MOST_DEVICES: usize = 4;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl status 3\n  sweepctl status scene-cnn --output json")]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let request = GetSweepRequest { sweep: client::reference(&arguments.sweep) };
    let answer = client.get_sweep(request).await?.into_inner();
    let sweep = Sweep::from(sweep_shapes::expect(answer.sweep, "sweep")?);
    if context.output.is_json() {
        context.output.json(&sweep)?;
    } else {
        context.output.prose(&describe(&sweep))?;
    }
    context.say_how_to_train(&sweep);
    Ok(Exit::Success)
}

/// The full status, for people.
fn describe(sweep: &Sweep) -> String {
    let mut lines = vec![format!("{STRONG}{}{STRONG:#}", headline(sweep))];
    let mut line = |label: &str, text: String| lines.push(format!("  {FAINT}{label:<10}{FAINT:#} {text}"));
    line("trials", counts(&sweep.counts));
    if sweep.epochs_total > 0 {
        line("epochs", format!("{} of {}", count(sweep.epochs_done), count(sweep.epochs_total)));
    }
    if let Some(best) = &sweep.best {
        line("best", best_of(best));
    }
    line("submitted", ago(sweep.submitted_unix_ms));
    if let Some(ended) = sweep.ended_unix_ms {
        line("took", duration((ended - sweep.submitted_unix_ms) as f64 / 1000.0));
    } else if let Some(eta) = sweep.eta_seconds {
        let end = sweep.cost.as_ref().and_then(|cost| cost.end_seconds);
        line("ends in", end.map_or_else(|| duration(eta), |end| cost::about(&end, duration)));
    }
    if let Some(cost) = &sweep.cost {
        line("cost", cost::sentence(cost));
        if let Some(budget) = cost::budget(cost) {
            line("budget", budget);
        }
        for accuracy in cost.accuracy.iter().take(MOST_DEVICES) {
            line("errors", cost::accuracy(accuracy));
        }
    }
    for stage in &sweep.stages {
        let verb = if stage.name.starts_with("more seeds ") { "for" } else { "kept" };
        let choice = stage.choice.as_ref().map(|choice| format!("; {verb} {}", escape(choice))).unwrap_or_default();
        line("stage", format!("{}: {}{choice}", escape(&stage.name), counts(&stage.counts)));
    }
    for trial in &sweep.running {
        let newest = trial.newest.map_or_else(String::new, |newest| {
            let (loss, accuracy) = (fixed(newest.train_loss, 4), fixed(newest.val_accuracy, 4));
            format!(", epoch {} of {}, loss {loss}, val accuracy {accuracy}", newest.epoch, trial.epochs)
        });
        let place = format!("{} slot {}", escape(&trial.worker), trial.slot);
        let short = trial.trial_id.get(..12).unwrap_or(&trial.trial_id);
        line("running", format!("{short} {} seed {} on {place}{newest}", escape(&trial.configuration), trial.seed));
    }
    for reason in &sweep.waiting_for {
        line("waits", escape(reason));
    }
    for one in &sweep.leaves_out {
        line("leaves out", format!("worker {}: {}", escape(&one.worker), escape(&one.reason)));
    }
    for absent in &sweep.out_of_service {
        line("worker", escape(&format!("{} is out of service: {}; {}", absent.worker, absent.reason, absent.remedy)));
    }
    if sweep.held_back.is_some() {
        line("fix", format!("the cause, then run {}", how_to_go_on(sweep.id)));
    }
    lines.join("\n")
}

/// For example `val_accuracy 0.8463 with filters=64`.
pub(crate) fn best_of(best: &Best) -> String {
    let value = number(&best.metric, best.value);
    format!("{} {value} with {}", escape(&best.metric), escape(&best.configuration))
}

/// The commands that resume a held-back sweep.
pub(crate) fn how_to_go_on(id: u64) -> String {
    format!("`sweepctl resume {id}`, or `sweepctl retry {id}`, which also retries the failed trials")
}

/// Whether a sweep is held back until a user acts, because its first trials failed alike.
pub(crate) fn needs_a_person(sweep: &Sweep) -> bool {
    !sweep.state.has_ended() && !sweep.paused && sweep.held_back.as_ref().is_some_and(|held| held.tried == 0)
}

/// For example `sweep 3 scene-cnn: running`, with the reason of a failure.
pub(crate) fn headline(sweep: &Sweep) -> String {
    let reason = sweep.reason.as_ref().map(|reason| format!(": {}", escape(reason))).unwrap_or_default();
    let state = match sweep.paused {
        true => "paused",
        false if needs_a_person(sweep) => "held back",
        false => sweep.state.name(),
    };
    format!("sweep {} {}: {state}{reason}", sweep.id, escape(&sweep.name))
}

/// For example `3 of 16 ended (1 failed, 2 diverged), 2 running`.
pub(crate) fn counts(counts: &Counts) -> String {
    let mut text = match counts.total() {
        0 => "no trials yet".to_owned(),
        total => format!("{} of {} ended", count(counts.ended()), count(total)),
    };
    let noted = [
        (counts.failed, "failed"),
        (counts.diverged, "diverged"),
        (counts.cancelled, "cancelled"),
        (counts.reused, "reused"),
    ];
    let noted: Vec<String> = noted
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{} {word}", count(number)))
        .collect();
    if !noted.is_empty() {
        text.push_str(&format!(" ({})", noted.join(", ")));
    }
    if counts.running > 0 {
        text.push_str(&format!(", {} running", count(counts.running)));
    }
    if counts.to_come_at_most > 0 {
        text.push_str(&format!(", at most {} to come", plural(counts.to_come_at_most, "trial")));
    }
    text
}

/// What a sweep's end means for the exit code. A coordinator of an earlier release does not say that a sweep stopped at its
/// budget: such a sweep counts as cancelled.
pub(crate) fn exit(sweep: &Sweep) -> Exit {
    match sweep.state {
        State::Succeeded => Exit::Success,
        State::Failed => Exit::TrialsFailed,
        // It did what it was asked: it stopped at its budget.
        State::Cancelled if sweep.stopped_at_budget => match sweep.counts.failed {
            0 => Exit::Success,
            _ => Exit::TrialsFailed,
        },
        State::Running if needs_a_person(sweep) => Exit::TrialsFailed,
        State::Running | State::Cancelled | State::Unknown => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use sweep_proto::v1;

    use super::*;

    #[test]
    fn counts_read_well_at_their_extremes() {
        let none = Counts::default();
        assert_eq!(counts(&none), "no trials yet");
        assert_eq!(counts(&Counts { to_come_at_most: 1, ..none }), "no trials yet, at most 1 trial to come");
        assert_eq!(counts(&Counts { failed: 1, ..none }), "1 of 1 ended (1 failed)");
        let many = Counts { succeeded: 1_000_000, to_come_at_most: 8_000_000, ..none };
        assert_eq!(counts(&many), "1,000,000 of 1,000,000 ended, at most 8,000,000 trials to come");
    }

    #[test]
    fn workers_out_of_service_are_named_with_the_reason_and_what_puts_them_back() {
        let absent = v1::OutOfService {
            worker: "gpu-7".into(),
            reason: "3 trials in a row that succeeded on other workers failed here".into(),
            remedy: "repair its machine and restart the worker".into(),
        };
        let sweep = Sweep::from(v1::SweepStatus { out_of_service: vec![absent], ..Default::default() });
        let said = anstream::adapter::strip_str(&describe(&sweep)).to_string();
        let line = said.lines().last().unwrap();
        assert_eq!(
            line,
            "  worker     gpu-7 is out of service: 3 trials in a row that succeeded on other workers failed here; \
             repair its \
             machine and restart the worker"
        );
    }

    #[test]
    fn a_sweep_that_stopped_at_its_budget_ended_well_whatever_the_words_of_its_reason() {
        let ended = |stopped_at_budget, failed| {
            let (reason, state) = ("budget spent: 1 of 1 slot-hours used".to_owned(), v1::SweepState::Cancelled.into());
            let counts = Some(v1::TrialCounts { succeeded: 2, failed, ..Default::default() });
            let status = v1::SweepStatus { state, reason, counts, stopped_at_budget, ..Default::default() };
            exit(&Sweep::from(status))
        };
        assert!(matches!((ended(true, 0), ended(true, 1)), (Exit::Success, Exit::TrialsFailed)));
        assert!(matches!((ended(false, 0), ended(false, 1)), (Exit::Failed, Exit::Failed)));
    }

    #[test]
    fn counts_name_only_what_is_there() {
        let plain = Counts { queued: 3, running: 1, succeeded: 2, ..Counts::default() };
        assert_eq!(counts(&plain), "2 of 6 ended, 1 running");
        let all = Counts { failed: 1, diverged: 2, reused: 1, to_come_at_most: 8, ..plain };
        assert_eq!(counts(&all), "3 of 7 ended (1 failed, 2 diverged, 1 reused), 1 running, at most 8 trials to come");
    }
}
