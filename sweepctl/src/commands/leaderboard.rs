//! `sweepctl leaderboard`: ranks configurations, with differences and costs.

use std::collections::BTreeSet;

use clap::Args;
use sweep_analysis::number::{fixed, percent, scientific};
use sweep_proto::v1::GetLeaderboardRequest;
use sweep_shapes::text::{count, escape};
use sweep_shapes::{Comparison, Estimate, Leaderboard, Row};

use super::ablation::why;
use super::compare::{range, signed, verdict_label};
use super::{Context, status};
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::table::Table;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sweepctl leaderboard scene-cnn --limit 10\n  sweepctl leaderboard 3 --metric val_loss"
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Metric to rank by, instead of the sweep's objective
    #[arg(long, value_name = "METRIC", default_value = "", hide_default_value = true)]
    metric: String,
    /// Maximum number of rows; 0 means all
    #[arg(long, value_name = "ROWS", default_value_t = 0, hide_default_value = true)]
    limit: u32,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let request = GetLeaderboardRequest {
        sweep: client::reference(&arguments.sweep),
        metric: arguments.metric.clone(),
        limit: arguments.limit,
    };
    let leaderboard = Leaderboard::try_from(client.get_leaderboard(request).await?.into_inner())?;
    if context.output.is_json() {
        context.output.json(&leaderboard)?;
    } else {
        print(&context.output, &leaderboard)?;
    }
    Ok(Exit::Success)
}

/// The leaderboard of a sweep by its own objective.
pub(crate) async fn fetch(client: &mut Client, sweep: u64) -> Result<Leaderboard, Failure> {
    let request =
        GetLeaderboardRequest { sweep: client::reference(&sweep.to_string()), metric: String::new(), limit: 0 };
    Ok(client.get_leaderboard(request).await?.into_inner().try_into()?)
}

/// Prints the table to stdout, and notes about it to stderr.
pub(crate) fn print(output: &Output, leaderboard: &Leaderboard) -> Result<(), Failure> {
    let sweep = &leaderboard.sweep;
    let direction = if leaderboard.maximize { "highest" } else { "lowest" };
    output.say(&format!("{}; {}", status::headline(sweep), status::counts(&sweep.counts)));
    output.say(&format!("ranked by {}, {direction} first", escape(&leaderboard.metric)));
    let comparisons = || leaderboard.rows.iter().filter_map(|row| row.comparison.as_ref());
    if comparisons().next().is_some() {
        output.say(&format!(
            "delta: difference in {} from {}, with its 95 % interval by Student's t; verdict: {} sign-flip test with \
            Holm's correction at {}; configurations without a significant difference share a rank",
            escape(&leaderboard.metric),
            from(leaderboard.against.as_deref()),
            kind_of_test(comparisons()),
            percent(leaderboard.alpha)
        ));
    }
    if !leaderboard.rows.is_empty() {
        output.table(table(leaderboard))?;
    }
    for note in &leaderboard.notes {
        output.say(&format!("note: {}", escape(note)));
    }
    Ok(())
}

/// The test of these comparisons: with more than 40 seeds, sign flips are sampled.
pub(super) fn kind_of_test<'a>(comparisons: impl Iterator<Item = &'a Comparison>) -> &'static str {
    let made: BTreeSet<bool> = comparisons.filter_map(|one| one.exact).collect();
    match (made.contains(&true), made.contains(&false)) {
        (true, true) => "exact or sampled",
        (false, true) => "sampled",
        (_, false) => "exact",
    }
}

/// The reference of the differences; coordinators of earlier versions do not name it.
pub(super) fn from(against: Option<&str>) -> String {
    against.map_or_else(|| "the starting point of the stage".to_owned(), escape)
}

/// Reads a metric from a row.
type Read = fn(&Row) -> Option<Estimate>;

/// The metric columns, each with its heading and its reader.
const METRICS: [(&str, &str, Read); 4] = [
    ("train_accuracy", "train acc#", |row| row.train_accuracy),
    ("val_accuracy", "val acc#", |row| row.val_accuracy),
    ("train_loss", "train loss#", |row| row.train_loss),
    ("val_loss", "val loss#", |row| row.val_loss),
];

/// All other columns, the least important first: costs before comparisons.
const OPTIONAL: [&str; 10] = [
    "train loss",
    "train acc",
    "val loss",
    "val acc",
    "ratio",
    "seconds",
    "params",
    "95 % interval",
    "remark",
    "delta",
];

fn table(leaderboard: &Leaderboard) -> Table {
    let mut headings = vec!["rank#", "configuration"];
    headings.extend(METRICS.map(|(_, heading, _)| heading));
    headings.extend(["params#", "ratio#", "seconds#", "delta#", "95 % interval#", "verdict", "remark"]);
    // The ranking metric is never left out.
    let ranked_by = METRICS.iter().find(|(metric, ..)| *metric == leaderboard.metric).map(|(_, heading, _)| *heading);
    let ranked_by = ranked_by.unwrap_or(if leaderboard.metric == "ratio" { "ratio#" } else { "val acc#" });
    let optional = OPTIONAL.into_iter().filter(|heading| *heading != ranked_by.trim_end_matches('#'));
    let mut table = Table::new(&headings).names(&["configuration"]).optional(&optional.collect::<Vec<_>>());
    for row in &leaderboard.rows {
        let cells = cells(leaderboard, row);
        if row.rank == Some(1) { table.strong_row(cells) } else { table.row(cells) }
    }
    table
}

fn cells(leaderboard: &Leaderboard, row: &Row) -> Vec<String> {
    let none = || "-".to_owned();
    let metric = leaderboard.metric.as_str();
    let mut cells = vec![row.shared_rank.or(row.rank).map_or_else(none, |rank| rank.to_string()), title(row)];
    cells.extend(METRICS.map(|(_, _, of)| estimate(of(row), |value| fixed(value, 4))));
    let one = row.comparison.as_ref();
    cells.extend([
        count(row.params),
        row.ratio.map_or_else(none, |ratio| scientific(ratio.mean, 6)),
        estimate(row.seconds, |value| fixed(value, 1)),
        one.and_then(|one| one.delta).map_or_else(none, |delta| signed(metric, delta)),
        one.and_then(|one| one.t_interval).map_or_else(none, |interval| range(metric, interval)),
        one.map_or_else(none, |one| verdict_label(one.verdict)),
        remark(row),
    ]);
    cells
}

/// Notes about a row: the reason of its verdict, its accuracy on a test part that only reports, and others.
fn remark(row: &Row) -> String {
    let reason = row.comparison.as_ref().and_then(why);
    // The reason includes it already.
    let remark = row.remark.clone().filter(|remark| reason.as_ref().is_none_or(|reason| !reason.contains(remark)));
    let test = row.test_accuracy.map(|test| format!("test {}", estimate(Some(test), |value| fixed(value, 4))));
    reason.into_iter().chain(test).chain(remark).collect::<Vec<_>>().join(", ")
}

/// The entry's name, or its differences from the baseline.
pub(crate) fn title(row: &Row) -> String {
    match (&row.name, row.configuration.is_empty()) {
        (Some(name), true) => name.clone(),
        (Some(name), false) if *name == row.configuration => name.clone(),
        (Some(name), false) => format!("{name}: {}", row.configuration),
        (None, true) => "baseline".to_owned(),
        (None, false) => row.configuration.clone(),
    }
}

/// For example `0.8621 ± 0.0040`; the deviation only with several values.
pub(crate) fn estimate(estimate: Option<Estimate>, write: impl Fn(f64) -> String) -> String {
    match estimate {
        None => "-".to_owned(),
        Some(Estimate { mean, standard_deviation: None, .. }) => write(mean),
        Some(Estimate { mean, standard_deviation: Some(spread), .. }) => {
            format!("{} ± {}", write(mean), write(spread))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_shows_its_spread_only_where_it_has_one() {
        let write = |value: f64| format!("{value:.2}");
        assert_eq!(estimate(None, write), "-");
        let one = Estimate { mean: 0.5, standard_deviation: None, count: 1 };
        assert_eq!(estimate(Some(one), write), "0.50");
        let two = Estimate { standard_deviation: Some(0.125), count: 2, ..one };
        assert_eq!(estimate(Some(two), write), "0.50 ± 0.12");
    }
}
