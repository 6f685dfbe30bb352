//! `sweepctl init`: writes a commented spec from a few answers. Questions without a flag are asked on a terminal, or
//! get their default. The spec is planned before it is written, and existing files are not overwritten.

mod answers;
mod ask;
mod text;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::study::Study;
use answers::{Answers, parse_factor};

#[derive(Debug, Args)]
#[command(
    after_help = "Every question has a flag. On a terminal, init asks the questions that no flag answers; with --yes \
        it uses their defaults.\n\nExamples:\n  sweepctl init\n  sweepctl init study.yaml --yes\n  sweepctl init \
        --name scenes --dataset image_folder --path scenes --image-size 64 --classes 8 --factor filters=16,32,64 \
        --factor dropout=0,0.2 --seeds 5 --yes"
)]
pub(crate) struct Arguments {
    /// File to write, or `-` for stdout [default: NAME.yaml]
    file: Option<PathBuf>,
    /// Name of the study
    #[arg(long)]
    name: Option<String>,
    /// Data set that every network is trained on
    #[arg(long, value_enum, value_name = "KIND")]
    dataset: Option<Kind>,
    /// Folder of the data set, relative to the data root
    #[arg(long, value_name = "FOLDER")]
    path: Option<String>,
    /// Height and width that images are resized to, in pixels
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<u32>,
    /// Number of classes
    #[arg(long)]
    classes: Option<u32>,
    /// Factor and its levels, the baseline's first, such as `filters=16,32,64`; repeatable
    #[arg(long = "factor", value_name = "FACTOR=LEVELS", value_parser = parse_factor)]
    factors: Vec<(String, Vec<String>)>,
    /// Design of the study: which combinations of levels are trained
    #[arg(long, value_enum, value_name = "DESIGN")]
    design: Option<Design>,
    /// Number of seeds per configuration
    #[arg(long, value_name = "NUMBER")]
    seeds: Option<u32>,
    /// Number of passes over the training data
    #[arg(long, value_name = "NUMBER")]
    epochs: Option<u32>,
    /// Metric that ranks the configurations
    #[arg(long, value_enum, value_name = "METRIC")]
    metric: Option<Metric>,
    /// Use defaults instead of asking
    #[arg(long, short)]
    yes: bool,
}

/// The kinds of data set, as in a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    /// Generated scenes in eight classes: needs no file
    SyntheticScenes,
    /// A folder with train/CLASS/* and test/CLASS/*, JPEG or PNG
    ImageFolder,
    /// The four files of the MNIST family
    Idx,
    /// CIFAR-10's binary files
    #[value(name = "cifar10")]
    Cifar10,
}

/// The designs of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Design {
    /// The baseline, and each level of each factor compared with it
    OneAtATime,
    /// One factor after the other, each starting from the best configuration so far
    Greedy,
    /// Every combination
    Grid,
    /// Each level alone, and each pair of levels of two factors
    Pairwise,
}

/// The metrics for ranking, as in a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Metric {
    /// Share of validation images that are classified correctly, highest first
    ValAccuracy,
    /// Cross-entropy of the validation images, lowest first
    ValLoss,
}

#[derive(Serialize)]
struct Written {
    file: String,
    configurations: u64,
    trials: u64,
    next: Vec<String>,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let asks = !arguments.yes && std::io::stdin().is_terminal() && context.output.stderr_is_terminal();
    let given = answers::Given::from(arguments);
    if !asks && !arguments.yes && given.lacks_something() {
        return Err(Failure::usage(
            "some questions have no answer from a flag, and there is no terminal to ask them on",
        )
        .hint("add --yes to use the defaults, or add the missing flags"));
    }
    let answers = if asks { ask::all(&given, &context.output)? } else { given.with_defaults() };
    let file = arguments.file.clone().unwrap_or_else(|| PathBuf::from(format!("{}.yaml", answers.file_name())));
    let text = text::spec(&answers);
    let study =
        Study::read(&file.display().to_string(), text.clone().into_bytes(), Vec::new(), None).map_err(|failure| {
            failure.hint(
                "nothing was written: see sweeps/README.md for the levels of a factor and the values of other keys",
            )
        })?;
    if file.as_os_str() == "-" {
        context.output.text(text.trim_end())?;
        return Ok(Exit::Success);
    }
    write(&file, &text)?;
    tell(context, &answers, &file, &study)
}

/// Writes a new file; never overwrites one.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::usage(format!("{} already exists", file.display()))
            .hint("choose another file with `sweepctl init FILE`; init never overwrites a file"),
        _ => Failure::failed(format!("cannot write {}", file.display())).because(error),
    };
    let mut made = std::fs::File::options().write(true).create_new(true).open(file).map_err(failed)?;
    made.write_all(text.as_bytes()).map_err(failed)
}

fn tell(context: &Context, answers: &Answers, file: &Path, study: &Study) -> Result<Exit, Failure> {
    let shown = file.display().to_string();
    let root = if answers.needs_files() { " --data-root FOLDER" } else { "" };
    let next = vec![
        format!("sweepctl plan {shown}"),
        format!("sweepctl doctor {shown} --local{root}"),
        format!("sweepctl submit {shown} --local --watch{root}"),
    ];
    let summary = study.plan.summary(&[]);
    if context.output.is_json() {
        let written = Written { file: shown, configurations: summary.configurations, trials: summary.trials, next };
        context.output.json(&written)?;
        return Ok(Exit::Success);
    }
    context.output.text(&format!("wrote {shown}"))?;
    context.output.text(&study.summary())?;
    context.output.say("next:");
    for command in next {
        context.output.say(&format!("  {command}"));
    }
    Ok(Exit::Success)
}
