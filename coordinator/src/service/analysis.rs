//! Results of a sweep: its leaderboard, its analysis, and comparisons of two configurations.

use std::collections::HashMap;
use std::sync::Arc;

use sweep_analysis::analyse::Request;
use sweep_analysis::leaderboard::Row;
use sweep_analysis::prose::against;
use sweep_proto::v1;
use sweep_spec::spec::Goal;

use super::Sweeps;
use super::analysis_messages::{self as messages, correction, metric};
use super::leaderboard_page::Part;
use crate::convert::{self, MAX_TEXT_BYTES};
use crate::engine::{Analysed, Error};

impl Sweeps {
    pub(crate) async fn leaderboard(
        &self,
        request: v1::GetLeaderboardRequest,
    ) -> Result<v1::GetLeaderboardResponse, Error> {
        let sweep = self.find(request.sweep).await?;
        let asked = Request { metric: metric(&request.metric)?, ..Request::default() };
        let status = self.status(sweep).await?;
        let analysed = self.engine.analysed(sweep, asked, false).await?;
        let limit = if request.limit == 0 { usize::MAX } else { request.limit as usize };
        let rows: Vec<&Row> = analysed.board.rows.iter().take(limit).collect();
        board(&analysed, status, &rows)
    }

    /// A page of a leaderboard. For a large running sweep it may be some seconds old.
    pub(crate) async fn leaderboard_part(
        &self,
        request: v1::GetLeaderboardRequest,
        part: &Part,
    ) -> Result<PartOfBoard, Error> {
        let sweep = self.find(request.sweep).await?;
        let asked = Request { metric: metric(&request.metric)?, ..Request::default() };
        let analysed = self.engine.analysed_soon(sweep, asked, false).await?;
        let status = self.status(sweep).await?;
        let (rows, next, total) = part.of(&analysed)?;
        Ok(PartOfBoard { board: board(&analysed, status, &rows)?, total, next, read_ms: analysed.read_ms })
    }

    /// All rows of a leaderboard in the order of `part`.
    pub(crate) async fn ordered_board(
        &self,
        request: v1::GetLeaderboardRequest,
        part: &Part,
    ) -> Result<OrderedBoard, Error> {
        let sweep = self.find(request.sweep).await?;
        let asked = Request { metric: metric(&request.metric)?, ..Request::default() };
        let analysed = self.engine.analysed_soon(sweep, asked, false).await?;
        let indices: HashMap<u32, usize> = (analysed.board.rows.iter().map(|row| row.position)).zip(0..).collect();
        let all = Part { after: None, limit: usize::MAX, ..part.clone() };
        let (rows, ..) = all.of(&analysed)?;
        let order = rows.iter().filter_map(|row| indices.get(&row.position).copied()).collect();
        Ok(OrderedBoard { order: Arc::new(order), analysed })
    }

    pub(crate) async fn analysis(&self, request: v1::GetAnalysisRequest) -> Result<v1::GetAnalysisResponse, Error> {
        let sweep = self.find(request.sweep.clone()).await?;
        let status = self.status(sweep).await?;
        let analysed = self.engine.analysed(sweep, asked(&request)?, request.images).await?;
        analysis(&analysed, status)
    }

    /// The same. For a large running sweep it may be some seconds old.
    pub(crate) async fn analysis_soon(
        &self,
        request: v1::GetAnalysisRequest,
    ) -> Result<v1::GetAnalysisResponse, Error> {
        let sweep = self.find(request.sweep.clone()).await?;
        let analysed = self.engine.analysed_soon(sweep, asked(&request)?, request.images).await?;
        let status = self.status(sweep).await?;
        analysis(&analysed, status)
    }

    pub(crate) async fn compare(
        &self,
        request: v1::CompareConfigurationsRequest,
    ) -> Result<v1::CompareConfigurationsResponse, Error> {
        let sweep = self.find(request.sweep).await?;
        let configuration = convert::name("configuration", request.configuration, MAX_TEXT_BYTES)?;
        let reference = convert::name("reference", request.reference, MAX_TEXT_BYTES)?;
        let asked = Request { metric: metric(&request.metric)?, ..Request::default() };
        let status = self.status(sweep).await?;
        let found = self.engine.compared(sweep, asked, [&configuration, &reference]).await?;
        let compared = &found.compared;
        let row = |position: u32| {
            let row = found.board.rows.iter().find(|row| row.position == position);
            row.map(|row| super::sweep_messages::row(&found.record, row)).transpose()
        };
        Ok(v1::CompareConfigurationsResponse {
            sweep: Some(status),
            metric: found.board.metric.name().to_owned(),
            maximize: found.board.goal == Goal::Maximize,
            alpha: sweep_analysis::statistics::ALPHA,
            configuration: row(compared.comparison.position)?,
            reference: row(compared.comparison.reference)?,
            comparison: Some(messages::comparison(&found.study, &compared.comparison)),
            family: u32::try_from(compared.family).unwrap_or(u32::MAX),
            noise: compared.noise.as_ref().map(messages::noise),
            notes: compared.notes.clone(),
        })
    }
}

/// All rows of a leaderboard, in a chosen order.
#[derive(Clone)]
pub(crate) struct OrderedBoard {
    analysed: Arc<Analysed>,
    /// Indices into the rows of the board.
    order: Arc<Vec<usize>>,
}

impl OrderedBoard {
    /// The name of a file with it, without an extension.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.analysed.record.name, self.analysed.record.id)
    }

    /// At most `most` rows, from `start` on.
    pub(crate) fn rows(&self, start: usize, most: usize) -> Result<Vec<v1::LeaderboardRow>, Error> {
        let rows = self.order.iter().skip(start).take(most).filter_map(|index| self.analysed.board.rows.get(*index));
        messages::rows(&self.analysed, &rows.collect::<Vec<_>>(), true)
    }
}

/// A page of a leaderboard, and how to get the next one.
pub(crate) struct PartOfBoard {
    pub(crate) board: v1::GetLeaderboardResponse,
    /// The number of rows on all pages.
    pub(crate) total: usize,
    /// The position of the last row, if more rows follow.
    pub(crate) next: Option<u32>,
    /// When the store was read, in milliseconds since 1970.
    pub(crate) read_ms: i64,
}

fn board(analysed: &Analysed, status: v1::SweepStatus, rows: &[&Row]) -> Result<v1::GetLeaderboardResponse, Error> {
    let (board, analysis) = (&analysed.board, &analysed.analysis);
    Ok(v1::GetLeaderboardResponse {
        sweep: Some(status),
        metric: board.metric.name().to_owned(),
        maximize: board.goal == Goal::Maximize,
        rows: messages::rows(analysed, rows, true)?,
        notes: analysis.notes.clone(),
        alpha: analysis.alpha,
        noise: analysis.noise.as_ref().map(messages::noise),
        against: against(&analysed.study, &analysis.comparisons),
    })
}

/// The options of a request for an analysis.
fn asked(request: &v1::GetAnalysisRequest) -> Result<Request, Error> {
    let (metric, correction) = (metric(&request.metric)?, correction(request.correction)?);
    Ok(Request { metric, against_baseline: request.against_baseline, correction })
}

fn analysis(analysed: &Analysed, status: v1::SweepStatus) -> Result<v1::GetAnalysisResponse, Error> {
    let analysis = &analysed.analysis;
    let of = |comparisons: &[sweep_analysis::result::Comparison]| {
        comparisons.iter().map(|one| messages::comparison(&analysed.study, one)).collect()
    };
    Ok(v1::GetAnalysisResponse {
        sweep: Some(status),
        metric: analysis.metric.name().to_owned(),
        maximize: analysis.goal == Goal::Maximize,
        alpha: analysis.alpha,
        rows: messages::rows(analysed, &analysed.board.rows.iter().collect::<Vec<_>>(), false)?,
        comparisons: of(&analysis.comparisons),
        against_baseline: of(&analysis.against_baseline),
        stages: analysis.stages.iter().map(|stage| messages::stage(&analysed.study, stage)).collect(),
        noise: analysis.noise.as_ref().map(messages::noise),
        excluded: analysis.excluded.iter().map(|one| messages::exclusion(&analysed.study, one)).collect(),
        notes: analysis.notes.clone(),
        tables: analysed.tables.iter().map(|table| messages::table(&analysed.study, table)).collect(),
        against: against(&analysed.study, &analysis.comparisons),
    })
}
