//! The metric of the sweep against parameters, on a logarithmic scale: the gain in quality and its cost.

use maud::{Markup, html};
use sweep_analysis::result::Standing;
use sweep_analysis::study::Subject;
use sweep_spec::spec::Goal;

use super::frame::{Frame, Place, Shape, VALIDATION};
use super::scale::{AxisText, log_ticks, range};
use crate::Error;
use crate::tables::leaderboard::{short, title};
use crate::view::View;
use crate::words::number::{self, Unit, percent};

const WIDTH: i32 = 600;
const HEIGHT: i32 = 380;
/// The width and height of a number beside its mark, in pixels.
const LABEL: (f64, f64) = (16.0, 12.0);

/// A configuration in the chart, with its number in the list below.
pub(crate) struct Mark<'a> {
    pub(crate) number: usize,
    pub(crate) subject: &'a Subject,
    pub(crate) standing: &'a Standing,
    params: f64,
    value: f64,
}

/// The configurations with a finite value, in the order of the leaderboard.
pub(crate) fn marks<'a>(view: &View<'a>) -> Vec<Mark<'a>> {
    let placed = view.analysis.standings.iter().filter_map(|standing| {
        let subject = view.subject(standing.position)?;
        let value = standing.value?.mean;
        (value.is_finite() && subject.params > 0).then_some((subject, standing, subject.params as f64, value))
    });
    let number =
        |(index, (subject, standing, params, value))| Mark { number: index + 1, subject, standing, params, value };
    placed.enumerate().map(number).collect()
}

pub(crate) fn draw(view: &View<'_>, marks: &[Mark<'_>]) -> Result<Option<Markup>, Error> {
    let spread = |mark: &Mark<'_>| {
        mark.standing.value.and_then(|value| value.standard_deviation).filter(|spread| spread.is_finite())
    };
    let ends = marks.iter().flat_map(|mark| {
        let spread = spread(mark).unwrap_or(0.0);
        [mark.value - spread, mark.value + spread]
    });
    let (Some(x), Some(y)) = (range(marks.iter().map(|mark| mark.params.log10()), 0.06), range(ends, 0.08)) else {
        return Ok(None);
    };
    let metric = view.analysis.metric;
    let front = front(marks, view.analysis.goal);
    let said = format!(
        "{} against parameters of {}; {} of them are on the front.",
        title(metric),
        crate::words::plural(marks.len(), "configuration"),
        marks.iter().filter(|mark| mark.standing.on_front).count()
    );
    let text = AxisText::of(y);
    let y_text = move |value: f64| match Unit::of(metric) {
        Unit::Share | Unit::Loss => text.write(value),
        Unit::Small => number::scientific(value),
    };
    let frame = Frame {
        title: &said,
        what: "accuracy against parameters",
        width: WIDTH,
        height: HEIGHT,
        x: x.0..x.1,
        y: y.0..y.1,
        x_label: "Parameters",
        x_text: None,
        y_text: &y_text,
    };
    let mut shapes = Vec::new();
    if front.len() > 1 {
        let points = front.iter().map(|mark| (mark.params.log10(), mark.value)).collect();
        shapes.push(Shape::Line { points, color: VALIDATION, width: 1.2 });
    }
    let chart = frame.draw(&shapes, |place| {
        let (left, bottom) = place(x.0, y.0);
        let ticks = log_ticks((10_f64.powf(x.0), 10_f64.powf(x.1)));
        let labels = labels(marks, place);
        html! {
            @for tick in &ticks {
                @let at = place(tick.log10(), y.0).0;
                line.axis x1=(px(at)) x2=(px(at)) y1=(px(bottom)) y2=(px(bottom + 4.0)) {}
                text x=(px(at)) y=(px(bottom + 16.0)) text-anchor="middle" { (number::round_si(*tick)) }
            }
            text x=(px(left)) y="8" dx="4" { (short(metric)) }
            @for mark in marks {
                @let (at_x, at_y) = place(mark.params.log10(), mark.value);
                g class=(class(mark)) {
                    title { (described(view, mark)) }
                    @if let Some(spread) = spread(mark) {
                        @let end = |value: f64| place(mark.params.log10(), value).1;
                        @let (low, high) = (end(mark.value - spread), end(mark.value + spread));
                        line.spread x1=(px(at_x)) x2=(px(at_x)) y1=(px(low)) y2=(px(high)) {}
                    }
                    @if mark.subject.baseline {
                        rect x=(px(at_x - 4.5)) y=(px(at_y - 4.5)) width="9" height="9" transform={ "rotate(45 " (px(at_x)) " " (px(at_y)) ")" } {}
                    } @else {
                        circle cx=(px(at_x)) cy=(px(at_y)) r="4.5" {}
                    }
                }
            }
            @for (mark, (x, y)) in labels {
                text.number x=(px(x)) y=(px(y)) text-anchor="middle" { (mark.number) }
            }
        }
    });
    chart.map(Some)
}

/// The tooltip of a mark.
pub(crate) fn described(view: &View<'_>, mark: &Mark<'_>) -> String {
    let share = mark
        .standing
        .front_share
        .map_or_else(String::new, |share| format!(", on the front in {} of resamples", percent(share)));
    format!(
        "{}: {} with {} parameters{share}",
        view.name(mark.subject.position),
        view.unit.estimate(mark.standing.value),
        number::count(mark.subject.params),
    )
}

fn class(mark: &Mark<'_>) -> &'static str {
    match (mark.standing.on_front, mark.subject.baseline) {
        (true, true) => "mark front baseline",
        (true, false) => "mark front",
        (false, true) => "mark baseline",
        (false, false) => "mark",
    }
}

/// The configurations that no other with as few parameters beats, the smallest first.
fn front<'a, 'b>(marks: &'b [Mark<'a>], goal: Goal) -> Vec<&'b Mark<'a>> {
    let better = |a: f64, b: f64| if goal == Goal::Maximize { a > b } else { a < b };
    let mut sorted: Vec<&Mark<'_>> = marks.iter().collect();
    sorted.sort_by(|a, b| {
        let by_value = if goal == Goal::Maximize { b.value.total_cmp(&a.value) } else { a.value.total_cmp(&b.value) };
        a.params.total_cmp(&b.params).then(by_value)
    });
    let mut front: Vec<&Mark<'_>> = Vec::new();
    for mark in sorted {
        if front.last().is_none_or(|last| better(mark.value, last.value)) {
            front.push(mark);
        }
    }
    front
}

/// Positions of the numbers: each beside its mark, none over another mark or number. A number without room is left out
/// of the chart; the list below has it.
fn labels<'a, 'b>(marks: &'b [Mark<'a>], place: Place<'_>) -> Vec<(&'b Mark<'a>, (f64, f64))> {
    let points: Vec<(f64, f64)> = marks.iter().map(|mark| place(mark.params.log10(), mark.value)).collect();
    let mut order: Vec<usize> = (0..marks.len()).collect();
    order.sort_by_key(|&index| marks.get(index).is_none_or(|mark| !(mark.standing.on_front || mark.subject.baseline)));
    let mut taken: Vec<(f64, f64)> = Vec::new();
    let mut placed = Vec::new();
    for index in order {
        let (Some(mark), Some(&(x, y))) = (marks.get(index), points.get(index)) else { continue };
        let around = [
            (0.0, -12.0),
            (13.0, 0.0),
            (-13.0, 0.0),
            (0.0, 13.0),
            (11.0, -10.0),
            (-11.0, -10.0),
            (11.0, 11.0),
            (-11.0, 11.0),
        ];
        let free = |&(dx, dy): &(f64, f64)| {
            let (x, y) = (x + dx, y + dy);
            let clear = |&(other_x, other_y): &(f64, f64), room: f64| {
                (other_x - x).abs() > LABEL.0 / 2.0 + room || (other_y - y).abs() > LABEL.1 / 2.0 + room
            };
            let inside = x > 52.0 && x < f64::from(WIDTH) - 8.0 && y > 6.0 && y < f64::from(HEIGHT) - 42.0;
            let others = points.iter().enumerate().filter(|(other, _)| *other != index);
            inside
                && others.map(|(_, point)| point).all(|point| clear(point, 3.5))
                && taken.iter().all(|label| clear(label, LABEL.0 / 2.0))
        };
        if let Some((dx, dy)) = around.iter().find(|offset| free(offset)) {
            taken.push((x + dx, y + dy));
            placed.push((mark, (x + dx, y + dy + 3.8)));
        }
    }
    placed
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}
