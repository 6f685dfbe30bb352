//! The results of a sweep: leaderboard, analysis, comparisons, confusion matrices, misclassified images, reports.

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use sweep_proto::v1;
use sweep_shapes::{Analysis, Compared, Confusions, LeaderboardPage, MissedImages, Row};

use super::extractors::{OptionalCaller, Parameters, PathName, text};
use super::parameters::{
    AnalysisParameters, ComparisonParameters, ConfusionsParameters, ImagesParameters, LeaderboardParameters,
    MetricName, Order, ReportFormat, ReportParameters, SweepPath, limit,
};
use super::{ApiResult, Leader, answer, table};
use crate::service::analysis::OrderedBoard;
use crate::service::leaderboard_page::Part;
use crate::service::streams::Kind;
use crate::web::permit_body;
use crate::web::problem::Problem;

/// The most rows of a page.
const MOST_ROWS: u32 = 1000;
/// The default and the largest number of images.
const IMAGES: u32 = 24;
const MOST_IMAGES: u32 = 200;

/// Configurations, best first or in another order.
#[utoipa::path(get, path = "/sweeps/{sweep}/leaderboard", operation_id = "getLeaderboard", tag = "results",
    params(SweepPath, LeaderboardParameters),
    responses((status = 200, description = "One page of rows", content((LeaderboardPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn leaderboard(
    Leader(service): Leader,
    caller: OptionalCaller,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<LeaderboardParameters>,
) -> ApiResult {
    let part = Part {
        key: parameters.sort,
        descending: parameters.order == Order::Descending,
        after: parameters.after,
        containing: text("contains", parameters.contains, 256)?.to_lowercase(),
        limit: limit::<MOST_ROWS>(parameters.limit)? as usize,
    };
    let metric = MetricName::text(parameters.metric);
    if let Some(permit) = table::export_permit(&service, parameters.format, &caller)? {
        let (name, board) = service.ordered_board(&sweep, metric, &Part { after: None, ..part }).await?;
        let pages = move || {
            let board = board.clone();
            table::paged(board, |board: OrderedBoard, start: usize| async move {
                let rows = board.rows(start, MOST_ROWS as usize)?;
                let rows: Vec<Row> = rows.into_iter().map(Row::from).collect();
                let next = (rows.len() == MOST_ROWS as usize).then(|| start + rows.len());
                Ok((rows, next))
            })
        };
        return Ok(table::csv(&format!("{name}-leaderboard"), permit, pages, true));
    }
    answer(&service.leaderboard(&sweep, metric, &part).await?)
}

/// The analysis of a sweep: comparisons with verdicts, tables of factors, effects, noise. CSV has the comparisons only.
#[utoipa::path(get, path = "/sweeps/{sweep}/analysis", operation_id = "getAnalysis", tag = "results",
    params(SweepPath, AnalysisParameters),
    responses((status = 200, description = "The whole analysis", content((Analysis = "application/json"), (String = "text/csv")))))]
pub(super) async fn analysis(
    Leader(service): Leader,
    caller: OptionalCaller,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<AnalysisParameters>,
) -> ApiResult {
    let correction = if parameters.false_discovery { v1::Correction::BenjaminiHochberg } else { v1::Correction::Holm };
    let request = v1::GetAnalysisRequest {
        metric: MetricName::text(parameters.metric).to_owned(),
        against_baseline: parameters.against_baseline,
        images: parameters.images,
        correction: correction.into(),
        ..Default::default()
    };
    let file = table::export_permit(&service, parameters.format, &caller)?;
    let found = service.analysis(&sweep, request).await?;
    match file {
        None => answer(&found),
        Some(permit) => {
            let name = format!("{}-{}-comparisons", found.sweep.name, found.sweep.id);
            let rows = [found.comparisons, found.against_baseline].concat();
            Ok(table::csv(&name, permit, move || table::one_page(rows.clone()), false))
        }
    }
}

/// Compares two configurations.
#[utoipa::path(get, path = "/sweeps/{sweep}/comparison", operation_id = "compareConfigurations", tag = "results",
    params(SweepPath, ComparisonParameters), responses((status = 200, description = "The comparison", body = Compared)))]
pub(super) async fn comparison(
    Leader(service): Leader,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<ComparisonParameters>,
) -> ApiResult {
    let some = |field, value: String| match text(field, Some(value), 1000)? {
        empty if empty.is_empty() => Err(Problem::invalid(field, "empty")),
        value => Ok(value),
    };
    let request = v1::CompareConfigurationsRequest {
        configuration: some("configuration", parameters.configuration)?,
        reference: some("reference", parameters.reference)?,
        metric: MetricName::text(parameters.metric).to_owned(),
        ..Default::default()
    };
    answer(&service.comparison(&sweep, request).await?)
}

/// Confusion matrices.
#[utoipa::path(get, path = "/sweeps/{sweep}/confusions", operation_id = "getConfusions", tag = "results",
    params(SweepPath, ConfusionsParameters), responses((status = 200, description = "A matrix for each configuration", body = Confusions)))]
pub(super) async fn confusions(
    Leader(service): Leader,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<ConfusionsParameters>,
) -> ApiResult {
    answer(&service.confusions(&sweep, parameters.positions).await?)
}

/// The validation images that most configurations misclassify.
#[utoipa::path(get, path = "/sweeps/{sweep}/images", operation_id = "getMissedImages", tag = "results",
    params(SweepPath, ImagesParameters), responses((status = 200, description = "The hardest first", body = MissedImages)))]
pub(super) async fn images(
    Leader(service): Leader,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<ImagesParameters>,
) -> ApiResult {
    let most = limit::<MOST_IMAGES>(Some(parameters.limit.unwrap_or(IMAGES)))? as usize;
    answer(&service.missed(&sweep, most, parameters.pictures.unwrap_or(true)).await?)
}

/// The report of a sweep.
#[utoipa::path(get, path = "/sweeps/{sweep}/report", operation_id = "getReport", tag = "results",
    params(SweepPath, ReportParameters),
    responses((status = 200, description = "The document, as a file", content(
        (String = "text/html"), (String = "text/markdown"), (String = "application/x-latex"), (String = "text/csv"),
        (String = "application/vnd.apache.parquet")))))]
pub(super) async fn report(
    Leader(service): Leader,
    OptionalCaller(caller): OptionalCaller,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<ReportParameters>,
) -> ApiResult {
    let (format, kind, extension) = match parameters.format {
        ReportFormat::Html => (v1::ReportFormat::Html, "text/html; charset=utf-8", "html"),
        ReportFormat::Markdown => (v1::ReportFormat::Markdown, "text/markdown; charset=utf-8", "md"),
        ReportFormat::Latex => (v1::ReportFormat::Latex, "application/x-latex", "tex"),
        ReportFormat::Csv => (v1::ReportFormat::Csv, "text/csv; charset=utf-8", "csv"),
        ReportFormat::Parquet => (v1::ReportFormat::Parquet, "application/vnd.apache.parquet", "parquet"),
    };
    let request = v1::GetReportRequest {
        format: format.into(),
        metric: MetricName::text(parameters.metric).to_owned(),
        against_baseline: parameters.against_baseline,
        ..Default::default()
    };
    let permit = service.begin(Kind::Export, caller.as_ref())?;
    let document = service.report(&sweep, request).await?;
    let disposition = table::attachment(&format!("{sweep}-report"), extension);
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_DISPOSITION, disposition)];
    Ok(permit_body::attach((headers, document).into_response(), permit))
}
