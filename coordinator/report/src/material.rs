//! What a report needs beside a study and its analysis: curves, pictures, and where all of it comes from. Whoever holds a
//! store gathers it; what is too much is left out and said in `left_out`.

use sweep_spec::trainer::EpochMetrics;

/// Everything beside the study and its analysis. Times are milliseconds since 1970, in UTC.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Material {
    /// The sweep's number.
    pub sweep: u64,
    /// Its name.
    pub name: String,
    /// Where it stands, in a word: `running`, `succeeded`, `failed`, `cancelled`.
    pub state: String,
    /// Who submitted it; empty if that was not said.
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
    /// What was put into the spec before it was read.
    pub overrides: Vec<(String, String)>,
    /// The hash of what the spec says.
    pub spec_digest: String,
    /// The epochs of trials, in any order.
    pub curves: Vec<Curve>,
    /// Pictures of the validation images.
    pub sheet: Option<Sheet>,
    /// For people: what was too much for one report.
    pub left_out: Vec<String>,
}

/// The epochs of one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The configuration's place in the plan.
    pub position: u32,
    /// The seed.
    pub seed: u64,
    /// In order.
    pub epochs: Vec<EpochMetrics>,
}

/// Pictures of the validation images on one sheet: image `i` stands in row `i / columns`, column `i % columns`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    /// The sheet as PNG.
    pub png: Vec<u8>,
    /// Pictures in a row; each is square, so this tells their size.
    pub columns: u32,
}
