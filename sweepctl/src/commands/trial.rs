//! `sweepctl trial`: shows one trial with its settings, attempts and epochs. `sweepctl logs`: shows the logs of its
//! trainers.

use clap::Args;
use serde::Serialize;
use sweep_analysis::number::{fixed, scientific, widest};
use sweep_proto::v1::GetTrialRequest;
use sweep_shapes::Detail;
use sweep_shapes::text::{ago, bytes, count, duration, escape, escape_log, plural};

use super::Context;
use crate::client;
use crate::failure::{Exit, Failure};
use crate::output::{FAINT, Output, STRONG};
use crate::table::Table;

/// Epochs that are shown without `--points`.
const EPOCHS_SHOWN: usize = 10;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl trial 3fa1c2 --points")]
pub(crate) struct Arguments {
    /// Id of the trial: at least its first six hexadecimal digits
    trial: String,
    /// Show all epochs, not only the last ten
    #[arg(long)]
    points: bool,
    /// Show all settings, not only the network's
    #[arg(long)]
    settings: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl logs 3fa1c2\n  sweepctl logs 3fa1c2 --attempt 1")]
pub(crate) struct LogArguments {
    /// Id of the trial: at least its first six hexadecimal digits
    trial: String,
    /// Number of the attempt [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u32>,
}

/// Validates an id.
pub(super) fn checked(trial: &str) -> Result<String, Failure> {
    if trial.len() < 6 || !trial.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!("`{trial}` is not a trial's id"))
            .hint("give at least six hexadecimal digits; run `sweepctl trials SWEEP` to list the trials of a sweep"));
    }
    Ok(trial.to_ascii_lowercase())
}

/// The coordinator's rejection, with a hint for unknown trials.
pub(super) fn unknown(status: tonic::Status) -> Failure {
    let not_found = status.code() == tonic::Code::NotFound;
    let failure = Failure::from(status);
    if not_found { failure.hint("run `sweepctl trials SWEEP` to list the trials of a sweep") } else { failure }
}

async fn fetch(context: &Context, trial: &str) -> Result<Detail, Failure> {
    let trial = checked(trial)?;
    let mut client = client::connect(&context.coordinator).await?;
    Ok(client.get_trial(GetTrialRequest { trial }).await.map_err(unknown)?.into_inner().into())
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let detail = fetch(context, &arguments.trial).await?;
    if context.output.is_json() {
        context.output.json(&detail)?;
        return Ok(Exit::Success);
    }
    context.output.prose(&describe(&detail, arguments.settings))?;
    if !detail.attempt_records.is_empty() {
        context.output.text("")?;
        context.output.table(attempts(&detail.attempt_records))?;
    }
    print_points(&context.output, &detail, arguments.points)?;
    Ok(Exit::Success)
}

fn describe(detail: &Detail, all_settings: bool) -> String {
    let trial = &detail.trial;
    let mut lines = vec![format!("{STRONG}trial {}{STRONG:#}", escape(&trial.trial_id))];
    let mut line = |label: &str, text: String| lines.push(format!("  {FAINT}{label:<14}{FAINT:#} {text}"));
    line("configuration", escape(&trial.configuration));
    line("seed", trial.seed.to_string());
    line("parameters", count(trial.params));
    let outcome = trial.outcome.map(|outcome| format!(" ({outcome})")).unwrap_or_default();
    line("state", format!("{}{outcome}", trial.state));
    if let Some(failure) = &trial.failure {
        line("failure", format!("{}: {}", failure.class, escape(&failure.reason)));
    }
    if let Some(reason) = &detail.waiting_for {
        line("waits", escape(reason));
    }
    for mark in &detail.reproductions {
        line("run again", format!("sweep {}, round {}: {}", mark.sweep, mark.round, escape(&mark.sentence)));
    }
    for (label, metrics) in [("reported", trial.reported), ("best", detail.best), ("last", detail.last)] {
        if let Some(metrics) = metrics {
            let share = |accuracy: f64, loss: f64| format!("{} (loss {})", fixed(accuracy, 4), fixed(loss, 4));
            let training = format!("train {}", share(metrics.train_accuracy, metrics.train_loss));
            let validation = format!("validation {}", share(metrics.val_accuracy, metrics.val_loss));
            line(label, format!("epoch {}: {training}, {validation}", metrics.epoch));
        }
    }
    if let Some(test) = trial.test {
        let (accuracy, loss) = (fixed(test.accuracy, 4), fixed(test.loss, 4));
        line("test", format!("epoch {}: {accuracy} (loss {loss}), not used to choose the epoch", test.epoch));
    }
    if let Some(made) = &trial.provenance {
        let device =
            format!("{} ({}, {})", escape(&made.device), escape(&made.device_name), escape(&made.instruction_set));
        line("device", device);
        let speed = fixed(made.images_per_second, 0);
        let speed = format!("{speed} images/s, {} of memory", bytes(made.peak_memory_bytes));
        line("took", format!("{}, {speed}", duration(made.seconds)));
        line("data", made.data_digest.clone());
        line("split", made.split_digest.clone());
        line("trainer", escape(&made.trainer));
        origin(&made.origin, &mut line);
    }
    let sweeps: Vec<String> = detail.sweeps.iter().map(u64::to_string).collect();
    line("sweeps", sweeps.join(", "));
    let settings = trial.settings.iter().filter(|(path, _)| all_settings || path.starts_with("configuration."));
    for (path, value) in settings {
        line("setting", format!("{} = {}", escape(path), escape(&value.to_string())));
    }
    lines.join("\n")
}

/// Where a result was computed, if known.
fn origin(origin: &sweep_shapes::Origin, line: &mut impl FnMut(&str, String)) {
    let protocol = origin.protocol_digest.clone();
    let host = origin.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    let worker = origin.worker.as_ref().map(|worker| format!("{worker}{host}"));
    let versions = [("coordinator", &origin.coordinator_version), ("worker", &origin.worker_version)];
    let versions: Vec<_> =
        versions.iter().filter_map(|(who, what)| Some(format!("{who} {}", what.as_ref()?))).collect();
    let spec = origin.spec_digest.as_ref().map(|digest| match origin.sweep {
        Some(sweep) => format!("{digest} (sweep {sweep})"),
        None => digest.clone(),
    });
    for (label, text) in [
        ("protocol", protocol),
        ("spec", spec),
        ("revision", origin.revision.clone()),
        ("made by", worker),
        ("versions", (!versions.is_empty()).then(|| versions.join(", "))),
        ("driver", origin.driver.clone()),
        ("kernel cache", origin.kernel_cache.clone()),
    ] {
        if let Some(text) = text {
            line(label, escape(&text));
        }
    }
}

pub(super) fn attempts(records: &[sweep_shapes::Attempt]) -> Table {
    let headings = ["attempt#", "worker", "slot#", "device", "assigned", "start#", "run#", "outcome", "failure"];
    let mut table = Table::new(&headings)
        .names(&["worker", "device"])
        .optional(&["assigned", "start", "slot", "device", "run", "failure"]);
    for attempt in records {
        let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), duration);
        let failure = attempt.failure.as_ref().map(|failure| format!("{}: {}", failure.class, failure.reason));
        table.row([
            attempt.attempt.to_string(),
            attempt.worker.clone(),
            attempt.slot.to_string(),
            attempt.device.clone(),
            ago(attempt.assigned_unix_ms),
            seconds(attempt.start_seconds),
            seconds(attempt.run_seconds),
            attempt.outcome.clone(),
            failure.unwrap_or_default(),
        ]);
    }
    table
}

/// With the fewest digits that identify the value.
fn learning_rate(value: f64) -> String {
    let text = format!("{value:e}");
    if text.len() <= widest(4) { text } else { scientific(value, 4) }
}

fn print_points(output: &Output, detail: &Detail, all: bool) -> Result<(), Failure> {
    let points = &detail.points;
    let shown = if all { points.len() } else { points.len().min(EPOCHS_SHOWN) };
    let headings =
        ["epoch#", "train acc#", "val acc#", "train loss#", "val loss#", "learning rate#", "seconds#", "images/s#"];
    let mut table = Table::new(&headings).optional(&[
        "images/s",
        "learning rate",
        "seconds",
        "train loss",
        "train acc",
        "val loss",
    ]);
    for point in &points[points.len() - shown..] {
        table.row([
            point.epoch.to_string(),
            fixed(point.train_accuracy, 4),
            fixed(point.val_accuracy, 4),
            fixed(point.train_loss, 4),
            fixed(point.val_loss, 4),
            learning_rate(point.learning_rate),
            fixed(point.seconds, 2),
            fixed(point.images_per_second, 0),
        ]);
    }
    if !table.is_empty() {
        output.text("")?;
        output.table(table)?;
    }
    if shown < points.len() {
        output.say(&format!(
            "the last {} of {}; --points shows all",
            count(shown as u64),
            plural(points.len() as u64, "epoch")
        ));
    }
    Ok(())
}

/// The log of one attempt, as `--output json` prints it.
#[derive(Serialize)]
struct Log<'a> {
    trial_id: &'a str,
    attempt: u32,
    outcome: &'a str,
    failure: Option<&'a sweep_shapes::Failure>,
    /// The end of the trainer's log.
    log_tail: &'a str,
}

pub(crate) async fn logs(context: &Context, arguments: &LogArguments) -> Result<Exit, Failure> {
    let detail = fetch(context, &arguments.trial).await?;
    let attempt = match arguments.attempt {
        None => detail.attempt_records.last(),
        Some(number) => detail.attempt_records.iter().rev().find(|attempt| attempt.attempt == number),
    };
    let Some(attempt) = attempt else {
        let message = match arguments.attempt {
            None => format!("trial {} has had no attempt yet", arguments.trial),
            Some(number) => format!("trial {} has had no attempt {number}", arguments.trial),
        };
        return Err(Failure::failed(message).hint(format!("run `sweepctl trial {}` to see its state", arguments.trial)));
    };
    if context.output.is_json() {
        context.output.json(&Log {
            trial_id: &detail.trial.trial_id,
            attempt: attempt.attempt,
            outcome: &attempt.outcome,
            failure: attempt.failure.as_ref(),
            log_tail: &attempt.log_tail,
        })?;
        return Ok(Exit::Success);
    }
    context.output.say(&format!(
        "attempt {} on {}: {}",
        attempt.attempt,
        escape(&attempt.worker),
        escape(&attempt.outcome)
    ));
    if let Some(failure) = &attempt.failure {
        context.output.say(&format!("{}: {}", failure.class, escape(&failure.reason)));
    }
    if attempt.log_tail.is_empty() {
        let why = if attempt.ended_unix_ms.is_some() {
            "the trainer wrote nothing"
        } else {
            "the log is available when the attempt ends"
        };
        context.output.say(why);
    } else {
        context.output.text(&escape_log(attempt.log_tail.trim_end_matches('\n')))?;
    }
    Ok(Exit::Success)
}
