//! `sweepctl export`: every trial of a sweep with its settings beside its metrics, or every epoch of every trial.

mod cells;
mod pages;
mod points;
mod trials;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Context;
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};

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
        (Form::Csv, false) => trials::as_csv(client, sweep, &mut out, &failed).await?,
        (Form::Csv, true) => points::as_csv(client, sweep, &mut out, &failed).await?,
        (Form::Json, false) => trials::as_json(client, sweep, &mut out, &failed).await?,
        (Form::Json, true) => points::as_json(client, sweep, &mut out, &failed).await?,
    }
    out.flush().map_err(failed)
}
