//! The standing of each configuration: ranks that claim only shown differences, and the front of quality against cost.

use std::collections::HashMap;

use sweep_spec::spec::Goal;

use super::bounds;
use super::context::Context;
use crate::leaderboard::{Leaderboard, Row};
use crate::result::Standing;
use crate::statistics::{ALPHA, estimate, front, front_shares, shared_ranks, significant_differences};

/// Every configuration, the best first.
pub(super) fn standings(context: &Context<'_>, board: &Leaderboard, notes: &mut Vec<String>) -> Vec<Standing> {
    let ranks = ranks(context, board, notes);
    let fronts = fronts(context, board, notes);
    let standing = |row: &Row| {
        let series = context.series(row.position);
        let values: Vec<f64> = series.into_iter().flat_map(|series| series.values.iter().map(|of| of.1)).collect();
        let (on_front, front_share) = fronts.get(&row.position).copied().unwrap_or((false, None));
        let rank = ranks.get(&row.position).copied();
        let (value, seconds) = (estimate(&values), row.seconds);
        Standing { position: row.position, rank, value, seconds, on_front, front_share }
    };
    board.rows.iter().map(standing).collect()
}

/// The ranks of the configurations that can be ranked. If there are too many for all pairs, their order by mean.
fn ranks(context: &Context<'_>, board: &Leaderboard, notes: &mut Vec<String>) -> HashMap<u32, u32> {
    let ranked = || board.rows.iter().filter_map(|row| Some((row.position, row.rank?)));
    let positions: Vec<u32> = ranked().map(|(position, _)| position).collect();
    let values: Vec<Vec<(u64, f64)>> =
        positions.iter().filter_map(|position| context.series(*position)).map(|series| series.numbers()).collect();
    let most = values.iter().map(Vec::len).max().unwrap_or(0);
    let tests = (values.len() as u64).saturating_mul(values.len().saturating_sub(1) as u64) / 2;
    if values.len() != positions.len() || tests.saturating_mul(bounds::test_steps(most)) > bounds::RANK_STEPS {
        notes.push(format!(
            "{} configurations are too many to compare each pair: ranks follow the mean alone",
            positions.len()
        ));
        return ranked().collect();
    }
    let apart = significant_differences(&values, ALPHA);
    let better = |one: usize, other: usize| {
        apart[one][other].is_some_and(|difference| match context.goal {
            Goal::Maximize => difference > 0.0,
            Goal::Minimize => difference < 0.0,
        })
    };
    positions.into_iter().zip(shared_ranks(values.len(), better)).collect()
}

/// Whether each is on the front of metric, parameters, FLOPs and seconds, and in which share of resamples.
fn fronts(context: &Context<'_>, board: &Leaderboard, notes: &mut Vec<String>) -> HashMap<u32, (bool, Option<f64>)> {
    let goals = [context.goal, Goal::Minimize, Goal::Minimize, Goal::Minimize];
    let rows: Vec<&Row> = board.rows.iter().filter(|row| row.rank.is_some()).collect();
    let mean = |row: &Row| row.value(context.metric).unwrap_or(f64::NAN);
    let seconds = |row: &Row| row.seconds.map_or(f64::NAN, |seconds| seconds.mean);
    let points: Vec<Vec<f64>> =
        rows.iter().map(|row| vec![mean(row), row.params as f64, row.flops as f64, seconds(row)]).collect();
    let on_front = front(&points, &goals);
    let shares = if rows.len() <= bounds::FRONT {
        let resampled: Vec<Vec<Vec<f64>>> = rows.iter().map(|row| replicates(context, row)).collect();
        front_shares(&resampled, &goals)
    } else {
        let (count, most) = (rows.len(), bounds::FRONT);
        notes.push(format!(
            "{count} configurations: the share of resamples on the Pareto front is computed for up to {most} only"
        ));
        vec![None; rows.len()]
    };
    rows.iter().zip(on_front).zip(shares).map(|((row, on), share)| (row.position, (on, share))).collect()
}

/// A configuration's replicates in each objective, in the order of their seeds.
fn replicates(context: &Context<'_>, row: &Row) -> Vec<Vec<f64>> {
    let values = context.series(row.position).map(|series| series.values.as_slice()).unwrap_or_default();
    let seconds = |answer: &crate::study::Answer| answer.seconds;
    vec![
        values.iter().map(|of| of.1).collect(),
        vec![row.params as f64],
        vec![row.flops as f64],
        values.iter().map(|of| of.2.answer.as_ref().map_or(f64::NAN, seconds)).collect(),
    ]
}
