//! An analysis as a document to keep: one HTML file, Markdown, LaTeX, or tables. `sweep-analysis` computes the results;
//! this crate adds only means, counts and sums for display. It uses no network, no clock and no files.
//!
//! `material` is the input of a report beside the analysis, `view` finds things in both, `words` and `tables` turn them
//! into text for every format. Each format has its own module.

mod chart;
mod csv;
mod html;
mod latex;
mod markdown;
pub mod material;
mod parquet;
pub mod parts;
mod picture;
pub mod rows;
pub mod single;
mod summary;
mod tables;
mod view;
mod words;

pub use material::{Curve, Material, Sheet};

use sweep_analysis::result::Analysis;
use sweep_analysis::study::Study;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// One self-contained page.
    Html,
    /// GitHub's dialect.
    Markdown,
    /// A document that pdflatex takes.
    Latex,
    /// A row for each configuration in each stage; see `rows`.
    Csv,
    /// The same rows.
    Parquet,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Html, Self::Markdown, Self::Latex, Self::Csv, Self::Parquet];

    /// The format as the command line writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Latex => "latex",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A chart could not be drawn.
    #[error("cannot draw the chart of {what}: {reason}")]
    Chart {
        /// The name of the chart.
        what: &'static str,
        /// The cause.
        reason: String,
    },
    /// The CSV table could not be written.
    #[error("cannot write the CSV table")]
    Csv(#[from] ::csv::Error),
    /// The Parquet table could not be written.
    #[error("cannot write the Parquet table")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

/// The input of a report.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The study that was analysed.
    pub study: &'a Study,
    /// The results.
    pub analysis: &'a Analysis,
    /// Curves, pictures and provenance.
    pub material: &'a Material,
}

impl Report<'_> {
    /// The whole document as bytes; text formats are UTF-8.
    ///
    /// # Errors
    /// A chart could not be drawn, or a table could not be encoded. No user input causes either.
    pub fn render(&self, format: Format) -> Result<Vec<u8>, Error> {
        let view = view::View::new(self);
        match format {
            Format::Html => html::render(&view).map(String::into_bytes),
            Format::Markdown => Ok(markdown::render(&view).into_bytes()),
            Format::Latex => Ok(latex::render(&view).into_bytes()),
            Format::Csv => csv::render(&view),
            Format::Parquet => parquet::render(&view),
        }
    }
}
