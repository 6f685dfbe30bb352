//! An analysis as a document that people keep: one HTML file, Markdown, LaTeX, tables. Pure: what is told was computed by
//! `sweep-analysis`; here are only means, counts and sums of what a reader is shown beside it. No network, no clock, no
//! file.
//!
//! `material` is what a report is made of, `view` finds things in it, `words` and `tables` say them in every format, and
//! each format has a room of its own.

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

/// What a report can be written as.
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
    /// Every format.
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

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A chart.
    #[error("cannot draw the chart of {what}: {reason}")]
    Chart {
        /// Of what.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The CSV table.
    #[error("cannot write the CSV table")]
    Csv(#[from] ::csv::Error),
    /// The Parquet table.
    #[error("cannot write the Parquet table")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

/// What is told, of what, and with what beside it.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What was analysed.
    pub study: &'a Study,
    /// What came out.
    pub analysis: &'a Analysis,
    /// What a reader wants beside it.
    pub material: &'a Material,
}

impl Report<'_> {
    /// The whole document as bytes; text formats are UTF-8.
    ///
    /// # Errors
    /// A chart could not be drawn or a table not be encoded; neither follows from anything that a user can write.
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
