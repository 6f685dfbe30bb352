//! `sweepctl leaderboard`: which change helps, by how much, at what cost.

use clap::Args;
use sweep_proto::v1::GetLeaderboardRequest;
use sweep_shapes::text::{count, escape, scientific};
use sweep_shapes::{Estimate, Interval, Leaderboard, Row};

use super::ablation::verdict;
use super::compare::{range, signed};
use super::{Context, status};
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::table::{Lines, Table, available_width};

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sweepctl leaderboard scene-cnn --limit 10\n  sweepctl leaderboard 3 --metric val_loss"
)]
pub(crate) struct Arguments {
    /// The sweep: its number, or a name (the newest sweep of that name)
    sweep: String,
    /// Rank by this metric instead of the sweep's objective
    #[arg(long, value_name = "METRIC", default_value = "", hide_default_value = true)]
    metric: String,
    /// At most so many rows; 0 means all
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
    Ok(Exit::Well)
}

/// The leaderboard of a sweep by its own objective.
pub(crate) async fn fetch(client: &mut Client, sweep: u64) -> Result<Leaderboard, Failure> {
    let request =
        GetLeaderboardRequest { sweep: client::reference(&sweep.to_string()), metric: String::new(), limit: 0 };
    Ok(client.get_leaderboard(request).await?.into_inner().try_into()?)
}

/// Table to stdout; what stands around it to stderr.
pub(crate) fn print(output: &Output, leaderboard: &Leaderboard) -> Result<(), Failure> {
    let sweep = &leaderboard.sweep;
    let direction = if leaderboard.maximize { "highest" } else { "lowest" };
    output.say(&format!("{}; {}", status::headline(sweep), status::counts(&sweep.counts)));
    output.say(&format!("ranked by {}, {direction} first", escape(&leaderboard.metric)));
    if leaderboard.rows.iter().any(|row| row.comparison.is_some()) {
        output.say(&format!(
            "delta: against the starting point of the stage, with its 95 % interval by Student's t; verdict: exact sign-flip \
             test under Holm at {:.0} %; what was not told apart shares a rank",
            leaderboard.alpha * 100.0
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

/// Narrower than this, losses stand below accuracies, intervals below differences, and remarks below configurations.
const WIDE: u16 = 170;

fn table(leaderboard: &Leaderboard) -> Table {
    let wide = available_width().is_none_or(|width| width >= WIDE);
    let headings: &[&str] = if wide {
        &[
            "rank#",
            "configuration",
            "train acc#",
            "val acc#",
            "train loss#",
            "val loss#",
            "params#",
            "ratio#",
            "seconds#",
            "delta#",
            "95 % interval#",
            "verdict",
            "remark",
        ]
    } else {
        &[
            "rank#",
            "configuration",
            "train acc and loss#",
            "val acc and loss#",
            "params and ratio#",
            "seconds#",
            "delta and interval#",
            "verdict",
        ]
    };
    let mut table = Table::new(headings);
    for row in &leaderboard.rows {
        let cells = if wide { wide_cells(leaderboard, row) } else { narrow_cells(leaderboard, row) };
        if row.rank == Some(1) { table.strong_row(cells) } else { table.row(cells) }
    }
    table
}

fn wide_cells(leaderboard: &Leaderboard, row: &Row) -> Vec<Lines> {
    let [rank, title, params, ratio, seconds, remark] = common_cells(row);
    let [train_accuracy, train_loss, val_accuracy, val_loss] = metric_cells(row);
    let (delta, interval, verdict) = comparison_cells(leaderboard, row);
    let interval = interval.map_or_else(|| "-".to_owned(), |interval| range(&leaderboard.metric, interval));
    let metrics = [rank, title, train_accuracy, val_accuracy, train_loss, val_loss, params, ratio, seconds];
    let said = [delta, interval, verdict, remark];
    metrics.into_iter().chain(said).map(Lines::from).collect()
}

fn narrow_cells(leaderboard: &Leaderboard, row: &Row) -> Vec<Lines> {
    let [rank, title, params, ratio, seconds, remark] = common_cells(row);
    let [train_accuracy, train_loss, val_accuracy, val_loss] = metric_cells(row);
    let (delta, interval, verdict) = comparison_cells(leaderboard, row);
    let title = if remark.is_empty() { Lines::from(title) } else { Lines::from([title, format!("({remark})")]) };
    let (train, val) = (Lines::from([train_accuracy, train_loss]), Lines::from([val_accuracy, val_loss]));
    let delta = match interval {
        None => Lines::from(delta),
        Some(interval) => Lines::from([delta, range(&leaderboard.metric, interval)]),
    };
    let size = Lines::from([params, ratio]);
    vec![rank.into(), title, train, val, size, seconds.into(), delta, verdict.into()]
}

/// Difference, interval and verdict.
fn comparison_cells(leaderboard: &Leaderboard, row: &Row) -> (String, Option<Interval>, String) {
    let Some(one) = &row.comparison else { return ("-".to_owned(), None, "-".to_owned()) };
    let delta = one.delta.map_or_else(|| "-".to_owned(), |delta| signed(&leaderboard.metric, delta));
    (delta, one.t_interval, verdict(one))
}

fn common_cells(row: &Row) -> [String; 6] {
    [
        row.shared_rank.or(row.rank).map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
        title(row),
        count(row.params),
        row.ratio.map_or_else(|| "-".to_owned(), |ratio| scientific(ratio.mean, 6)),
        estimate(row.seconds, |value| format!("{value:.1}")),
        remark(row),
    ]
}

/// What is to be known of a row; first the test part, where it only reports.
fn remark(row: &Row) -> String {
    // The reason of an open verdict says it already.
    let said = row.comparison.as_ref().and_then(|one| one.reason.as_ref());
    let remark = row.remark.clone().filter(|remark| said.is_none_or(|said| !said.contains(remark.as_str())));
    let test = row.test_accuracy.map(|test| format!("test {}", estimate(Some(test), |value| format!("{value:.4}"))));
    test.into_iter().chain(remark).collect::<Vec<_>>().join(", ")
}

fn metric_cells(row: &Row) -> [String; 4] {
    let metrics = [row.train_accuracy, row.train_loss, row.val_accuracy, row.val_loss];
    metrics.map(|metric| estimate(metric, |value| format!("{value:.4}")))
}

/// The entry's name, or what differs from the baseline.
pub(crate) fn title(row: &Row) -> String {
    match (&row.name, row.configuration.is_empty()) {
        (Some(name), true) => name.clone(),
        (Some(name), false) if *name == row.configuration => name.clone(),
        (Some(name), false) => format!("{name}: {}", row.configuration),
        (None, true) => "baseline".to_owned(),
        (None, false) => row.configuration.clone(),
    }
}

/// `0.8621 ± 0.0040`, the spread only where there are several. A line is broken before the sign, not behind it.
pub(crate) fn estimate(estimate: Option<Estimate>, write: impl Fn(f64) -> String) -> String {
    match estimate {
        None => "-".to_owned(),
        Some(Estimate { mean, standard_deviation: None, .. }) => write(mean),
        Some(Estimate { mean, standard_deviation: Some(spread), .. }) => {
            format!("{} ±\u{a0}{}", write(mean), write(spread))
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
        assert_eq!(estimate(Some(two), write), "0.50 ±\u{a0}0.12");
    }
}
