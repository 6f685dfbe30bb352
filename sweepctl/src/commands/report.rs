//! `sweepctl report`: a sweep's analysis as a page, a document for a paper, or a table for a notebook.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use sweep_proto::v1::{Correction, GetReportRequest, ReportFormat};
use sweep_shapes::text::{bytes, escape};

use super::Context;
use crate::client;
use crate::failure::{Exit, Failure};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A self-contained page for screen and paper
    Html,
    /// Tables and text for GitHub
    Markdown,
    /// A document for pdflatex
    Latex,
    /// One row per configuration and stage
    Csv,
    /// The same rows for pandas, polars or duckdb
    Parquet,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sweepctl report scene-cnn --out scene-cnn.html\n  sweepctl report 3 --format csv | column -ts,"
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Document format [default: by the extension of --out, else html]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// File to write instead of stdout: .html, .md, .tex, .csv or .parquet
    #[arg(long, value_name = "FILE", visible_alias = "file")]
    out: Option<PathBuf>,
    /// Metric to compare, instead of the sweep's objective
    #[arg(long, value_name = "METRIC", default_value = "", hide_default_value = true)]
    metric: String,
    /// Also compare every configuration with the sweep's baseline
    #[arg(long)]
    against_baseline: bool,
    /// Also show p-values corrected by Benjamini and Hochberg; verdicts still use Holm's
    #[arg(long)]
    false_discovery: bool,
}

/// A document inside JSON, if no file is given.
#[derive(Serialize)]
struct Document {
    format: &'static str,
    text: String,
}

/// The written file.
#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    format: &'static str,
    size_bytes: u64,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = format(arguments.format, arguments.out.as_deref())?;
    if arguments.out.is_none() && format == Format::Parquet {
        let place = if context.output.is_json() { Some("in JSON") } else { None };
        let place = place.or_else(|| std::io::stdout().is_terminal().then_some("on a terminal"));
        if let Some(place) = place {
            let message = format!("a Parquet file is not text and cannot be shown {place}");
            return Err(Failure::usage(message).hint("name a file with --out FILE"));
        }
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
        None if context.output.is_json() => {
            let text = String::from_utf8(document).map_err(|_| Failure::internal("the report is not text"))?;
            context.output.json(&Document { format: name(format), text })?;
        }
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
    Ok(Exit::Success)
}

/// The file is replaced only when the new one is complete.
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

/// The requested format, or the one of the file's extension. A contradiction is rejected, because programs that open
/// the file rely on its extension.
fn format(asked: Option<Format>, file: Option<&Path>) -> Result<Format, Failure> {
    let Some(file) = file else { return Ok(asked.unwrap_or(Format::Html)) };
    let shown = escape(&file.display().to_string());
    let endings: Vec<&str> = ENDINGS.iter().flat_map(|(_, endings)| *endings).copied().collect();
    match (asked, ending(file)) {
        (Some(asked), Some(other)) if asked != other => {
            let message =
                format!("--format {} does not match {shown}, which has the extension of {}", name(asked), name(other));
            Err(Failure::usage(message).hint("leave out --format, or change the extension"))
        }
        (Some(asked), _) => Ok(asked),
        (None, Some(format)) => Ok(format),
        (None, None) => {
            let message =
                format!("the extension of {shown} does not determine the format: use .{}", endings.join(", ."));
            Err(Failure::usage(message).hint(
                "for a PDF, print the .html page in a browser, or run pdflatex on the .tex file; with --format the \
                file may have any other extension",
            ))
        }
    }
}

/// The file extensions of each format.
const ENDINGS: [(Format, &[&str]); 5] = [
    (Format::Html, &["html", "htm"]),
    (Format::Markdown, &["md", "markdown"]),
    (Format::Latex, &["tex"]),
    (Format::Csv, &["csv"]),
    (Format::Parquet, &["parquet", "pq"]),
];

/// The format of a file's extension.
fn ending(file: &Path) -> Option<Format> {
    let ending = file.extension()?.to_str()?.to_ascii_lowercase();
    ENDINGS.iter().find(|(_, endings)| endings.contains(&ending.as_str())).map(|(format, _)| *format)
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
    fn another_ending_is_refused_with_those_that_there_are() {
        assert_eq!(format(None, None).unwrap(), Format::Html);
        assert_eq!(format(None, Some(Path::new("a.md"))).unwrap(), Format::Markdown);
        assert_eq!(format(Some(Format::Csv), Some(Path::new("rows.txt"))).unwrap(), Format::Csv);
        for file in ["x.pdf", "report", "x.json"] {
            let said = format(None, Some(Path::new(file))).unwrap_err().to_string();
            assert!(said.contains(file) && said.contains(".html, .htm, .md"), "{said}");
        }
        let said = format(Some(Format::Html), Some(Path::new("x.csv"))).unwrap_err().to_string();
        assert!(said.contains("--format html does not match x.csv"), "{said}");
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
