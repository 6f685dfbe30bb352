//! `sweepctl import`: converts other systems' sweep files to specs. It prints the spec to stdout, and notes about
//! renamed, omitted and assumed parts to stderr.

mod names;
mod wandb;
mod write;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use sweep_shapes::text::{escape, plural};
use sweep_spec::Spec;
use sweep_spec::spec::Limits;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::study;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Convert a Weights & Biases sweep file with `method: grid`
    #[command(after_help = "Example:\n  sweepctl import wandb sweep.yaml > study.yaml")]
    Wandb(Arguments),
}

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Sweep file, or `-` for stdin
    file: PathBuf,
    /// Leave out parameters that Sweep does not support, instead of refusing the file
    #[arg(long)]
    drop_unknown: bool,
}

/// A converted spec.
#[derive(Debug, Serialize)]
struct Imported {
    spec: String,
    /// Notes about renamed, omitted and assumed parts.
    notes: Vec<String>,
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<Exit, Failure> {
    let Verb::Wandb(arguments) = verb;
    let file = arguments.file.display().to_string();
    let file = if file == "-" { "stdin".to_owned() } else { file };
    let text = study::load(&arguments.file)?;
    let imported = imported(&file, &text, arguments.drop_unknown)?;
    if context.output.is_json() {
        context.output.json(&imported)?;
        return Ok(Exit::Success);
    }
    for note in &imported.notes {
        context.output.say(&escape(note));
    }
    context.output.text(imported.spec.trim_end())?;
    Ok(Exit::Success)
}

fn imported(file: &str, text: &[u8], drop_unknown: bool) -> Result<Imported, Failure> {
    let sweep = wandb::read(file, text)?;
    let study = names::mapped(&sweep, drop_unknown);
    if !study.problems.is_empty() {
        let number = plural(study.problems.len() as u64, "parameter");
        let message = format!("{file} has {number} that Sweep does not support");
        let failure = Failure::spec(message, study.problems);
        return Err(if study.droppable {
            failure.hint("add --drop-unknown to leave out unknown parameters")
        } else {
            failure
        });
    }
    let spec = write::yaml(file, &study);
    Spec::parse(spec.as_bytes(), &[], &Limits::default()).map_err(|problems| {
        let lines = problems.0.iter().map(ToString::to_string).collect();
        Failure::spec(format!("{file} does not convert into a valid spec"), lines)
            .hint("change the sweep file; see sweeps/README.md for valid values")
    })?;
    let assumed = format!("the sweep file names no data set: {}", write::assumed(&study));
    Ok(Imported { spec, notes: study.notes.into_iter().chain([assumed]).collect() })
}

#[cfg(test)]
mod tests;
