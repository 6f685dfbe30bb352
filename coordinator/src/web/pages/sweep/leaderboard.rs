//! The leaderboard: every configuration, sorted by any column, 100 per page.

use std::collections::HashMap;

use maud::{Markup, html};
use sweep_analysis::leaderboard::Row;
use sweep_analysis::prose::against;
use sweep_analysis::result::{Comparison, Estimate, Standing};
use sweep_report::parts::{self, number};
use sweep_spec::spec::Metric;

use super::{SweepContext, metrics};
use crate::engine::Analysed;
use crate::service::leaderboard_page::by_number;
use crate::web::pages::components::{SortHeader, empty_state, long_download, pages, verdict};
use crate::web::pages::query::{MOST_CHOSEN, Query};

/// Configurations of one page.
const SIZE: usize = 100;

/// A configuration with its place, its standing and its comparison.
struct Line<'a> {
    row: &'a Row,
    standing: Option<&'a Standing>,
    /// The comparison with the starting point of its stage.
    comparison: Option<&'a Comparison>,
    /// The place on the leaderboard, counted from 0.
    place: usize,
}

impl Line<'_> {
    fn estimate(&self, metric: Metric) -> Option<Estimate> {
        match metric {
            Metric::ValAccuracy => self.row.val_accuracy,
            Metric::ValLoss => self.row.val_loss,
            Metric::TrainAccuracy => self.row.train_accuracy,
            Metric::TrainLoss => self.row.train_loss,
            Metric::Ratio => self.row.ratio,
        }
    }

    /// The sort key of a column.
    fn key(&self, column: &str) -> Option<f64> {
        if let Some(metric) = Metric::named(column) {
            return self.estimate(metric).map(|estimate| estimate.mean);
        }
        match column {
            "params" => Some(self.row.params as f64),
            "flops" => Some(self.row.flops as f64),
            "seconds" => self.row.seconds.map(|seconds| seconds.mean),
            "delta" => self.comparison.and_then(|comparison| comparison.delta),
            "p" => self.comparison.and_then(|comparison| comparison.adjusted_p),
            "test_accuracy" => self.row.test_accuracy.map(|estimate| estimate.mean),
            "n" => Some(self.row.counts.succeeded as f64),
            _ => Some(self.place as f64),
        }
    }
}

/// The sort key, and whether the order is descending.
fn ordered(query: &Query) -> (&str, bool) {
    const NUMBERS: [&str; 7] = ["params", "flops", "seconds", "delta", "p", "test_accuracy", "n"];
    let key = query.get("sort").filter(|key| *key == "name" || NUMBERS.contains(key) || Metric::named(key).is_some());
    (key.unwrap_or("rank"), query.get("order").is_some_and(|order| order == "desc"))
}

pub(super) fn section(context: &SweepContext, analysed: &Analysed) -> Markup {
    let query = &context.asked.query;
    let metric = analysed.analysis.metric;
    let path = context.path("");
    let mut lines = lines(analysed);
    let all = lines.len();
    lines.retain(|line| wanted(line, query));
    let found = lines.len();
    let now = ordered(query);
    order(&mut lines, now);
    let page = query.page().min(found.div_ceil(SIZE).max(1));
    let range = range(&lines, metric);
    let shown = lines.iter().skip((page - 1) * SIZE).take(SIZE);
    let against = against(&analysed.study, &analysed.analysis.comparisons);
    html! {
        section.board #board aria-labelledby="board-title" {
            h2 #board-title { "Leaderboard" }
            (metrics(context, &path, metric))
            (filter(query, &path, all))
            (levels(query, &path))
            @if all == 0 {
                (empty_state("No configurations yet.", &html! { p { "Configurations appear when the first stage starts." } }))
            } @else if found == 0 {
                (empty_state("No configuration matches.", &html! { p { a href=(path) { "Show all " (number::count(all as u64)) } } }))
            } @else {
                form #compare method="get" action=(context.path("/curves")) {
                    @if let Some(metric) = query.get("metric") { input type="hidden" name="metric" value=(metric); }
                    div.scroll role="group" aria-label="Leaderboard" tabindex="0" {
                        table.leaderboard.cards #leaderboard {
                            caption { "Configurations" @if now.0 == "rank" { ", the best first" } span.quiet { " – " (parts::title(metric)) ", mean ± standard deviation over seeds" @if !against.is_empty() { "; Δ: difference from " (against) } } }
                            (head(&path, query, (metric, now), has_tests(&lines)))
                            tbody { @for line in shown { (row(context, line, (metric, range), has_tests(&lines))) } }
                        }
                    }
                    div.compare {
                        p { "Choose up to " (MOST_CHOSEN) " and compare their " }
                        button type="submit" { "curves" }
                        button type="submit" formaction=(context.path("/images")) { "confusion matrices" }
                    }
                }
                div.under {
                    (pages(&path, query, (page, SIZE, found)))
                    (long_download(&format!("/api/v1{}/leaderboard?metric={}", context.path(""), metric.name()), "the leaderboard"))
                }
            }
            @if !analysed.board.notes.is_empty() {
                ul.notes { @for note in &analysed.board.notes { li { (parts::capital(note)) } } }
            }
            p.quiet.explained {
                "A configuration’s rank is one more than the number of configurations that are significantly better, so configurations without a significant difference share a rank. "
                "A verdict compares a configuration with the starting point of its stage, by the corrected test alone. "
                span.front aria-hidden="true" { "◆" } " marks the Pareto front of " (parts::title(metric)) ", parameters, FLOPs and time."
            }
        }
    }
}

fn lines(analysed: &Analysed) -> Vec<Line<'_>> {
    let standings: HashMap<u32, &Standing> =
        analysed.analysis.standings.iter().map(|standing| (standing.position, standing)).collect();
    let mut comparisons: HashMap<u32, &Comparison> = HashMap::new();
    for comparison in &analysed.analysis.comparisons {
        comparisons.entry(comparison.position).or_insert(comparison);
    }
    let line = |(place, row): (usize, &'_ Row)| (place, row.position);
    let rows = analysed.board.rows.iter().enumerate();
    rows.map(|entry| {
        let (place, position) = line(entry);
        Line {
            row: entry.1,
            standing: standings.get(&position).copied(),
            comparison: comparisons.get(&position).copied(),
            place,
        }
    })
    .collect()
}

fn wanted(line: &Line<'_>, query: &Query) -> bool {
    let searched = query.searched();
    let text = || format!("{} {} {}", line.row.position, line.row.name, line.row.label).to_lowercase();
    if !searched.is_empty() {
        let text = text();
        if !searched.split_whitespace().all(|word| text.contains(word)) {
            return false;
        }
    }
    let verdict = query.get("verdict");
    if verdict.is_some() && line.comparison.map(|comparison| comparison.verdict.word()) != verdict {
        return false;
    }
    let mut levels = query.all("where").peekable();
    levels.peek().is_none()
        || levels.all(|wanted| {
            let Some((factor, level)) = wanted.split_once(':') else { return true };
            let mut own = line.row.configuration.levels().into_iter();
            own.any(|(other, value)| other.name() == factor && value.to_string() == level)
        })
}

fn order(lines: &mut [Line<'_>], (key, high): (&str, bool)) {
    if key == "name" {
        lines.sort_by(|a, b| a.row.title().cmp(b.row.title()));
        if high {
            lines.reverse();
        }
        return;
    }
    by_number(lines, |line| line.key(key).filter(|value| value.is_finite()), high);
}

fn has_tests(lines: &[Line<'_>]) -> bool {
    lines.iter().any(|line| line.row.test_accuracy.is_some())
}

fn filter(query: &Query, path: &str, all: usize) -> Markup {
    let verdict = query.get("verdict").unwrap_or_default();
    html! {
        form.filter #filter method="get" action=(path) role="search" aria-label="Filter configurations" {
            @for (key, value) in query.others(&["q", "verdict", "page"]) { input type="hidden" name=(key) value=(value); }
            label { span { "Configuration" } input #filter-q type="search" name="q" value=[query.get("q")] maxlength="200" autocomplete="off"; }
            label { span { "Verdict" } select #filter-verdict name="verdict" {
                option value="" { "any" }
                @for word in ["helps", "hurts", "no difference shown", "after selection", "open"] {
                    option value=(word) selected[verdict == word] { (word) }
                }
            } }
            button type="submit" { "Show" }
            @if ["q", "verdict", "where"].iter().any(|key| query.get(key).is_some()) {
                a href=(query.with(&[("q", None), ("verdict", None), ("where", None), ("page", None)]).link(path)) { "Show all " (number::count(all as u64)) }
            }
        }
    }
}

/// The levels that filter the table, with links that remove them.
fn levels(query: &Query, path: &str) -> Markup {
    html! {
        @if query.get("where").is_some() {
            p.levels { "Only "
                @for level in query.all("where") {
                    a.level href=(query.without("where", level).with(&[("page", None)]).link(path)) aria-label={ "Without the condition " (level) } { (level.replace(':', " = ")) " ×" } " "
                }
            }
        }
    }
}

fn head(path: &str, query: &Query, (metric, now): (Metric, (&str, bool)), tested: bool) -> Markup {
    let column = |key, title, class, high_first| SortHeader { key, title, class, high_first }.draw(path, query, now);
    let beside = if metric == Metric::TrainAccuracy { Metric::ValAccuracy } else { Metric::TrainAccuracy };
    let high = |metric: Metric| metric.natural_goal() == sweep_spec::spec::Goal::Maximize;
    html! {
        thead { tr {
            th scope="col" class="pick" { span.unseen { "Choose" } }
            (column("rank", "Rank", "number", false))
            (column("name", "Configuration", "name", false))
            (column(metric.name(), parts::short(metric), "number", high(metric)))
            th scope="col" class="strip" { span.unseen { "Chart of mean and spread" } }
            (column("delta", "Δ", "number", true))
            (column("p", "Verdict", "text", false))
            (column(beside.name(), parts::short(beside), "number", high(beside)))
            @if tested { (column("test_accuracy", "Test accuracy", "number", true)) }
            (column("params", "Parameters", "number", false))
            (column("flops", "FLOPs", "number", false))
            (column("seconds", "Time", "number", false))
            (column("n", "n", "number", true))
            @if metric != Metric::Ratio { (column("ratio", "Ratio", "number", true)) }
        } }
    }
}

fn row(context: &SweepContext, line: &Line<'_>, (metric, range): (Metric, Option<(f64, f64)>), tested: bool) -> Markup {
    let (row, unit) = (line.row, parts::unit(metric));
    let position = row.position.to_string();
    let beside = if metric == Metric::TrainAccuracy { Metric::ValAccuracy } else { Metric::TrainAccuracy };
    let mean = |metric: Metric| parts::unit(metric).maybe(line.estimate(metric).map(|estimate| estimate.mean));
    let delta = line.comparison.and_then(|comparison| comparison.delta);
    let rank = line.standing.and_then(|standing| standing.rank);
    html! {
        tr id={ "configuration-" (position) } class=[row.baseline.then_some("reference")] {
            td.pick { input id={ "choose-" (position) } type="checkbox" name="chosen" value=(position) aria-label={ "Choose " (row.title()) } checked[context.asked.query.chosen().contains(&row.position)]; }
            td.number.rank { (rank.map_or_else(|| "–".to_owned(), |rank| rank.to_string())) }
            th scope="row" class="name" {
                a href=(context.path(&format!("/configurations/{position}"))) { (row.title()) }
                @if line.standing.is_some_and(|standing| standing.on_front) { span.front title="on the Pareto front" aria-label="on the Pareto front" role="img" { " ◆" } }
                @if !row.remark.is_empty() { span.remark { " " (row.remark) } }
            }
            td.number { (unit.estimate(line.estimate(metric))) }
            td.strip { (strip(line.estimate(metric), range, row.baseline)) }
            td.number.difference data-label="Δ" { (delta.map_or_else(|| "–".to_owned(), |delta| unit.delta(delta))) }
            td.text.judged {
                @match line.comparison {
                    _ if row.baseline => span.quiet { "baseline" },
                    Some(comparison) => (verdict(comparison)),
                    None => span.quiet { "–" },
                }
            }
            td.number.more data-label=(parts::short(beside)) { (mean(beside)) }
            @if tested { td.number.more data-label="Test accuracy" { (parts::unit(Metric::ValAccuracy).maybe(row.test_accuracy.map(|estimate| estimate.mean))) } }
            td.number.more data-label="Parameters" { (number::count(row.params)) }
            td.number.more data-label="FLOPs" { (number::si(row.flops)) }
            td.number.more data-label="Time" { (row.seconds.map_or_else(|| "–".to_owned(), |seconds| number::seconds(seconds.mean))) }
            td.number.more data-label="n" { (row.counts.succeeded) }
            @if metric != Metric::Ratio { td.number.more data-label="Ratio" { (mean(Metric::Ratio)) } }
        }
    }
}

/// The range of the mean-and-spread charts, which all rows share.
fn range(lines: &[Line<'_>], metric: Metric) -> Option<(f64, f64)> {
    let estimates = lines.iter().filter_map(|line| line.estimate(metric));
    let ends = estimates.flat_map(|estimate| {
        let spread = estimate.standard_deviation.unwrap_or(0.0);
        [estimate.mean - spread, estimate.mean + spread]
    });
    let ends = ends.filter(|end| end.is_finite());
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)));
    (low < high).then_some((low, high))
}

/// A chart of mean and spread.
fn strip(estimate: Option<Estimate>, range: Option<(f64, f64)>, baseline: bool) -> Markup {
    let (Some(estimate), Some((low, high))) = (estimate, range) else { return html! {} };
    let at = |value: f64| format!("{:.1}", 4.0 + 92.0 * ((value - low) / (high - low)).clamp(0.0, 1.0));
    if !estimate.mean.is_finite() {
        return html! {};
    }
    let spread = estimate.standard_deviation.filter(|spread| spread.is_finite()).unwrap_or(0.0);
    html! {
        svg class=(if baseline { "dot baseline" } else { "dot" }) viewBox="0 0 100 14" aria-hidden="true" {
            line x1=(at(estimate.mean - spread)) x2=(at(estimate.mean + spread)) y1="7" y2="7" {}
            circle cx=(at(estimate.mean)) cy="7" r="3.2" {}
        }
    }
}
