//! The parameters of every operation, as handlers read them and as the OpenAPI document describes them.

use serde::de::{Error as _, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use sweep_proto::v1;
use utoipa::{IntoParams, ToSchema};

use crate::service::leaderboard_page::Key;
use crate::web::problem::Problem;

/// The largest integer that every JSON reader represents exactly.
pub(super) const MOST_AN_INTEGER: u64 = 9_007_199_254_740_991;
/// The most values of a list.
const MOST_LISTED: usize = 16;
/// The default number of items of a page.
const DEFAULT_LIMIT: u32 = 100;

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// A page of it.
    #[default]
    Json,
    /// All of its rows, as a file to keep.
    Csv,
}

/// Checks a limit from 1 to `MOST`; the default is 100.
pub(super) fn limit<const MOST: u32>(limit: Option<u32>) -> Result<u32, Problem> {
    match limit {
        None => Ok(DEFAULT_LIMIT.min(MOST)),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::invalid("limit", format!("not within 1 and {MOST}"))),
    }
}

/// Parses states that are separated by commas.
fn states<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TrialState>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parts: Vec<&str> = text.split(',').filter(|part| !part.is_empty()).collect();
    if parts.len() > MOST_LISTED {
        return Err(D::Error::custom(format!("more than {MOST_LISTED}")));
    }
    parts.into_iter().map(|part| TrialState::deserialize(part.into_deserializer())).collect()
}

/// Parses numbers that are separated by commas. A number above `u32::MAX` matches nothing, and is not an error.
fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parts: Vec<&str> = text.split(',').filter(|part| !part.is_empty()).collect();
    if parts.len() > MOST_LISTED {
        return Err(D::Error::custom(format!("more than {MOST_LISTED}")));
    }
    let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(part.parse().unwrap_or(u32::MAX)),
        false => Err(D::Error::custom(format!("`{part}` is not a number"))),
    };
    parts.into_iter().map(number).collect()
}

/// A sweep in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "for the document alone: handlers take the name")]
pub(super) struct SweepPath {
    /// The number of a sweep, or a name, which means the newest sweep of that name.
    #[param(min_length = 1, max_length = 256, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", example = "1")]
    sweep: String,
}

/// A trial in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "for the document alone: handlers take the name")]
pub(super) struct TrialPath {
    /// The first digits of the trial's id, enough to be unique.
    #[param(pattern = "^[0-9a-fA-F]{6,64}$")]
    trial: String,
}

/// A worker in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "for the document alone: handlers take the name")]
pub(super) struct WorkerPath {
    /// Its name.
    #[param(min_length = 1, max_length = 256, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    worker: String,
}

/// An artifact in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "for the document alone: handlers take the name")]
pub(super) struct DigestPath {
    /// The BLAKE3 hash of the content.
    #[param(pattern = "^[0-9a-fA-F]{64}$")]
    digest: String,
}

/// Which sweeps.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SweepsParameters {
    /// Only sweeps older than this one: `next` of the previous page.
    #[param(minimum = 1, maximum = 9007199254740991_u64)]
    pub(super) after: Option<u64>,
    /// The maximum number of items; the default is 100.
    #[param(minimum = 1, maximum = 100)]
    pub(super) limit: Option<u32>,
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) format: Format,
}

/// A list in one answer.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) format: Format,
}

/// The metric to rank by or to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MetricName {
    TrainAccuracy,
    ValAccuracy,
    TrainLoss,
    ValLoss,
    Ratio,
}

impl MetricName {
    /// The name in messages; empty for the objective.
    pub(super) fn text(metric: Option<Self>) -> &'static str {
        match metric {
            None => "",
            Some(Self::TrainAccuracy) => "train_accuracy",
            Some(Self::ValAccuracy) => "val_accuracy",
            Some(Self::TrainLoss) => "train_loss",
            Some(Self::ValLoss) => "val_loss",
            Some(Self::Ratio) => "ratio",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    #[default]
    Ascending,
    Descending,
}

/// Which rows of a leaderboard.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LeaderboardParameters {
    /// The metric to rank by; the default is the sweep's objective.
    #[param(inline)]
    pub(super) metric: Option<MetricName>,
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) sort: Key,
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) order: Order,
    /// Only configurations whose name contains this text.
    #[param(max_length = 256, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    pub(super) contains: Option<String>,
    /// Rows after this one: `next` of the previous page in the same order.
    #[param(maximum = 4294967295_u32)]
    pub(super) after: Option<u32>,
    /// The maximum number of items; the default is 100.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) format: Format,
}

/// What is asked of a sweep's results.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AnalysisParameters {
    /// The metric to compare; the default is the sweep's objective.
    #[param(inline)]
    pub(super) metric: Option<MetricName>,
    /// Also compares everything with the sweep's baseline, as a separate family.
    #[serde(default)]
    #[param(required = false)]
    pub(super) against_baseline: bool,
    /// Also compares predictions of single images.
    #[serde(default)]
    #[param(required = false)]
    pub(super) images: bool,
    /// Also gives p-values corrected by Benjamini and Hochberg.
    #[serde(default)]
    #[param(required = false)]
    pub(super) false_discovery: bool,
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) format: Format,
}

/// Which two configurations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ComparisonParameters {
    /// A configuration: its rank as `#3`, its name, or what differs from the baseline.
    #[param(min_length = 1, max_length = 1000, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", example = "#1")]
    pub(super) configuration: String,
    /// The configuration to compare it with; the default is the baseline.
    #[serde(default = "baseline")]
    #[param(min_length = 1, max_length = 1000, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", required = false)]
    pub(super) reference: String,
    /// The metric to compare; the default is the sweep's objective.
    #[param(inline)]
    pub(super) metric: Option<MetricName>,
}

fn baseline() -> String {
    "baseline".to_owned()
}

/// The state of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TrialState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl From<TrialState> for v1::TrialState {
    fn from(state: TrialState) -> Self {
        match state {
            TrialState::Queued => Self::Queued,
            TrialState::Running => Self::Running,
            TrialState::Succeeded => Self::Succeeded,
            TrialState::Failed => Self::Failed,
            TrialState::Cancelled => Self::Cancelled,
        }
    }
}

/// Which trials.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TrialsParameters {
    /// Only trials in these states.
    #[serde(default, deserialize_with = "states")]
    #[param(inline, style = Form, explode = false, max_items = 16, required = false)]
    pub(super) state: Vec<TrialState>,
    /// Only of this configuration: its rank as `#3`, its name, or what differs from the baseline.
    #[param(min_length = 1, max_length = 1000, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", example = "#1")]
    pub(super) configuration: Option<String>,
    /// Only trials with this seed.
    #[param(maximum = 9007199254740991_u64)]
    pub(super) seed: Option<u64>,
    /// `next` of the previous page.
    #[param(pattern = "^[0-9]{1,9}\\.[0-9]{1,19}$")]
    pub(super) after: Option<String>,
    /// The maximum number of items; the default is 100.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) format: Format,
}

/// Whose epochs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PointsParameters {
    /// `next` of the previous page.
    #[param(pattern = "^[0-9]{1,9}\\.[0-9]{1,19}$")]
    pub(super) after: Option<String>,
    /// The maximum number of trials per page; the default is 100.
    #[param(minimum = 1, maximum = 100)]
    pub(super) limit: Option<u32>,
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) format: Format,
}

/// Which part of the audit log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParameters {
    /// Only entries about this worker.
    #[param(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    pub(super) worker: Option<String>,
    /// Only entries from this time on, in milliseconds since 1970.
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    pub(super) since: Option<i64>,
    /// `next` of the previous page.
    #[param(pattern = "^[0-9]{1,18}\\.[0-9]{1,9}$")]
    pub(super) after: Option<String>,
    /// The maximum number of items; the default is 100.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) format: Format,
}

/// Of which configurations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ConfusionsParameters {
    /// Positions in the plan, separated by commas; the default is the best configuration that has a matrix.
    #[serde(default, deserialize_with = "numbers")]
    #[param(style = Form, explode = false, max_items = 16, required = false)]
    pub(super) positions: Vec<u32>,
}

/// Which images.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImagesParameters {
    /// The maximum number of images; the default is 24.
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
    /// Whether to include their pictures; the default is true.
    pub(super) pictures: Option<bool>,
}

/// Which attempt.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParameters {
    /// The number of the attempt; the default is the accepted attempt, or the newest.
    #[param(minimum = 1, maximum = 4294967295_u32)]
    pub(super) attempt: Option<u32>,
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReportFormat {
    #[default]
    Html,
    Markdown,
    Latex,
    Csv,
    Parquet,
}

/// Which report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportParameters {
    #[serde(default)]
    #[param(inline, required = false)]
    pub(super) format: ReportFormat,
    /// The metric to compare; the default is the sweep's objective.
    #[param(inline)]
    pub(super) metric: Option<MetricName>,
    /// Also compares everything with the sweep's baseline.
    #[serde(default)]
    #[param(required = false)]
    pub(super) against_baseline: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_commas_and_nonsense_in_them_is_refused() {
        let read = |text| serde_urlencoded::from_str::<TrialsParameters>(text);
        assert_eq!(read("state=failed,queued").unwrap().state, [TrialState::Failed, TrialState::Queued]);
        assert_eq!(read("").unwrap().state, []);
        assert_eq!(read("state=").unwrap().state, []);
        for bad in ["state=failed,gone", "state=a%26value%3Dqueued", "limit=1&limit=2", "limit=-1", "colour=red"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let positions = serde_urlencoded::from_str::<ConfusionsParameters>("positions=3,1").unwrap().positions;
        assert_eq!(positions, [3, 1]);
    }

    #[test]
    fn a_page_has_between_one_row_and_the_most() {
        assert_eq!([limit::<1000>(None), limit::<24>(None), limit::<1000>(Some(1000))], [Ok(100), Ok(24), Ok(1000)]);
        assert!(limit::<1000>(Some(0)).is_err() && limit::<1000>(Some(1001)).is_err());
    }
}
