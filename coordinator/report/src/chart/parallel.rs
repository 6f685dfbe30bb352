//! Parallel coordinates: a line for each configuration through its levels, its parameters and its result. Levels are
//! evenly spaced. Lines through one level are spread out by their results, so that none hides another. The best are
//! drawn last.

use std::collections::BTreeMap;

use maud::{Markup, html};
use sweep_analysis::study::Subject;
use sweep_analysis::tables::by_level;
use sweep_spec::levels::{Factor, Level};
use sweep_spec::spec::Goal;

use super::scale::{AxisText, log_ticks, range, ticks};
use crate::tables::leaderboard::short;
use crate::view::View;
use crate::words::number::{self, Unit};

const HEIGHT: f64 = 380.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 350.0;
/// Distance between two axes, in pixels.
const STEP: f64 = 132.0;
const LEFT: f64 = 70.0;
/// How far the lines through one level are spread out, in pixels.
const FAN: f64 = 15.0;
/// Classes of colour, from the worst to the best.
const CLASSES: usize = 5;

/// Addresses that parts of the chart link to.
pub struct Links<'a> {
    /// The address of the configurations with a level.
    pub level: &'a dyn Fn(Factor, &Level) -> String,
    /// The address of a configuration.
    pub configuration: &'a dyn Fn(u32) -> String,
}

struct Drawn<'a> {
    subject: &'a Subject,
    levels: BTreeMap<Factor, Level>,
    value: f64,
    /// The quality of its result, from 0 (the worst) to 1.
    good: f64,
}

enum Axis {
    Factor(Factor, Vec<Level>),
    Parameters((f64, f64)),
    Value((f64, f64)),
}

/// `None` if no factor varies, or no configuration has a value.
pub(crate) fn draw(view: &View<'_>, most: usize, links: &Links<'_>) -> Option<Markup> {
    let (drawn, all) = chosen(view, most);
    let axes = axes(&drawn)?;
    let width = LEFT + STEP * (axes.len() - 1) as f64 + 76.0;
    let metric = view.analysis.metric;
    let names: Vec<String> = axes.iter().map(|axis| name(axis, view)).collect();
    let left = all - drawn.len();
    let said = format!(
        "Parallel coordinates of {}: {}.",
        crate::words::plural(drawn.len(), "configuration"),
        crate::words::list(&names)
    );
    Some(html! {
        p {
            "Each line is a configuration, from its levels on the left to its result on the right; better results are "
            "darker. Each level links to the configurations with that level."
            @if left > 0 {
                " Of " (number::count(all as u64)) " configurations with a value, " (number::count(drawn.len() as u64))
                " are drawn, evenly from the best to the worst."
            }
        }
        figure.parallel {
            div.scroll role="group" aria-label="Parallel coordinates" tabindex="0" {
                svg.coordinates viewBox={ "0 0 " (px(width)) " " (px(HEIGHT)) } width=(px(width)) height=(px(HEIGHT)) role="group" aria-label=(said) {
                    g.lines {
                        @for line in drawn.iter().rev() {
                            @let class = (line.good * CLASSES as f64).min(CLASSES as f64 - 1.0) as usize;
                            a href=((links.configuration)(line.subject.position)) tabindex="-1" aria-hidden="true" {
                                path class=(class_of(class, line.subject)) d=(path(line, &axes)) {
                                    title { (line.subject.title()) ": " (Unit::of(metric).value(line.value)) ", " (number::count(line.subject.params)) " parameters" }
                                }
                            }
                        }
                    }
                    @for (index, axis) in axes.iter().enumerate() { (axis_markup(axis, index, view, links)) }
                }
            }
        }
    })
}

fn class_of(class: usize, subject: &Subject) -> String {
    format!("q{class}{}", if subject.baseline { " baseline" } else { "" })
}

/// The configurations to draw, the best first, and how many have a value.
fn chosen<'a>(view: &View<'a>, most: usize) -> (Vec<Drawn<'a>>, usize) {
    let with_value = view.analysis.standings.iter().filter_map(|standing| {
        let value = standing.value?.mean;
        value.is_finite().then_some((view.subject(standing.position)?, value))
    });
    let mut all: Vec<(&Subject, f64)> = with_value.collect();
    let better = |a: f64, b: f64| match view.analysis.goal {
        Goal::Maximize => b.total_cmp(&a),
        Goal::Minimize => a.total_cmp(&b),
    };
    all.sort_by(|a, b| better(a.1, b.1));
    let (count, drawn) = (all.len(), all.len().min(most.max(2)));
    let last = drawn.saturating_sub(1).max(1);
    let pick = |index: usize| {
        let place = index * count.saturating_sub(1) / last;
        let (subject, value) = all.get(place).copied()?;
        let good = 1.0 - place as f64 / count.saturating_sub(1).max(1) as f64;
        Some(Drawn { subject, levels: subject.configuration.levels().into_iter().collect(), value, good })
    };
    ((0..drawn).filter_map(pick).collect(), count)
}

fn axes(drawn: &[Drawn<'_>]) -> Option<Vec<Axis>> {
    let mut levels: BTreeMap<Factor, Vec<Level>> = BTreeMap::new();
    for (factor, level) in drawn.iter().flat_map(|line| &line.levels) {
        let seen = levels.entry(*factor).or_default();
        if !seen.contains(level) {
            seen.push(*level);
        }
    }
    let mut axes: Vec<Axis> = Vec::new();
    for (factor, mut levels) in levels {
        if levels.len() > 1 {
            levels.sort_by(by_level);
            axes.push(Axis::Factor(factor, levels));
        }
    }
    let params = range(drawn.iter().map(|line| (line.subject.params.max(1) as f64).log10()), 0.04)?;
    axes.push(Axis::Parameters(params));
    axes.push(Axis::Value(range(drawn.iter().map(|line| line.value), 0.04)?));
    (axes.len() > 2).then_some(axes)
}

fn name(axis: &Axis, view: &View<'_>) -> String {
    match axis {
        Axis::Factor(factor, _) => factor.name().to_owned(),
        Axis::Parameters(_) => "Parameters".to_owned(),
        Axis::Value(_) => short(view.analysis.metric).to_owned(),
    }
}

fn share(value: f64, (low, high): (f64, f64)) -> f64 {
    BOTTOM - (BOTTOM - TOP) * ((value - low) / (high - low)).clamp(0.0, 1.0)
}

fn level_height(levels: &[Level], index: usize) -> f64 {
    let steps = levels.len().saturating_sub(1).max(1) as f64;
    BOTTOM - FAN - (BOTTOM - TOP - 2.0 * FAN) * index as f64 / steps
}

fn height(line: &Drawn<'_>, axis: &Axis) -> Option<f64> {
    match axis {
        Axis::Factor(factor, levels) => {
            let level = line.levels.get(factor)?;
            let index = levels.iter().position(|other| other == level)?;
            Some(level_height(levels, index) - (line.good - 0.5) * 2.0 * FAN * 0.8)
        }
        Axis::Parameters(range) => Some(share((line.subject.params.max(1) as f64).log10(), *range)),
        Axis::Value(range) => Some(share(line.value, *range)),
    }
}

/// The path of a line: flat where it crosses an axis. It skips axes that a network does not have.
fn path(line: &Drawn<'_>, axes: &[Axis]) -> String {
    let mut text = String::new();
    let mut before: Option<(f64, f64)> = None;
    for (index, axis) in axes.iter().enumerate() {
        let Some(y) = height(line, axis) else { continue };
        let x = LEFT + STEP * index as f64;
        match before {
            None => text.push_str(&format!("M{x:.0} {y:.1}")),
            Some((x0, y0)) => {
                let half = (x - x0) / 2.0;
                text.push_str(&format!("C{:.0} {y0:.1} {:.0} {y:.1} {x:.0} {y:.1}", x0 + half, x - half));
            }
        }
        before = Some((x, y));
    }
    text
}

fn axis_markup(axis: &Axis, index: usize, view: &View<'_>, links: &Links<'_>) -> Markup {
    let x = LEFT + STEP * index as f64;
    let label = |y: f64, text: &str| {
        html! {
            rect.behind x=(px(x + 4.0)) y=(px(y - 8.0)) width=(px(7.0 + 6.6 * text.chars().count() as f64)) height="16" rx="3" {}
            text x=(px(x + 7.0)) y=(px(y + 4.0)) { (text) }
        }
    };
    html! {
        g.coordinate {
            line x1=(px(x)) x2=(px(x)) y1=(px(TOP)) y2=(px(BOTTOM)) {}
            text.head x=(px(x)) y="22" text-anchor="middle" { (name(axis, view)) }
            @match axis {
                Axis::Factor(factor, levels) => @for (index, level) in levels.iter().enumerate() {
                    @let text = level.to_string();
                    a href=((links.level)(*factor, level)) aria-label={ (factor.name()) " " (text) } { (label(level_height(levels, index), &text)) }
                },
                Axis::Parameters(range) => @for tick in log_ticks((10_f64.powf(range.0), 10_f64.powf(range.1))) {
                    (label(share(tick.log10(), *range), &number::round_si(tick)))
                },
                Axis::Value(range) => @for tick in ticks(*range, 5) { (label(share(tick, *range), &plain(tick, *range, view))) },
            }
        }
    }
}

fn plain(tick: f64, range: (f64, f64), view: &View<'_>) -> String {
    match Unit::of(view.analysis.metric) {
        Unit::Small => number::scientific(tick),
        Unit::Share | Unit::Loss => AxisText::of(range).write(tick),
    }
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}
