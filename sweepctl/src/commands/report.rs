//! `sweepctl report`: a sweep's analysis as a document: a page, a table for a paper, rows for a notebook.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use sweep_proto::v1::{Correction, GetReportRequest, ReportFormat};
use sweep_shapes::text::bytes;

use super::Context;
use crate::client;
use crate::failure::{Exit, Failure};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One self-contained page for a browser, a phone or paper
    Html,
    /// Tables and words for GitHub
    Markdown,
    /// A document that pdflatex takes
    Latex,
    /// A row for each configuration in each stage
    Csv,
    /// The same rows for pandas, polars or duckdb
    Parquet,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sweepctl report scene-cnn --out scene-cnn.html\n  sweepctl report 3 --format csv | column -ts,"
)]
pub(crate) struct Arguments {
    /// The sweep: its number, or a name (the newest sweep of that name)
    sweep: String,
    /// What it is written as; by the ending of --out if it is not given, else html
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE", visible_alias = "file")]
    out: Option<PathBuf>,
    /// Judge by this metric instead of the sweep's objective
    #[arg(long, value_name = "METRIC", default_value = "", hide_default_value = true)]
    metric: String,
    /// Hold every configuration against the sweep's baseline too
    #[arg(long)]
    against_baseline: bool,
    /// Show p-values corrected by Benjamini and Hochberg too; verdicts stay Holm's
    #[arg(long)]
    false_discovery: bool,
}

/// What was written, and where it is now.
#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    format: &'static str,
    size_bytes: u64,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = arguments.format.or_else(|| ending(arguments.out.as_deref()?)).unwrap_or(Format::Html);
    if arguments.out.is_none() && format == Format::Parquet && std::io::stdout().is_terminal() {
        return Err(Failure::usage("Parquet is not for a terminal").hint("name a file with --out FILE"));
    }
    let mut client = client::connect(&context.coordinator).await?;
    let correction = if arguments.false_discovery { Correction::BenjaminiHochberg } else { Correction::Holm };
    let request = GetReportRequest {
        sweep: client::reference(&arguments.sweep),
        format: wire(format).into(),
        metric: arguments.metric.clone(),
        against_baseline: arguments.against_baseline,
        correction: correction.into(),
    };
    let mut stream = client.get_report(request).await?.into_inner();
    let mut document = Vec::new();
    while let Some(part) = stream.message().await? {
        document.extend_from_slice(&part.chunk);
    }
    match &arguments.out {
        None => {
            let mut out = context.output.data();
            out.write_all(&document).and_then(|()| out.flush()).map_err(Failure::writing)?;
        }
        Some(file) => {
            write(file, &document)
                .map_err(|error| Failure::failed(format!("cannot write {}", file.display())).because(error))?;
            let size_bytes = document.len() as u64;
            if context.output.is_json() {
                context.output.json(&Written { file, format: name(format), size_bytes })?;
            } else {
                context.output.say(&format!("wrote {}, {}", file.display(), bytes(size_bytes)));
            }
        }
    }
    Ok(Exit::Well)
}

/// The file is there only when it is whole: an earlier one stays until then.
fn write(file: &Path, document: &[u8]) -> std::io::Result<()> {
    let mut name = file.file_name().ok_or(std::io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = file.with_file_name(name);
    let written = std::fs::File::create(&partial).and_then(|mut out| {
        out.write_all(document)?;
        out.sync_all()
    });
    let done = written.and_then(|()| std::fs::rename(&partial, file));
    if done.is_err() {
        std::fs::remove_file(&partial).ok();
    }
    done
}

/// What a file's ending asks for.
fn ending(file: &Path) -> Option<Format> {
    match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "html" | "htm" => Some(Format::Html),
        "md" | "markdown" => Some(Format::Markdown),
        "tex" => Some(Format::Latex),
        "csv" => Some(Format::Csv),
        "parquet" | "pq" => Some(Format::Parquet),
        _ => None,
    }
}

const fn wire(format: Format) -> ReportFormat {
    match format {
        Format::Html => ReportFormat::Html,
        Format::Markdown => ReportFormat::Markdown,
        Format::Latex => ReportFormat::Latex,
        Format::Csv => ReportFormat::Csv,
        Format::Parquet => ReportFormat::Parquet,
    }
}

const fn name(format: Format) -> &'static str {
    match format {
        Format::Html => "html",
        Format::Markdown => "markdown",
        Format::Latex => "latex",
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_ending_says_what_it_is() {
        assert_eq!(ending(Path::new("a/b.HTML")), Some(Format::Html));
        assert_eq!(ending(Path::new("table.tex")), Some(Format::Latex));
        assert_eq!(ending(Path::new("rows.parquet")), Some(Format::Parquet));
        assert_eq!([ending(Path::new("report")), ending(Path::new("report.pdf"))], [None, None]);
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.html");
        for text in ["one", "two"] {
            write(&file, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        assert!(write(&folder.path().join("no/such/folder.html"), b"x").is_err());
        assert!(write(folder.path(), b"x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
