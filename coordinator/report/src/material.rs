//! The input of a report beside a study and its analysis: curves, pictures and provenance. The caller reads them from
//! the store, limits their size, and lists in `left_out` what is missing.

use sweep_spec::trainer::EpochMetrics;

/// The input beside the study and its analysis. Times are milliseconds since 1970, in UTC.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Material {
    /// The sweep's number.
    pub sweep: u64,
    /// Its name.
    pub name: String,
    /// Its state in a word: `running`, `succeeded`, `failed`, `cancelled`.
    pub state: String,
    /// The user who submitted it; empty if unknown.
    pub submitter: String,
    /// When it was submitted.
    pub submitted_ms: i64,
    /// When it ended; absent while it runs.
    pub ended_ms: Option<i64>,
    /// When this report was made.
    pub made_ms: i64,
    /// The program that made it, with its version.
    pub made_by: String,
    /// The spec as it was submitted.
    pub spec: String,
    /// Overrides that were applied to the spec before it was read.
    pub overrides: Vec<(String, String)>,
    /// The hash of the parsed spec.
    pub spec_digest: String,
    /// The epochs of trials, in any order.
    pub curves: Vec<Curve>,
    /// Pictures of the validation images.
    pub sheet: Option<Sheet>,
    /// Sentences about data that was left out because it is too large for one report.
    pub left_out: Vec<String>,
}

/// The epochs of one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The configuration's position in the plan.
    pub position: u32,
    pub seed: u64,
    /// Metrics by epoch, in order.
    pub epochs: Vec<EpochMetrics>,
}

/// Pictures of the validation images on one sheet: image `i` is in row `i / columns`, column `i % columns`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    /// The sheet as PNG.
    pub png: Vec<u8>,
    /// Pictures per row. Each picture is square, so this determines its size.
    pub columns: u32,
}
