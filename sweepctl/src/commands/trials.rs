//! `sweepctl trials`: lists the trials of a sweep, filtered by state, configuration or seed.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::ser::CompactFormatter;
use sweep_analysis::number::fixed;
use sweep_proto::v1::{GetSweepRequest, ListTrialsRequest, TrialState};
use sweep_shapes::text::escape;
use sweep_shapes::{Summary, Sweep};

use super::compare::number;
use super::export::cells::JsonArray;
use super::{Context, status};
use crate::client;
use crate::failure::{Exit, Failure};
use crate::output::{Output, write_json};
use crate::table::Table;
use crate::trial_pages::Trials;

/// Digits of an id that are shown; every command accepts six or more.
const SHORT: usize = 12;
/// Columns that may be left out on narrow terminals, the least important first.
const OPTIONAL: [&str; 4] = ["attempts", "seconds", "worker", "why it failed"];

#[derive(Debug, Args)]
#[command(
    after_help = "If there are more than --limit trials, the last line contains the command for the next ones. In \
        JSON, `next` contains the value for --after.\n\n\
        Examples:\n  sweepctl trials scene-cnn --state failed\n  sweepctl trials 3 --configuration filters=64 \
        --full\n  sweepctl trials 3 --seed 0 --output json | jq -r '.trials[].trial_id'"
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Only trials in these states, separated by commas
    #[arg(long, value_enum, value_name = "STATE", value_delimiter = ',')]
    state: Vec<State>,
    /// Only trials of this configuration: its name, its differences from the baseline, `baseline`, or its rank such as
    /// #1
    #[arg(long, value_name = "CONFIGURATION")]
    configuration: Option<String>,
    /// Only trials with this seed
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Maximum number of trials; 0 means all
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u64,
    /// Position to continue an earlier list from, as printed in its last line
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// Show full ids of 64 digits
    #[arg(long)]
    full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<State> for TrialState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Running => Self::Running,
            State::Succeeded => Self::Succeeded,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// A trial, for programs.
#[derive(Serialize)]
struct Row<'a> {
    /// The part of the id that text output shows.
    short_id: &'a str,
    /// The sweep's objective, in the epoch that the protocol reports.
    value: Option<f64>,
    seconds: Option<f64>,
    #[serde(flatten)]
    trial: &'a Summary,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let after = arguments.after.as_deref().map(place).transpose()?.unwrap_or_default();
    let mut client = client::connect(&context.coordinator).await?;
    let asked = GetSweepRequest { sweep: client::reference(&arguments.sweep) };
    let sweep = sweep_shapes::expect(client.get_sweep(asked).await?.into_inner().sweep, "sweep")?;
    let metric = sweep.objective_metric.clone();
    let sweep = Sweep::from(sweep);
    let request = ListTrialsRequest {
        // By number: a newer sweep of the same name may appear between two pages.
        sweep: client::reference(&sweep.id.to_string()),
        page_token: after,
        states: arguments.state.iter().map(|state| TrialState::from(*state).into()).collect(),
        configuration: arguments.configuration.clone().unwrap_or_default(),
        seed: arguments.seed,
        ..ListTrialsRequest::default()
    };
    let limit = if arguments.limit == 0 { u64::MAX } else { arguments.limit };
    let trials = Trials::some(&mut client, request, limit);
    if context.output.is_json() {
        write(context.output, &sweep, &metric, trials).await?;
    } else {
        print(&context.output, arguments, (&sweep, &metric), trials).await?;
    }
    Ok(Exit::Success)
}

/// Validates a position in the list.
fn place(text: &str) -> Result<String, Failure> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.split_once('.').is_some_and(|(before, behind)| digits(before) && digits(behind)) {
        return Ok(text.to_owned());
    }
    Err(Failure::usage(format!("--after: `{}` is not a position in a list of trials", escape(text)))
        .hint("use the position from the last line of a list, or from `next` in its JSON, such as 4.17"))
}

/// One by one: there may be a million.
async fn write(output: Output, sweep: &Sweep, metric: &str, mut trials: Trials<'_>) -> Result<(), Failure> {
    let mut out = output.data();
    let head = |out: &mut dyn Write| -> std::io::Result<()> {
        out.write_all(b"{\"sweep\":")?;
        write_json(&mut *out, CompactFormatter, sweep)?;
        out.write_all(b",\"metric\":")?;
        write_json(&mut *out, CompactFormatter, &metric)?;
        out.write_all(b",\"trials\":\n")
    };
    head(&mut out).map_err(Failure::writing)?;
    let mut array = JsonArray::new(&mut out);
    while let Some(page) = trials.next().await? {
        for trial in &page {
            let row = Row { short_id: short(trial), value: trial.value(metric), seconds: trial.seconds(), trial };
            array.push(&row).map_err(Failure::writing)?;
        }
    }
    array.end().map_err(Failure::writing)?;
    let next = trials.rest().await?;
    let tail = |out: &mut dyn Write| -> std::io::Result<()> {
        out.write_all(b",\"next\":")?;
        write_json(&mut *out, CompactFormatter, &next)?;
        out.write_all(b"}\n")?;
        out.flush()
    };
    tail(&mut out).map_err(Failure::writing)
}

/// A table per page, because the widths of columns are known only for a page.
async fn print(
    output: &Output,
    arguments: &Arguments,
    (sweep, metric): (&Sweep, &str),
    mut trials: Trials<'_>,
) -> Result<(), Failure> {
    output.say(&format!("{}; {}", status::headline(sweep), status::counts(&sweep.counts)));
    let mut shown = 0;
    while let Some(page) = trials.next().await? {
        if page.is_empty() {
            break;
        }
        shown += page.len();
        output.table(table(&page, metric, arguments.full))?;
    }
    if shown == 0 {
        let filtered = !arguments.state.is_empty() || arguments.configuration.is_some() || arguments.seed.is_some();
        output.say(if filtered { "no trial of the sweep matches the filters" } else { "the sweep has no more trials" });
    }
    if let Some(next) = trials.rest().await? {
        output.say(&format!("more trials: `{}`", again(arguments, &next)));
    }
    Ok(())
}

fn table(page: &[Summary], metric: &str, full: bool) -> Table {
    let value = format!("{metric}#");
    // An id is not shortened, like a number.
    let headings =
        ["trial#", "configuration", "seed#", "state", "attempts#", "worker", &value, "seconds#", "why it failed"];
    let mut table = Table::new(&headings).names(&["configuration", "worker"]).optional(&OPTIONAL);
    for trial in page {
        let state = trial.outcome.filter(|outcome| *outcome == "diverged").unwrap_or(trial.state);
        let failure = trial.failure.as_ref().map(|failure| format!("{}: {}", failure.class, failure.reason));
        table.row([
            if full { trial.trial_id.clone() } else { short(trial).to_owned() },
            trial.configuration.clone(),
            trial.seed.to_string(),
            state.to_owned(),
            trial.attempts.to_string(),
            trial.worker.clone().unwrap_or_else(|| "-".to_owned()),
            trial.value(metric).map_or_else(|| "-".to_owned(), |value| number(metric, value)),
            trial.seconds().map_or_else(|| "-".to_owned(), |seconds| fixed(seconds, 1)),
            failure.unwrap_or_default(),
        ]);
    }
    table
}

fn short(trial: &Summary) -> &str {
    trial.trial_id.get(..SHORT).unwrap_or(&trial.trial_id)
}

/// The command that shows the next trials.
fn again(arguments: &Arguments, next: &str) -> String {
    let mut words = vec!["sweepctl trials".to_owned(), quoted(&arguments.sweep)];
    if !arguments.state.is_empty() {
        let names: Vec<&str> = arguments.state.iter().map(|state| state.name()).collect();
        words.push(format!("--state {}", names.join(",")));
    }
    if let Some(configuration) = &arguments.configuration {
        words.push(format!("--configuration {}", quoted(configuration)));
    }
    if let Some(seed) = arguments.seed {
        words.push(format!("--seed {seed}"));
    }
    if arguments.limit != 100 {
        words.push(format!("--limit {}", arguments.limit));
    }
    if arguments.full {
        words.push("--full".to_owned());
    }
    words.push(format!("--after {next}"));
    words.join(" ")
}

/// Quotes a word for a shell if necessary.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_.=/,:".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", escape(word).replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(line: &[&str]) -> Arguments {
        Line::try_parse_from([&["trials"], line].concat()).unwrap().arguments
    }

    #[test]
    fn the_command_for_the_rest_asks_for_the_same_trials() {
        assert_eq!(again(&arguments(&["3"]), "4.17"), "sweepctl trials 3 --after 4.17");
        let line = ["my sweep", "--state", "failed,running", "--configuration", "#1", "--seed", "7", "--limit", "5"];
        let told = "sweepctl trials 'my sweep' --state failed,running --configuration '#1' --seed 7 --limit 5 --full --after 0.1";
        assert_eq!(again(&arguments(&[&line[..], &["--full"]].concat()), "0.1"), told);
    }

    #[test]
    fn a_place_is_two_numbers() {
        assert_eq!(place("4.17").unwrap(), "4.17");
        for wrong in ["", "4", "4.", ".1", "a.b", "-1.2", "1.2.3"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
