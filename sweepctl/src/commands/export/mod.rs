//! `sweepctl export`: trials with their settings and metrics, or all epochs, as CSV or JSON; or curves for TensorBoard
//! and MLflow.

pub(super) mod cells;
mod curves;
mod mlflow;
mod points;
mod tensorboard;
mod trials;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use sweep_shapes::text::{escape, plural};

use super::Context;
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One row per trial, one column per setting.
    Csv,
    /// An array of the objects that `trial --output json` shows.
    Json,
    /// A folder of event files with the curves of each trial.
    Tensorboard,
    /// A run on an MLflow server for each ended trial; existing runs are not sent again.
    Mlflow,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sweepctl export scene-cnn > trials.csv\n  sweepctl export 3 --points --out points.csv\n  \
                  sweepctl export 3 --format tensorboard --out curves && tensorboard --logdir curves\n  \
                  sweepctl export 3 --format mlflow --to http://127.0.0.1:5000"
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// File format [default: by the extension of --out, else csv, or json with `--output json`]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write one row per epoch instead of one per trial, as CSV or JSON
    #[arg(long)]
    points: bool,
    /// File to write instead of stdout; for TensorBoard, a folder
    #[arg(long, value_name = "PATH", visible_alias = "file")]
    out: Option<PathBuf>,
    /// Address of the MLflow server
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Experiment on the MLflow server, created if missing [default: the sweep's name]
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
}

/// The requested export with its target.
#[derive(Debug)]
enum Wanted<'a> {
    Rows(Form, Option<&'a Path>),
    Tensorboard(&'a Path),
    Mlflow(mlflow::Target<'a>),
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Csv,
    Json,
}

impl Arguments {
    /// The requested format, or the one of the file's extension. A program that opens the file relies on its extension,
    /// so a contradiction is rejected.
    fn format(&self, default: Format) -> Result<Format, Failure> {
        let Some(file) = &self.out else { return Ok(self.format.unwrap_or(default)) };
        let ending = file.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        let said = match ending.as_deref() {
            Some("csv") => Some(Format::Csv),
            Some("json") => Some(Format::Json),
            Some(_) | None => None,
        };
        let shown = escape(&file.display().to_string());
        match (self.format, said) {
            (Some(Format::Csv), Some(Format::Json)) => {
                Err(Failure::usage(format!("--format csv does not match {shown}, which has the extension of JSON")))
            }
            (Some(Format::Json), Some(Format::Csv)) => {
                Err(Failure::usage(format!("--format json does not match {shown}, which has the extension of CSV")))
            }
            (Some(asked), _) => Ok(asked),
            (None, Some(said)) => Ok(said),
            (None, None) => Err(Failure::usage(format!("the extension of {shown} does not determine the format"))
                .hint("name a file with the extension .csv or .json, or add --format")),
        }
    }

    /// Rejects contradictory flags before a connection is made.
    fn wanted(&self, default: Format) -> Result<Wanted<'_>, Failure> {
        let format = self.format(default)?;
        let curves = matches!(format, Format::Tensorboard | Format::Mlflow);
        if format != Format::Mlflow && (self.to.is_some() || self.experiment.is_some()) {
            return Err(Failure::usage("--to and --experiment are for `--format mlflow`"));
        }
        if curves && self.points {
            return Err(Failure::usage(
                "--points applies only to CSV and JSON; TensorBoard and MLflow always get every epoch",
            ));
        }
        let out = self.out.as_deref();
        match (format, out, self.to.as_deref()) {
            (Format::Csv, out, _) => Ok(Wanted::Rows(Form::Csv, out)),
            (Format::Json, out, _) => Ok(Wanted::Rows(Form::Json, out)),
            (Format::Tensorboard, Some(folder), _) => Ok(Wanted::Tensorboard(folder)),
            (Format::Tensorboard, None, _) => {
                Err(Failure::usage("event files need a folder").hint("name a folder with --out FOLDER"))
            }
            (Format::Mlflow, Some(_), _) => {
                Err(Failure::usage("--out applies only to files").hint("name the MLflow server with --to URL"))
            }
            (Format::Mlflow, None, Some(url)) => {
                Ok(Wanted::Mlflow(mlflow::Target { url, experiment: self.experiment.as_deref() }))
            }
            (Format::Mlflow, None, None) => {
                Err(Failure::usage("no MLflow server is given").hint("name a server with --to http://HOST:PORT"))
            }
        }
    }
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let wanted = arguments.wanted(if context.output.is_json() { Format::Json } else { Format::Csv })?;
    let mut client = client::connect(&context.coordinator).await?;
    match wanted {
        Wanted::Rows(form, None) => {
            write(&mut client, arguments, form, context.output.data(), Failure::writing).await?;
        }
        Wanted::Rows(form, Some(path)) => {
            let file = std::fs::File::create(path).map_err(|error| cannot_write(path, error))?;
            let out = std::io::BufWriter::new(file);
            write(&mut client, arguments, form, out, |error| cannot_write(path, error)).await?;
            context.output.say(&format!("wrote {}", path.display()));
        }
        Wanted::Tensorboard(folder) => {
            let written = tensorboard::export(&mut client, &arguments.sweep, folder).await?;
            let (runs, epochs) = (plural(written.runs, "run"), plural(written.epochs, "epoch"));
            let left_out = others("without an epoch", written.left_out, "trial");
            context.output.say(&format!("wrote {runs}, {epochs}, to {}{left_out}", folder.display()));
            report(context, &written)?;
        }
        Wanted::Mlflow(target) => {
            let written = mlflow::export(&mut client, &arguments.sweep, &target).await?;
            let (runs, epochs) = (plural(written.runs, "run"), plural(written.epochs, "epoch"));
            let known = others("already there", written.known, "run");
            let left_out = others("not ended yet", written.left_out, "trial");
            let experiment = escape(&written.experiment);
            context.output.say(&format!("wrote {runs}, {epochs}, to the experiment `{experiment}`{known}{left_out}"));
            report(context, &written)?;
        }
    }
    Ok(Exit::Success)
}

/// For programs.
fn report<T: Serialize>(context: &Context, written: &T) -> Result<(), Failure> {
    if context.output.is_json() { context.output.json(written) } else { Ok(()) }
}

/// A note about trials that were not written; empty if there are none.
fn others(why: &str, number: u64, noun: &str) -> String {
    if number == 0 { String::new() } else { format!("; {why}: {}", plural(number, noun)) }
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
        (Form::Csv, false) => trials::as_csv(client, sweep, &mut out, &failed).await?,
        (Form::Csv, true) => points::as_csv(client, sweep, &mut out, &failed).await?,
        (Form::Json, false) => trials::as_json(client, sweep, &mut out, &failed).await?,
        (Form::Json, true) => points::as_json(client, sweep, &mut out, &failed).await?,
    }
    out.flush().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_ending_says_what_goes_into_it() {
        let asked = |format: Option<Format>, out: &str| Arguments {
            format,
            out: Some(out.into()),
            sweep: "3".into(),
            points: false,
            to: None,
            experiment: None,
        };
        for (given, out, expected) in [
            (None, "rows.csv", Format::Csv),
            (None, "rows.JSON", Format::Json),
            (Some(Format::Csv), "rows", Format::Csv),
            (Some(Format::Tensorboard), "curves", Format::Tensorboard),
        ] {
            assert_eq!(asked(given, out).format(Format::Csv).unwrap(), expected, "{out}");
        }
        for (given, out) in [(None, "rows.parquet"), (None, "rows"), (Some(Format::Csv), "rows.json")] {
            let said = asked(given, out).format(Format::Csv).unwrap_err().to_string();
            assert!(said.contains(out), "{said}");
        }
    }
}
