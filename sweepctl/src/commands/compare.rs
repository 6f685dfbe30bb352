//! `sweepctl compare`: compares two configurations of a sweep, seed by seed.

use clap::Args;
use sweep_analysis::number::{self, fixed, probability, scientific};
use sweep_proto::v1::CompareConfigurationsRequest;
use sweep_shapes::text::{count, duration, escape, plural};
use sweep_shapes::{Compared, Comparison, Interval};

use super::Context;
use super::leaderboard::title;
use crate::client;
use crate::failure::{Exit, Failure};
use crate::output::{Output, STRONG};
use crate::table::Table;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl compare scene-cnn filters=256 baseline\n  sweepctl compare 3 '#1' '#2'")]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Configuration: its name, its differences from the baseline, `baseline`, its rank such as `#1`, or at least six
    /// digits of the id of one of its trials
    a: String,
    /// Configuration to compare it with
    b: String,
    /// Metric to compare, instead of the sweep's objective
    #[arg(long, value_name = "METRIC", default_value = "", hide_default_value = true)]
    metric: String,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let request = CompareConfigurationsRequest {
        sweep: client::reference(&arguments.sweep),
        configuration: arguments.a.clone(),
        reference: arguments.b.clone(),
        metric: arguments.metric.clone(),
    };
    let answer = client.compare_configurations(request).await?.into_inner();
    let compared = Compared::try_from(answer)?;
    if context.output.is_json() {
        context.output.json(&compared)?;
    } else {
        print(&context.output, &compared)?;
    }
    Ok(Exit::Success)
}

fn print(output: &Output, compared: &Compared) -> Result<(), Failure> {
    let one = &compared.comparison;
    let names = [title(&compared.configuration), title(&compared.reference)];
    let better = if compared.maximize { "more" } else { "less" };
    output.prose(&format!(
        "{STRONG}{} against {}{STRONG:#}, by {} ({better} is better)",
        escape(&names[0]),
        escape(&names[1]),
        escape(&compared.metric)
    ))?;
    output.text("")?;
    output.table(seeds(compared, names))?;
    output.text("")?;
    output.prose(&findings(compared).join("\n"))?;
    if !one.classes.is_empty() {
        output.text("")?;
        output.table(classes(one))?;
    }
    for note in &compared.notes {
        output.say(&format!("note: {}", escape(note)));
    }
    Ok(())
}

fn seeds(compared: &Compared, [one, other]: [String; 2]) -> Table {
    let metric = compared.metric.as_str();
    let headings = ["seed".to_owned(), format!("{one}#"), format!("{other}#"), "difference#".to_owned()];
    let mut table = Table::new(&headings.each_ref().map(String::as_str));
    let pairs = &compared.comparison.pairs;
    for pair in pairs {
        let difference = signed(metric, pair.value - pair.reference);
        table.row([pair.seed.to_string(), number(metric, pair.value), number(metric, pair.reference), difference]);
    }
    if let Some(delta) = compared.comparison.delta {
        let count = pairs.len() as f64;
        let mean = |of: fn(&sweep_shapes::Pair) -> f64| number(metric, pairs.iter().map(of).sum::<f64>() / count);
        let means = [mean(|pair| pair.value), mean(|pair| pair.reference)];
        let [value, reference] = means;
        table.strong_row(["mean".to_owned(), value, reference, signed(metric, delta)]);
    }
    let cost = |text: fn(&sweep_shapes::Row) -> String, name: &str| {
        [name.to_owned(), text(&compared.configuration), text(&compared.reference), String::new()]
    };
    table.row(cost(|row| count(row.params), "parameters"));
    table.row(cost(
        |row| row.seconds.map_or_else(|| "-".to_owned(), |seconds| duration(seconds.mean)),
        "time per trial",
    ));
    table
}

/// The verdict with its explanations.
fn findings(compared: &Compared) -> Vec<String> {
    let one = &compared.comparison;
    let metric = compared.metric.as_str();
    let mut lines = vec![format!("{STRONG}{}{STRONG:#}", escape(&one.sentence))];
    let mut line = |text: String| lines.push(format!("  {text}"));
    if let Some(interval) = one.t_interval {
        line(format!("95 % interval of the difference: {} (Student's t)", range(metric, interval)));
    }
    if let Some(interval) = one.bca_interval {
        line(format!("95 % interval of the difference: {} (bootstrap, BCa)", range(metric, interval)));
    }
    if let Some(size) = one.effect_size {
        let size = number::signed(size, 2);
        line(format!("effect size: {size} standard deviations of the difference"));
    }
    if let Some(p) = one.p {
        let kind = if one.exact == Some(false) { "sampled" } else { "exact" };
        let seeds = plural(one.seeds.into(), "seed");
        line(format!("{kind} sign-flip test over {seeds}: p = {}", probability(p)));
    }
    if let Some(p) = one.adjusted_p {
        let family = plural(compared.family.into(), "comparison");
        line(format!("corrected by Holm over {family}: p = {}, which decides the verdict", probability(p)));
    }
    if let Some(images) = &one.images {
        line(escape(&images.sentence));
    }
    if let Some(remark) = &one.remark {
        line(escape(remark));
    }
    if let Some(noise) = &compared.noise {
        line(escape(&noise.sentence));
    }
    lines
}

fn classes(one: &Comparison) -> Table {
    let mut table = Table::new(&["class", "recall, difference#", "p#", "verdict"]).names(&["class"]).optional(&["p"]);
    for class in &one.classes {
        let name = class.name.clone().unwrap_or_else(|| class.class.to_string());
        let p = class.adjusted_p.map_or_else(|| "-".to_owned(), probability);
        table.row([name, number::signed(class.delta, DECIMALS), p, verdict_label(class.verdict)]);
    }
    table
}

/// `no_difference_shown` as `no difference shown`.
pub(crate) fn verdict_label(verdict: &str) -> String {
    verdict.replace('_', " ")
}

/// Decimals of ratios.
const RATIO_DECIMALS: usize = 3;
const DECIMALS: usize = 4;

/// A value of a metric: four decimals, or three for ratios, as in the reference study.
pub(crate) fn number(metric: &str, value: f64) -> String {
    if metric == "ratio" { scientific(value, RATIO_DECIMALS) } else { fixed(value, DECIMALS) }
}

/// A difference of a metric, with its sign.
pub(crate) fn signed(metric: &str, value: f64) -> String {
    if metric == "ratio" { number::scientific_signed(value, RATIO_DECIMALS) } else { number::signed(value, DECIMALS) }
}

/// For example `-0.0012 to +0.0310`.
pub(crate) fn range(metric: &str, interval: Interval) -> String {
    format!("{} to {}", signed(metric, interval.low), signed(metric, interval.high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_a_sign_and_no_number_is_wide() {
        assert_eq!([signed("val_loss", 0.25), signed("val_loss", -0.000_01)], ["+0.2500", "+0.0000"]);
        assert_eq!([signed("ratio", 1.5e-8), signed("ratio", -1.5e-8)], ["+1.500e-08", "-1.500e-08"]);
        assert_eq!([number("val_loss", 1e34), number("ratio", 1e-9)], ["1.0000e+34", "1.000e-09"]);
        assert_eq!(verdict_label("no_difference_shown"), "no difference shown");
    }
}
