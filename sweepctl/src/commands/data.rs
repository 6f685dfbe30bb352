//! `sweepctl data check`: checks a data set before training, without a coordinator.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use sweep_shapes::text::{count, escape, plural};
use sweep_spec::dataset::Source;
use sweep_trainer::data_check::{self, Pairs, Report};

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::{ERROR, FAINT, Output, STRONG};
use crate::study::{self, Study, folder_of};
use crate::table::Table;

/// Files and pairs of each kind that are shown. JSON has up to 1,000 pairs of each kind, and every unreadable file.
const SHOWN: usize = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Count images, and find unreadable files and duplicate images
    Check(Arguments),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Images that occur in both the training and the test part come first: they make results look better \
        than they are. Exit codes: 0 no problem, 1 unreadable files, classes missing from one part, or images in both \
        parts.\n\nExamples:\n  sweepctl data check sweeps/scene-cnn.yaml --data-root ~/data\n  sweepctl data check \
        ~/data/scenes --output json"
)]
pub(crate) struct Arguments {
    /// Spec, or folder with `train` and `test` or with one folder per class
    #[arg(value_name = "SPEC|FOLDER")]
    place: PathBuf,
    /// Folder with data sets, or with targets of links in them; repeatable [default: the spec's folder]
    #[arg(long, value_name = "FOLDER")]
    data_root: Vec<PathBuf>,
    /// Override of a spec value, such as `dataset.path=scenes`; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = study::parse_override)]
    overrides: Vec<(String, String)>,
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<Exit, Failure> {
    let Verb::Check(arguments) = verb;
    let report = if arguments.place.is_dir() { of_folder(arguments)? } else { of_spec(arguments)? };
    if context.output.is_json() {
        context.output.json(&report)?;
    } else {
        print(&context.output, &report)?;
    }
    Ok(if report.is_sound() { Exit::Success } else { Exit::Failed })
}

fn of_folder(arguments: &Arguments) -> Result<Report, Failure> {
    if !arguments.data_root.is_empty() || !arguments.overrides.is_empty() {
        return Err(Failure::usage("--data-root and --set need a spec, but this is a folder"));
    }
    data_check::check_folder(&arguments.place).map_err(|failure| cannot_look(&arguments.place, failure))
}

fn of_spec(arguments: &Arguments) -> Result<Report, Failure> {
    let file = &arguments.place;
    let study = Study::read(&file.display().to_string(), study::load(file)?, arguments.overrides.clone(), None)?;
    let dataset = &study.plan.spec().dataset;
    let data_roots = crate::local::data_roots(&arguments.data_root, folder_of(file));
    data_check::check(dataset, &data_roots).map_err(|failure| match dataset.source {
        Source::SyntheticScenes { .. } => cannot_look(file, failure),
        Source::ImageFolder { .. } | Source::Idx { .. } | Source::Cifar10 { .. } => {
            cannot_look(file, failure).hint("name the folder that contains the data set with --data-root FOLDER")
        }
    })
}

fn cannot_look(place: &Path, failure: sweep_trainer::Failure) -> Failure {
    Failure::failed(format!("cannot check the data of {}", place.display())).because(failure.reason)
}

fn print(output: &Output, report: &Report) -> Result<(), Failure> {
    output.text(&format!("{STRONG}{}{STRONG:#}", escape(&report.place)))?;
    for problem in &report.problems {
        output.text(&format!("  {ERROR}problem{ERROR:#}: {}", escape(problem)))?;
    }
    pairs(output, "in train and in test", &report.across)?;
    unreadable(output, report)?;
    pairs(output, "twice in one part", &report.within)?;
    output.text(&totals(report))?;
    passed_over(output, report)?;
    output.text("")?;
    let mut table = Table::new(&["class", "train#", "test#"]).names(&["class"]);
    for class in &report.classes {
        table.row([class.name.clone(), count(class.train), count(class.test)]);
    }
    output.table(table)
}

fn pairs(output: &Output, title: &str, pairs: &Pairs) -> Result<(), Failure> {
    if pairs.count == 0 {
        return output.text(&format!("  {title}: none"));
    }
    output.text(&format!("  {title}: {}", plural(pairs.count, "pair")))?;
    for pair in pairs.named.iter().take(SHOWN) {
        let kind = if pair.exact { "same".to_owned() } else { format!("{:.3}", pair.likeness) };
        let classes = if pair.two_classes { ", in two classes" } else { "" };
        output.text(&format!("    {kind:<5} {}  {}{classes}", escape(&pair.first), escape(&pair.second)))?;
    }
    more(output, pairs.count, if pairs.count > pairs.named.len() as u64 { "1,000 of them" } else { "all" })
}

fn unreadable(output: &Output, report: &Report) -> Result<(), Failure> {
    if report.unreadable.is_empty() {
        return output.text("  cannot be read: none");
    }
    let number = report.unreadable.len() as u64;
    output.text(&format!("  cannot be read: {}", plural(number, "file")))?;
    for found in report.unreadable.iter().take(SHOWN) {
        output.text(&format!("    {}: {}", escape(&found.file), escape(&found.reason)))?;
    }
    more(output, number, "all")
}

fn more(output: &Output, number: u64, named: &str) -> Result<(), Failure> {
    match number.saturating_sub(SHOWN as u64) {
        0 => Ok(()),
        rest => output.text(&format!("    {FAINT}and {} more; `--output json` lists {named}{FAINT:#}", count(rest))),
    }
}

/// Ignored files, other image formats first.
fn passed_over(output: &Output, report: &Report) -> Result<(), Failure> {
    let passed_over = &report.passed_over;
    if passed_over.count == 0 {
        return Ok(());
    }
    let files = plural(passed_over.count, "file");
    let kinds = escape(&passed_over.to_string());
    output.text(&format!("  ignored, because trainers read only JPEG and PNG: {files} ({kinds})"))?;
    for file in passed_over.files.iter().take(SHOWN) {
        output.text(&format!("    {}", escape(file)))?;
    }
    match passed_over.count.saturating_sub(SHOWN as u64) {
        0 => Ok(()),
        rest => output.text(&format!("    {FAINT}and {} more{FAINT:#}", count(rest))),
    }
}

fn totals(report: &Report) -> String {
    let imbalance = report.imbalance.map(|ratio| {
        format!(
            ", the largest class has {ratio:.2} times the images of the \
        smallest"
        )
    });
    let sizes = report.sizes.iter().take(3);
    let sizes: Vec<_> = sizes.map(|size| format!("{}×{} ({})", size.width, size.height, count(size.images))).collect();
    let others = report.sizes.len().saturating_sub(3) as u64;
    let others = if others > 0 { format!(" and {}", plural(others, "other size")) } else { String::new() };
    let turned = match report.turned_images {
        0 => String::new(),
        number => format!("\n  rotated by their EXIF orientation: {}", plural(number, "image")),
    };
    format!(
        "  images: {} train, {} test{}\n  sizes: {}{others}\n  channels: {} grey, {} in colour{turned}",
        count(report.train_images),
        count(report.test_images),
        imbalance.unwrap_or_default(),
        sizes.join(", "),
        count(report.grey_images),
        count(report.colour_images),
    )
}
