//! The analysis of a sweep as a document.

use bytes::Bytes;
use sweep_analysis::analyse::Request;
use sweep_proto::v1;
use sweep_report::Format;

use super::Sweeps;
use super::analysis_messages::{correction, metric};
use crate::convert::Invalid;
use crate::engine::Error;

impl Sweeps {
    pub(crate) async fn report(&self, request: v1::GetReportRequest) -> Result<Bytes, Error> {
        let sweep = self.find(request.sweep).await?;
        let format = match v1::ReportFormat::try_from(request.format) {
            Ok(v1::ReportFormat::Html) => Format::Html,
            Ok(v1::ReportFormat::Markdown) => Format::Markdown,
            Ok(v1::ReportFormat::Latex) => Format::Latex,
            Ok(v1::ReportFormat::Csv) => Format::Csv,
            Ok(v1::ReportFormat::Parquet) => Format::Parquet,
            Ok(v1::ReportFormat::Unspecified) | Err(_) => {
                return Err(Invalid { field: "format", problem: "absent or unknown".into() }.into());
            }
        };
        let (metric, correction) = (metric(&request.metric)?, correction(request.correction)?);
        let asked = Request { metric, against_baseline: request.against_baseline, correction };
        self.engine.document(sweep, asked, format, &self.artifacts).await.map(Bytes::from)
    }
}
