//! `sweepctl export`: every trial of a sweep with its settings beside its metrics, or every epoch of every trial.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::ser::CompactFormatter;
use sweep_proto::v1::{ExportPointsRequest, ListTrialsRequest};

use super::Context;
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};
use crate::output::write_json;
use crate::shapes::{Metrics, Origin, Summary};
use crate::text::{escape, hex};

/// The most that the coordinator gives at once.
const PAGE: u32 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A row for each trial, a column for each setting.
    Csv,
    /// An array of the objects that `trial --output json` shows.
    Json,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sweepctl export scene-cnn > trials.csv\n  sweepctl export 3 --points --file points.csv"
)]
pub(crate) struct Arguments {
    /// The sweep: its number, or a name (the newest sweep of that name)
    sweep: String,
    /// csv, or json; csv if it is not given, json with `--output json`
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// One row an epoch instead of one a trial
    #[arg(long)]
    points: bool,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let default = if context.output.is_json() { Form::Json } else { Form::Csv };
    let form = arguments.format.unwrap_or(default);
    let mut client = client::connect(&context.coordinator).await?;
    match &arguments.file {
        None => write(&mut client, arguments, form, context.output.data(), Failure::writing).await?,
        Some(path) => {
            let file = std::fs::File::create(path).map_err(|error| cannot_write(path, error))?;
            let out = std::io::BufWriter::new(file);
            write(&mut client, arguments, form, out, |error| cannot_write(path, error)).await?;
            context.output.say(&format!("wrote {}", path.display()));
        }
    }
    Ok(Exit::Well)
}

fn cannot_write(path: &Path, error: std::io::Error) -> Failure {
    Failure::failed(format!("cannot write {}", path.display())).because(error)
}

async fn write<W: Write>(
    client: &mut Client,
    arguments: &Arguments,
    form: Form,
    mut out: W,
    failed: impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let sweep = &arguments.sweep;
    match (form, arguments.points) {
        (Form::Csv, false) => trials_as_csv(client, sweep, &mut out, &failed).await?,
        (Form::Csv, true) => points_as_csv(client, sweep, &mut out, &failed).await?,
        (Form::Json, false) => trials_as_json(client, sweep, &mut out, &failed).await?,
        (Form::Json, true) => points_as_json(client, sweep, &mut out, &failed).await?,
    }
    out.flush().map_err(failed)
}

/// The trials of a sweep, page after page.
struct Trials<'a> {
    client: &'a mut Client,
    sweep: &'a str,
    /// Absent after the last page.
    token: Option<String>,
}

impl<'a> Trials<'a> {
    fn new(client: &'a mut Client, sweep: &'a str) -> Self {
        Self { client, sweep, token: Some(String::new()) }
    }

    async fn next(&mut self) -> Result<Option<Vec<Summary>>, Failure> {
        let Some(page_token) = self.token.take() else {
            return Ok(None);
        };
        let sweep = client::reference(self.sweep);
        let request = ListTrialsRequest { sweep, page_token: page_token.clone(), page_size: PAGE, states: Vec::new() };
        let answer = self.client.list_trials(request).await?.into_inner();
        if !answer.next_page_token.is_empty() {
            if answer.next_page_token == page_token {
                return Err(Failure::ours("the coordinator gave the same page of trials twice"));
            }
            self.token = Some(answer.next_page_token);
        }
        Ok(Some(answer.trials.into_iter().map(Summary::from).collect()))
    }
}

const TRIAL_COLUMNS: [&str; 37] = [
    "trial_id",
    "configuration",
    "state",
    "outcome",
    "stages",
    "attempts",
    "worker",
    "params",
    "epoch",
    "train_accuracy",
    "val_accuracy",
    "train_loss",
    "val_loss",
    "ratio",
    "seconds",
    "images_per_second",
    "peak_memory_bytes",
    "device",
    "device_name",
    "instruction_set",
    "trainer",
    "data_digest",
    "failure_class",
    "failure_reason",
    "test_accuracy",
    "test_loss",
    "split_digest",
    "protocol_digest",
    "spec_digest",
    "spec_revision",
    "made_by_sweep",
    "made_by_worker",
    "host",
    "coordinator_version",
    "worker_version",
    "driver",
    "kernel_cache",
];

fn trial_cells(trial: &Summary) -> [String; TRIAL_COLUMNS.len()] {
    let metric = |read: fn(&Metrics) -> f64| trial.reported.as_ref().map(read).map_or_else(String::new, number);
    let made = trial.provenance.as_ref();
    let origin = |read: fn(&Origin) -> Option<&String>| {
        guard(made.and_then(|made| read(&made.origin)).map_or("", String::as_str))
    };
    let failure = trial.failure.as_ref();
    let ratio = trial.reported.map(|metrics| metrics.train_accuracy / (10.0 * trial.params as f64));
    [
        trial.trial_id.clone(),
        guard(&trial.configuration),
        trial.state.to_owned(),
        trial.outcome.unwrap_or_default().to_owned(),
        guard(&trial.stages.join(";")),
        trial.attempts.to_string(),
        guard(trial.worker.as_deref().unwrap_or_default()),
        trial.params.to_string(),
        trial.reported.map_or_else(String::new, |metrics| metrics.epoch.to_string()),
        metric(|metrics| metrics.train_accuracy),
        metric(|metrics| metrics.val_accuracy),
        metric(|metrics| metrics.train_loss),
        metric(|metrics| metrics.val_loss),
        ratio.map_or_else(String::new, number),
        made.map_or_else(String::new, |made| number(made.seconds)),
        made.map_or_else(String::new, |made| number(made.images_per_second)),
        made.map_or_else(String::new, |made| made.peak_memory_bytes.to_string()),
        guard(made.map_or("", |made| &made.device)),
        guard(made.map_or("", |made| &made.device_name)),
        guard(made.map_or("", |made| &made.instruction_set)),
        guard(made.map_or("", |made| &made.trainer)),
        made.map_or_else(String::new, |made| made.data_digest.clone()),
        failure.map_or_else(String::new, |failure| failure.class.clone()),
        guard(failure.map_or("", |failure| &failure.reason)),
        trial.test.map_or_else(String::new, |test| number(test.accuracy)),
        trial.test.map_or_else(String::new, |test| number(test.loss)),
        made.map_or_else(String::new, |made| made.split_digest.clone()),
        origin(|origin| origin.protocol_digest.as_ref()),
        origin(|origin| origin.spec_digest.as_ref()),
        origin(|origin| origin.revision.as_ref()),
        made.and_then(|made| made.origin.sweep).map_or_else(String::new, |sweep| sweep.to_string()),
        origin(|origin| origin.worker.as_ref()),
        origin(|origin| origin.host.as_ref()),
        origin(|origin| origin.coordinator_version.as_ref()),
        origin(|origin| origin.worker_version.as_ref()),
        origin(|origin| origin.driver.as_ref()),
        origin(|origin| origin.kernel_cache.as_ref()),
    ]
}

/// Two walks over the trials, because the header needs every setting's path and memory is not for all of them.
async fn trials_as_csv<W: Write>(
    client: &mut Client,
    sweep: &str,
    out: &mut W,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut paths = BTreeSet::new();
    let mut trials = Trials::new(client, sweep);
    while let Some(page) = trials.next().await? {
        for trial in page {
            paths.extend(trial.settings.into_keys());
        }
    }
    let failed = |error: csv::Error| csv_failure(error, failed);
    let mut writer = csv::Writer::from_writer(out);
    let header = TRIAL_COLUMNS.map(str::to_owned).into_iter().chain(paths.iter().map(|path| guard(path)));
    writer.write_record(header).map_err(failed)?;
    let mut trials = Trials::new(client, sweep);
    while let Some(page) = trials.next().await? {
        for trial in page {
            if trial.settings.keys().any(|path| !paths.contains(path)) {
                return Err(Failure::failed("the sweep grew while it was read").hint("export it again"));
            }
            let settings = paths.iter().map(|path| trial.settings.get(path).map_or_else(String::new, setting));
            writer.write_record(trial_cells(&trial).into_iter().chain(settings)).map_err(failed)?;
        }
    }
    writer.flush().map_err(|error| failed(error.into()))
}

async fn trials_as_json<W: Write>(
    client: &mut Client,
    sweep: &str,
    out: &mut W,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut trials = Trials::new(client, sweep);
    let mut array = JsonArray::new(out);
    while let Some(page) = trials.next().await? {
        for trial in page {
            array.push(&trial).map_err(failed)?;
        }
    }
    array.end().map_err(failed)
}

/// One epoch of one attempt.
#[derive(Serialize)]
struct Point<'a> {
    trial_id: String,
    configuration: &'a str,
    seed: Option<u64>,
    attempt: u32,
    #[serde(flatten)]
    metrics: Metrics,
}

/// What a point's row says of its trial.
type Names = BTreeMap<String, (String, u64)>;

async fn names(client: &mut Client, sweep: &str) -> Result<Names, Failure> {
    let mut names = Names::new();
    let mut trials = Trials::new(client, sweep);
    while let Some(page) = trials.next().await? {
        names.extend(page.into_iter().map(|trial| (trial.trial_id, (trial.configuration, trial.seed))));
    }
    Ok(names)
}

async fn for_each_point(
    client: &mut Client,
    sweep: &str,
    mut write: impl FnMut(Point<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let names = names(client, sweep).await?;
    let request = ExportPointsRequest { sweep: client::reference(sweep) };
    let mut stream = client.export_points(request).await?.into_inner();
    while let Some(answer) = stream.message().await? {
        for point in answer.points {
            let trial_id = hex(&point.trial_id);
            let known = names.get(&trial_id);
            let configuration = known.map_or("", |(configuration, _)| configuration);
            let metrics = client::expect(point.metrics, "metrics")?.into();
            let seed = known.map(|(_, seed)| *seed);
            write(Point { trial_id, configuration, seed, attempt: point.attempt, metrics })?;
        }
    }
    Ok(())
}

async fn points_as_csv<W: Write>(
    client: &mut Client,
    sweep: &str,
    out: &mut W,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let failed = |error: csv::Error| csv_failure(error, failed);
    let mut writer = csv::Writer::from_writer(out);
    let header = [
        "trial_id",
        "configuration",
        "seed",
        "attempt",
        "epoch",
        "train_accuracy",
        "val_accuracy",
        "train_loss",
        "val_loss",
        "learning_rate",
        "seconds",
        "images_per_second",
    ];
    writer.write_record(header).map_err(failed)?;
    let row = |point: Point<'_>| {
        let metrics = point.metrics;
        let cells = [
            point.trial_id,
            guard(point.configuration),
            point.seed.map_or_else(String::new, |seed| seed.to_string()),
            point.attempt.to_string(),
            metrics.epoch.to_string(),
            number(metrics.train_accuracy),
            number(metrics.val_accuracy),
            number(metrics.train_loss),
            number(metrics.val_loss),
            number(metrics.learning_rate),
            number(metrics.seconds),
            number(metrics.images_per_second),
        ];
        writer.write_record(cells).map_err(failed)
    };
    for_each_point(client, sweep, row).await?;
    writer.flush().map_err(|error| failed(error.into()))
}

async fn points_as_json<W: Write>(
    client: &mut Client,
    sweep: &str,
    out: &mut W,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut array = JsonArray::new(out);
    for_each_point(client, sweep, |point| array.push(&point).map_err(failed)).await?;
    array.end().map_err(failed)
}

/// A JSON array that is written element by element, one a line.
struct JsonArray<'a, W> {
    out: &'a mut W,
    empty: bool,
}

impl<'a, W: Write> JsonArray<'a, W> {
    fn new(out: &'a mut W) -> Self {
        Self { out, empty: true }
    }

    fn push<T: Serialize>(&mut self, element: &T) -> std::io::Result<()> {
        self.out.write_all(if self.empty { b"[\n" } else { b",\n" })?;
        self.empty = false;
        write_json(&mut *self.out, CompactFormatter, element)
    }

    fn end(self) -> std::io::Result<()> {
        self.out.write_all(if self.empty { b"[]\n" } else { b"\n]\n" })
    }
}

fn csv_failure(error: csv::Error, failed: &impl Fn(std::io::Error) -> Failure) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => failed(error),
        other => Failure::ours("cannot write a row").because(format!("{other:?}")),
    }
}

/// A number as it reads back; what is not finite is left empty.
fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}

fn setting(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => guard(text),
        serde_json::Value::Array(items) => {
            let texts: Vec<&str> = items.iter().filter_map(serde_json::Value::as_str).collect();
            guard(&texts.join(";"))
        }
        other => other.to_string(),
    }
}

/// A text that no spreadsheet takes for a formula and no terminal acts on.
fn guard(text: &str) -> String {
    let text = escape(text);
    match text.starts_with(['=', '+', '-', '@']) {
        true => format!("'{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_formula_and_no_number_is_touched() {
        assert_eq!(guard("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(guard("filters=64"), "filters=64");
        assert_eq!(setting(&serde_json::json!("@x")), "'@x");
        assert_eq!(setting(&serde_json::json!(-1.5)), "-1.5");
        assert_eq!(setting(&serde_json::json!(["coast", "forest"])), "coast;forest");
        assert_eq!([number(1e-7), number(f64::NAN)], ["0.0000001", ""]);
    }

    #[test]
    fn an_array_written_piece_by_piece_is_json() {
        for count in 0..3 {
            let mut text = Vec::new();
            let mut array = JsonArray::new(&mut text);
            for element in 0..count {
                array.push(&element).unwrap();
            }
            array.end().unwrap();
            let read: Vec<u32> = serde_json::from_slice(&text).unwrap();
            assert_eq!(read, (0..count).collect::<Vec<_>>());
        }
    }
}
