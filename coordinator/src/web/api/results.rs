//! What a sweep's results say: the leaderboard, comparisons, what single images say, reports.

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use sweep_proto::v1;
use sweep_shapes::{Analysis, Compared, Confusions, LeaderboardPage, MissedImages, Row};

use super::parameters::{
    AnalysisQuestion, ComparisonQuestion, ConfusionsQuestion, ImagesQuestion, LeaderboardQuestion, MetricName, Order,
    ReportFormat, ReportQuestion, SweepPath, limit,
};
use super::question::{Asker, Named, Parameters, text};
use super::{Answered, Open, answer, table};
use crate::service::analysis::OrderedBoard;
use crate::service::leaderboard_page::Part;
use crate::service::streams::Kind;
use crate::web::held;
use crate::web::problem::Problem;

/// Rows of one page.
const MOST_ROWS: u32 = 1000;
/// Images of one answer, unless asked otherwise, and at most.
const IMAGES: u32 = 24;
const MOST_IMAGES: u32 = 200;

/// Configurations, best first or in another order.
#[utoipa::path(get, path = "/sweeps/{sweep}/leaderboard", operation_id = "getLeaderboard", tag = "results",
    params(SweepPath, LeaderboardQuestion),
    responses((status = 200, description = "One page of rows", content((LeaderboardPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn leaderboard(
    Open(desk): Open,
    asker: Asker,
    Named(sweep): Named,
    Parameters(question): Parameters<LeaderboardQuestion>,
) -> Answered {
    let part = Part {
        key: question.sort,
        descending: question.order == Order::Descending,
        after: question.after,
        containing: text("contains", question.contains, 256)?.to_lowercase(),
        limit: limit::<MOST_ROWS>(question.limit)? as usize,
    };
    let metric = MetricName::text(question.metric);
    if let Some(permit) = table::permit(&desk, question.format, &asker)? {
        let (name, board) = desk.ordered_board(&sweep, metric, &Part { after: None, ..part }).await?;
        let pages = move || {
            let board = board.clone();
            table::unfolded(board, |board: OrderedBoard, start: usize| async move {
                let rows = board.rows(start, MOST_ROWS as usize)?;
                let rows: Vec<Row> = rows.into_iter().map(Row::from).collect();
                let next = (rows.len() == MOST_ROWS as usize).then(|| start + rows.len());
                Ok((rows, next))
            })
        };
        return Ok(table::csv(&format!("{name}-leaderboard"), permit, pages, true));
    }
    answer(&desk.leaderboard(&sweep, metric, &part).await?)
}

/// The analysis of a sweep: comparisons with verdicts, tables of factors, effects, noise. CSV has the comparisons only.
#[utoipa::path(get, path = "/sweeps/{sweep}/analysis", operation_id = "getAnalysis", tag = "results",
    params(SweepPath, AnalysisQuestion),
    responses((status = 200, description = "The whole analysis", content((Analysis = "application/json"), (String = "text/csv")))))]
pub(super) async fn analysis(
    Open(desk): Open,
    asker: Asker,
    Named(sweep): Named,
    Parameters(question): Parameters<AnalysisQuestion>,
) -> Answered {
    let correction = if question.false_discovery { v1::Correction::BenjaminiHochberg } else { v1::Correction::Holm };
    let request = v1::GetAnalysisRequest {
        metric: MetricName::text(question.metric).to_owned(),
        against_baseline: question.against_baseline,
        images: question.images,
        correction: correction.into(),
        ..Default::default()
    };
    let file = table::permit(&desk, question.format, &asker)?;
    let found = desk.analysis(&sweep, request).await?;
    match file {
        None => answer(&found),
        Some(permit) => {
            let name = format!("{}-{}-comparisons", found.sweep.name, found.sweep.id);
            let rows = [found.comparisons, found.against_baseline].concat();
            Ok(table::csv(&name, permit, move || table::at_hand(rows.clone()), false))
        }
    }
}

/// Compares two configurations.
#[utoipa::path(get, path = "/sweeps/{sweep}/comparison", operation_id = "compareConfigurations", tag = "results",
    params(SweepPath, ComparisonQuestion), responses((status = 200, description = "The comparison", body = Compared)))]
pub(super) async fn comparison(
    Open(desk): Open,
    Named(sweep): Named,
    Parameters(question): Parameters<ComparisonQuestion>,
) -> Answered {
    let some = |field, value: String| match text(field, Some(value), 1000)? {
        empty if empty.is_empty() => Err(Problem::invalid(field, "empty")),
        value => Ok(value),
    };
    let request = v1::CompareConfigurationsRequest {
        configuration: some("configuration", question.configuration)?,
        reference: some("reference", question.reference)?,
        metric: MetricName::text(question.metric).to_owned(),
        ..Default::default()
    };
    answer(&desk.comparison(&sweep, request).await?)
}

/// Confusion matrices.
#[utoipa::path(get, path = "/sweeps/{sweep}/confusions", operation_id = "getConfusions", tag = "results",
    params(SweepPath, ConfusionsQuestion), responses((status = 200, description = "A matrix for each configuration", body = Confusions)))]
pub(super) async fn confusions(
    Open(desk): Open,
    Named(sweep): Named,
    Parameters(question): Parameters<ConfusionsQuestion>,
) -> Answered {
    answer(&desk.confusions(&sweep, question.positions).await?)
}

/// The validation images that most configurations misclassify.
#[utoipa::path(get, path = "/sweeps/{sweep}/images", operation_id = "getMissedImages", tag = "results",
    params(SweepPath, ImagesQuestion), responses((status = 200, description = "The hardest first", body = MissedImages)))]
pub(super) async fn images(
    Open(desk): Open,
    Named(sweep): Named,
    Parameters(question): Parameters<ImagesQuestion>,
) -> Answered {
    let most = limit::<MOST_IMAGES>(Some(question.limit.unwrap_or(IMAGES)))? as usize;
    answer(&desk.missed(&sweep, most, question.pictures.unwrap_or(true)).await?)
}

/// The report of a sweep.
#[utoipa::path(get, path = "/sweeps/{sweep}/report", operation_id = "getReport", tag = "results",
    params(SweepPath, ReportQuestion),
    responses((status = 200, description = "The document, as a file", content(
        (String = "text/html"), (String = "text/markdown"), (String = "application/x-latex"), (String = "text/csv"),
        (String = "application/vnd.apache.parquet")))))]
pub(super) async fn report(
    Open(desk): Open,
    Asker(caller): Asker,
    Named(sweep): Named,
    Parameters(question): Parameters<ReportQuestion>,
) -> Answered {
    let (format, kind, extension) = match question.format {
        ReportFormat::Html => (v1::ReportFormat::Html, "text/html; charset=utf-8", "html"),
        ReportFormat::Markdown => (v1::ReportFormat::Markdown, "text/markdown; charset=utf-8", "md"),
        ReportFormat::Latex => (v1::ReportFormat::Latex, "application/x-latex", "tex"),
        ReportFormat::Csv => (v1::ReportFormat::Csv, "text/csv; charset=utf-8", "csv"),
        ReportFormat::Parquet => (v1::ReportFormat::Parquet, "application/vnd.apache.parquet", "parquet"),
    };
    let request = v1::GetReportRequest {
        format: format.into(),
        metric: MetricName::text(question.metric).to_owned(),
        against_baseline: question.against_baseline,
        ..Default::default()
    };
    let permit = desk.begin(Kind::Export, caller.as_ref())?;
    let document = desk.report(&sweep, request).await?;
    let disposition = table::attachment(&format!("{sweep}-report"), extension);
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_DISPOSITION, disposition)];
    Ok(held::hold((headers, document).into_response(), permit))
}
