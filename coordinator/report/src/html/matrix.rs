//! Confusion matrices of every configuration, and their differences from the baseline's. Each is in a `details`
//! element, so that a page without its script, or on paper, still has it. A colour is one of twenty classes and not an
//! inline style, which a strict content policy would refuse.

use maud::{Markup, html};

use crate::summary::Confusion;
use crate::view::View;
use crate::words::plural;

/// The most configurations with a matrix, the best first: each matrix takes some tens of kilobytes.
const MOST_MATRICES: usize = 60;
/// With more classes a matrix is too large to read; the page lists the most confused pairs instead.
const MOST_CLASSES: usize = 30;

pub(crate) fn section(view: &View<'_>) -> Option<Markup> {
    let classes = &view.study.classes;
    let order = view.analysis.standings.iter().filter_map(|standing| view.subject(standing.position));
    let mut all: Vec<_> = order.filter_map(|subject| Some((subject, Confusion::of(view, subject)?))).collect();
    if all.is_empty() {
        return None;
    }
    let left = all.len().saturating_sub(MOST_MATRICES);
    all.truncate(MOST_MATRICES);
    if classes.len() > MOST_CLASSES {
        return Some(html! { p { "There are " (classes.len()) " classes, too many for a matrix on a page." } });
    }
    let baseline = view.baseline().and_then(|subject| Confusion::of(view, subject));
    Some(html! {
        p {
            "Rows are true classes and columns are predicted classes. Cells are percentages of the class’s images \
             over all seeds; a blank cell is below half a percent. Differences to the baseline are in percentage \
             points: blue where the configuration is right more often, or wrong less often."
        }
        @if left > 0 { p { "The matrices of " (left) " configurations with a lower rank are left out." } }
        div.matrices {
            @for (index, (subject, confusion)) in all.iter().enumerate() {
                @let name = view.name(subject.position);
                details.matrix open[index == 0] data-name=(name) {
                    summary { (name) span.quiet { " " (plural(confusion.networks, "network")) } }
                    div.pair {
                        (matrix(classes, ("Confusion, in percent", &name), |truth, said| share(confusion, truth, said)))
                        @if let Some(baseline) = baseline.as_ref().filter(|_| !subject.baseline) {
                            (matrix(classes, ("Difference to the baseline, in points", &name), |truth, said| difference(confusion, baseline, truth, said)))
                        }
                    }
                }
            }
        }
    })
}

/// A cell: a class for its colour, the strength of the colour, its text, and its tooltip.
struct Cell {
    class: &'static str,
    strength: f64,
    text: String,
    title: String,
}

fn share(confusion: &Confusion, truth: usize, said: usize) -> Cell {
    let share = confusion.share(truth, said).unwrap_or(0.0);
    let text = if share < 0.005 { String::new() } else { format!("{:.0}", 100.0 * share) };
    let (class, strength) = match truth == said {
        true => ("heat right", share),
        // A third of a class's images gets the strongest colour: that is a lot for one mistake.
        false => ("heat wrong", (3.0 * share).min(1.0)),
    };
    Cell { class, strength, text, title: plural(confusion.count(truth, said) as usize, "image") }
}

fn difference(confusion: &Confusion, baseline: &Confusion, truth: usize, said: usize) -> Cell {
    let difference = confusion.share(truth, said).unwrap_or(0.0) - baseline.share(truth, said).unwrap_or(0.0);
    let better = (difference > 0.0) == (truth == said);
    let text = match difference {
        _ if difference.abs() < 0.005 => String::new(),
        _ => format!("{:+.0}", 100.0 * difference).replace('-', "\u{2212}"),
    };
    let class = if better { "heat right" } else { "heat wrong" };
    let title = format!("{:+.1} percentage points", 100.0 * difference);
    // A difference of a third gets the strongest colour.
    Cell { class, strength: (3.0 * difference.abs()).min(1.0), text, title }
}

/// The strength of a colour in twentieths; 0 is none.
fn step(strength: f64) -> u8 {
    (20.0 * strength.clamp(0.0, 1.0)).round() as u8
}

/// The matrices of these configurations beside each other, in this order; with `difference`, their differences from the
/// baseline's. Configurations without a matrix are left out.
pub(crate) fn beside(view: &View<'_>, positions: &[u32], difference: bool) -> Option<Markup> {
    let classes = &view.study.classes;
    let all = positions.iter().filter_map(|position| view.subject(*position));
    let all: Vec<_> = all.filter_map(|subject| Some((subject, Confusion::of(view, subject)?))).collect();
    if all.is_empty() || classes.len() > MOST_CLASSES {
        return None;
    }
    let baseline = view.baseline().and_then(|subject| Confusion::of(view, subject)).filter(|_| difference);
    Some(html! {
        div.beside {
            @for (subject, confusion) in &all {
                @let name = view.name(subject.position);
                figure.matrix {
                    figcaption {
                        strong { (name) }
                        @if subject.baseline { span.quiet { " baseline" } }
                        span.quiet { " " (plural(confusion.networks, "network")) }
                    }
                    @match baseline.as_ref().filter(|_| !subject.baseline) {
                        Some(baseline) => (matrix(classes, ("Difference to the baseline, in points", &name), |truth, said| self::difference(confusion, baseline, truth, said))),
                        None => (matrix(classes, ("Confusion, in percent", &name), |truth, said| share(confusion, truth, said))),
                    }
                }
            }
        }
    })
}

/// The matrix of one network.
pub(crate) fn one(classes: &[String], confusion: &Confusion, name: &str) -> Option<Markup> {
    let shown = classes.len() <= MOST_CLASSES;
    shown.then(|| matrix(classes, ("Confusion, in percent", name), |truth, said| share(confusion, truth, said)))
}

/// Whether there are too many classes for a matrix.
pub(crate) fn too_many_classes(view: &View<'_>) -> bool {
    view.study.classes.len() > MOST_CLASSES
}

fn matrix(classes: &[String], (title, name): (&str, &str), cell: impl Fn(usize, usize) -> Cell) -> Markup {
    html! {
        div.scroll role="group" aria-label={ (title) ": " (name) } tabindex="0" {
            table.confusion {
                caption { (title) }
                thead { tr {
                    td { span.unseen { "True class" } }
                    @for class in classes { th scope="col" { span { (class) } } }
                } }
                tbody {
                    @for (truth, class) in classes.iter().enumerate() {
                        tr {
                            th scope="row" { (class) }
                            @for said in 0..classes.len() {
                                @let cell = cell(truth, said);
                                td class={ (cell.class) " s" (step(cell.strength)) } title=(cell.title) { (cell.text) }
                            }
                        }
                    }
                }
            }
        }
    }
}
