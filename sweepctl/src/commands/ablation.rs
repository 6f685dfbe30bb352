//! `sweepctl ablation`: one table per factor, with differences, intervals and verdicts.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use sweep_analysis::number::{fixed, percent, probability, scientific};
use sweep_proto::v1::{self, GetAnalysisRequest};
use sweep_shapes::text::{count, escape, plural};
use sweep_shapes::{Analysis, Comparison, FactorTable, Level, Row, Stage};

use super::compare::{range, signed, verdict_label};
use super::leaderboard::{estimate, from, kind_of_test};
use super::{Context, status};
use crate::client;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::table::Table;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sweepctl ablation scene-cnn\n  sweepctl ablation 3 --metric val_loss --against-baseline"
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Metric to compare, instead of the sweep's objective
    #[arg(long, value_name = "METRIC", default_value = "", hide_default_value = true)]
    metric: String,
    /// Compare with the sweep's baseline, a test family of its own, instead of each stage's starting point
    #[arg(long)]
    against_baseline: bool,
    /// Also show p-values with another correction; verdicts still use Holm's
    #[arg(long, value_enum, default_value_t, value_name = "WAY")]
    correction: Correction,
}

/// Correction of p-values for the number of comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Correction {
    // Holm's.
    #[default]
    Holm,
    // Holm's and, beside it, Benjamini and Hochberg's.
    Bh,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let correction = match arguments.correction {
        Correction::Holm => v1::Correction::Holm,
        Correction::Bh => v1::Correction::BenjaminiHochberg,
    };
    let request = GetAnalysisRequest {
        sweep: client::reference(&arguments.sweep),
        metric: arguments.metric.clone(),
        against_baseline: arguments.against_baseline,
        correction: correction.into(),
        images: context.output.is_json(),
    };
    let analysis = Analysis::try_from(client.get_analysis(request).await?.into_inner())?;
    if context.output.is_json() {
        context.output.json(&analysis)?;
    } else {
        print(&context.output, &analysis, arguments)?;
    }
    Ok(Exit::Success)
}

fn print(output: &Output, analysis: &Analysis, arguments: &Arguments) -> Result<(), Failure> {
    let against_baseline = arguments.against_baseline;
    let family = if against_baseline { &analysis.against_baseline } else { &analysis.comparisons };
    output.say(&format!("{}; {}", status::headline(&analysis.sweep), status::counts(&analysis.sweep.counts)));
    output.say(&format!(
        "delta: mean difference in {} from {} over seeds, with its 95 % interval by Student's t",
        escape(&analysis.metric),
        if against_baseline { "the baseline".to_owned() } else { from(analysis.against.as_deref()) }
    ));
    output.say(&format!(
        "p: {} sign-flip test, corrected by Holm over {}; verdicts at {}",
        kind_of_test(family.iter()),
        plural(family.len() as u64, "comparison"),
        percent(analysis.alpha)
    ));
    let rows: HashMap<u32, &Row> = analysis.configurations.iter().map(|row| (row.position, row)).collect();
    let printer = Printer { analysis, rows, family, arguments };
    let factors = analysis.tables.iter().map(|table| (heading(table), printer.table(table)));
    let with_effects = analysis.stages.iter().filter(|stage| !stage.effects.is_empty());
    let effects = with_effects.map(|stage| (format!("{}: effects", stage.stage), effects(&analysis.metric, stage)));
    output.tables(factors.chain(effects).map(|(heading, table)| (Some(escape(&heading)), table)))?;
    let mut lines = path(analysis);
    lines.extend(analysis.noise.iter().map(|noise| escape(&noise.sentence)));
    if !analysis.excluded.is_empty() {
        lines.push("excluded from all tests:".to_owned());
        lines.extend(analysis.excluded.iter().map(|one| {
            let seed = one.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
            format!("  {}{seed}: {}", escape(&one.configuration), escape(&one.reason))
        }));
    }
    if !lines.is_empty() {
        output.prose(&format!("\n{}", lines.join("\n")))?;
    }
    for note in &analysis.notes {
        output.say(&format!("note: {}", escape(note)));
    }
    Ok(())
}

/// For example `depth: conv_layers`.
fn heading(table: &FactorTable) -> String {
    if table.factors.is_empty() {
        table.stage.clone()
    } else {
        format!("{}: {}", table.stage, table.factors.join(", "))
    }
}

struct Printer<'a> {
    analysis: &'a Analysis,
    rows: HashMap<u32, &'a Row>,
    family: &'a [Comparison],
    arguments: &'a Arguments,
}

impl Printer<'_> {
    fn table(&self, table: &FactorTable) -> Table {
        let level = match table.factors.as_slice() {
            [factor] => factor.clone(),
            _ => "configuration".to_owned(),
        };
        let mut headings =
            vec![level.as_str(), "train acc#", "val acc#", "params#", "ratio#", "delta#", "95 % interval#", "p#"];
        if self.arguments.correction == Correction::Bh {
            headings.push("p (BH)#");
        }
        headings.extend(["verdict", "remark"]);
        let optional = ["ratio", "train acc", "p (BH)", "params", "p", "95 % interval", "remark"];
        let mut shown = Table::new(&headings).names(&[level.as_str()]).optional(&optional);
        for entry in &table.rows {
            let comparison = self.comparison(table, entry);
            let cells = self.cells(entry, comparison);
            let stands_out = comparison.is_some_and(|one| one.verdict == "helps");
            if stands_out { shown.strong_row(cells) } else { shown.row(cells) }
        }
        shown
    }

    /// The comparison of a row: within its stage, or with the baseline.
    fn comparison(&self, table: &FactorTable, entry: &Level) -> Option<&Comparison> {
        if !self.arguments.against_baseline && entry.start {
            return None;
        }
        let start = table.rows.iter().find(|row| row.start).map(|row| row.position);
        let mut of = self.family.iter().filter(|one| one.position == entry.position);
        if self.arguments.against_baseline {
            return of.next();
        }
        of.find(|one| start.is_none_or(|start| one.reference_position == start))
    }

    fn cells(&self, entry: &Level, comparison: Option<&Comparison>) -> Vec<String> {
        let metric = self.analysis.metric.as_str();
        let row = self.rows.get(&entry.position);
        let none = || "-".to_owned();
        let share = |value: f64| fixed(value, 4);
        let mut cells = vec![
            entry.level.clone(),
            estimate(row.and_then(|row| row.train_accuracy), share),
            estimate(row.and_then(|row| row.val_accuracy), share),
            row.map_or_else(none, |row| count(row.params)),
            row.and_then(|row| row.ratio).map_or_else(none, |ratio| scientific(ratio.mean, 2)),
            comparison.and_then(|one| one.delta).map_or_else(none, |delta| signed(metric, delta)),
            comparison.and_then(|one| one.t_interval).map_or_else(none, |interval| range(metric, interval)),
            comparison.and_then(|one| one.adjusted_p).map_or_else(none, probability),
        ];
        if self.arguments.correction == Correction::Bh {
            cells.push(comparison.and_then(|one| one.false_discovery_p).map_or_else(none, probability));
        }
        let verdict = match comparison {
            Some(one) => verdict_label(one.verdict),
            None if entry.start => "(starting point)".to_owned(),
            None if row.is_some_and(|row| row.baseline) => "(baseline)".to_owned(),
            None => none(),
        };
        cells.extend([verdict, comparison.and_then(why).unwrap_or_default()]);
        cells
    }
}

/// The reason of a verdict, or how many more seeds would show a difference.
pub(crate) fn why(one: &Comparison) -> Option<String> {
    let more = || Some(format!("about {}", plural(one.more_seeds?.into(), "more seed")));
    one.reason.clone().or_else(more)
}

fn effects(metric: &str, stage: &Stage) -> Table {
    let headings = ["effect", "size#", "95 % interval#", "share of variance#", "also"];
    let mut table = Table::new(&headings).optional(&["share of variance", "95 % interval", "also"]);
    for effect in &stage.effects {
        table.row([
            effect.factors.join(" × "),
            effect.size.map_or_else(|| "-".to_owned(), |size| signed(metric, size)),
            effect.interval.map_or_else(|| "-".to_owned(), |interval| range(metric, interval)),
            format!("{} %", fixed(effect.variance_share * 100.0, 1)),
            effect.aliases.join(", "),
        ]);
    }
    table
}

/// The winner and the gain of each stage that selected one.
fn path(analysis: &Analysis) -> Vec<String> {
    let metric = analysis.metric.as_str();
    let step = |stage: &Stage| {
        let winner = stage.winner.as_ref()?;
        let start = stage.start.as_deref().unwrap_or("a start that was not trained");
        let gain = stage.gain.map(|gain| format!(" ({})", signed(metric, gain))).unwrap_or_default();
        Some(format!("{}: from {} to {}{gain}", escape(&stage.stage), escape(start), escape(winner)))
    };
    let mut lines: Vec<String> = analysis.stages.iter().filter_map(step).collect();
    if !lines.is_empty() {
        lines.insert(0, "path of chosen configurations, with the gain on the seeds used for the choice:".to_owned());
        lines.iter_mut().skip(1).for_each(|line| *line = format!("  {line}"));
    }
    lines
}
