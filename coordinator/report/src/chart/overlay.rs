//! One curve of several configurations on one chart. Each has its own colour and dash pattern and is numbered at its
//! end, so that readers can tell the curves apart without colours.

use maud::{Markup, html};
use sweep_spec::trainer::EpochMetrics;

use super::curves::Line;
use super::frame::{Frame, Place};
use super::scale::{AxisText, range};
use crate::Error;
use crate::view::View;
use crate::words::plural;

/// The most configurations on one chart: one for each colour.
pub const MOST_SERIES: usize = 8;
/// The least vertical space between two numbers at the ends of lines, in pixels.
const LABEL: f64 = 13.0;
const WIDTH: i32 = 620;
const HEIGHT: i32 = 300;
/// The lowest position of a number. The numbers of the axis are below it.
const LOWEST_LABEL: f64 = 260.0;

/// The metric of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    ValAccuracy,
    ValLoss,
    TrainAccuracy,
    TrainLoss,
    LearningRate,
}

impl Which {
    pub const ALL: [Self; 5] =
        [Self::ValAccuracy, Self::ValLoss, Self::TrainAccuracy, Self::TrainLoss, Self::LearningRate];

    /// The name in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ValAccuracy => "val_accuracy",
            Self::ValLoss => "val_loss",
            Self::TrainAccuracy => "train_accuracy",
            Self::TrainLoss => "train_loss",
            Self::LearningRate => "learning_rate",
        }
    }

    /// The name in prose.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ValAccuracy => "Validation accuracy",
            Self::ValLoss => "Validation loss",
            Self::TrainAccuracy => "Training accuracy",
            Self::TrainLoss => "Training loss",
            Self::LearningRate => "Learning rate",
        }
    }

    const fn read(self) -> fn(&EpochMetrics) -> f64 {
        match self {
            Self::ValAccuracy => |epoch| epoch.val_accuracy,
            Self::ValLoss => |epoch| epoch.val_loss,
            Self::TrainAccuracy => |epoch| epoch.train_accuracy,
            Self::TrainLoss => |epoch| epoch.train_loss,
            Self::LearningRate => |epoch| epoch.learning_rate,
        }
    }
}

struct Series {
    name: String,
    seeds: usize,
    line: Line,
}

/// The chart, with its legend as a list. `None` if no curve has a finite number.
pub(crate) fn draw(view: &View<'_>, positions: &[u32], which: Which) -> Result<Option<Markup>, Error> {
    let of = |position: &u32| {
        let own = view.material.curves.iter().filter(|curve| curve.position == *position && !curve.epochs.is_empty());
        let trials: Vec<&[EpochMetrics]> = own.map(|curve| curve.epochs.as_slice()).collect();
        let line = Line::of(&trials, which.read());
        (!line.points.is_empty()).then(|| Series { name: view.name(*position), seeds: trials.len(), line })
    };
    let all: Vec<Series> = positions.iter().take(MOST_SERIES).filter_map(of).collect();
    let values = || all.iter().flat_map(|series| series.line.points.iter().map(|(_, mean, _)| *mean));
    let Some(y) = range(values(), 0.05) else { return Ok(None) };
    let epochs = || all.iter().flat_map(|series| &series.line.points).map(|(epoch, ..)| *epoch);
    let title = format!("{} by epoch, for {}.", which.title(), plural(all.len(), "configuration"));
    let text = AxisText::of(y);
    let y_text = move |value: f64| match which {
        Which::LearningRate => crate::words::number::scientific(value),
        _ => text.write(value),
    };
    let frame = Frame {
        title: &title,
        what: "learning curves",
        width: WIDTH,
        height: HEIGHT,
        x: epochs().fold(1.0, f64::min)..epochs().fold(2.0, f64::max),
        y: y.0..y.1,
        x_label: "Epoch",
        x_text: Some(&|value| if value.fract() == 0.0 { format!("{value:.0}") } else { String::new() }),
        y_text: &y_text,
    };
    let chart = frame.draw(&[], |place| lines(&all, place))?;
    Ok(Some(html! {
        figure.overlay {
            div.scroll role="group" aria-label=(which.title()) tabindex="0" { div.large { (chart) } }
            figcaption { ol.series {
                @for (index, series) in all.iter().enumerate() {
                    li class={ "c" (index) } {
                        (series.name) span.quiet { " " (plural(series.seeds, "seed")) }
                        @if let Some(end) = series.line.points.last() { span.quiet { ", ends at " (y_text(end.1)) } }
                    }
                }
            } }
        }
    }))
}

fn lines(all: &[Series], place: Place<'_>) -> Markup {
    let ends: Vec<(f64, f64)> =
        all.iter().filter_map(|series| series.line.points.last()).map(|(x, y, _)| place(*x, *y)).collect();
    let heights = apart(&ends);
    html! {
        @for (index, series) in all.iter().enumerate() {
            @let points = series.line.points.iter().map(|(x, y, _)| place(*x, *y));
            g class={ "series c" (index) } {
                title { (series.name) }
                @if series.line.points.len() == 1 {
                    @for (x, y) in points { circle cx=(px(x)) cy=(px(y)) r="3" {} }
                } @else {
                    polyline points=(points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")) {}
                }
                @if let (Some((x, _)), Some(y)) = (ends.get(index), heights.get(index)) {
                    text x=(px(x + 3.0)) y=(px(y + 3.8)) { (index + 1) }
                }
            }
        }
    }
}

/// Vertical positions of the numbers, moved so that none covers another.
fn apart(ends: &[(f64, f64)]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ends.len()).collect();
    let height = |index: usize| ends.get(index).map_or(0.0, |end| end.1);
    order.sort_by(|a, b| height(*a).total_cmp(&height(*b)));
    let mut heights = vec![0.0; ends.len()];
    let mut least = f64::NEG_INFINITY;
    for &index in &order {
        let at = height(index).max(least);
        least = at + LABEL;
        if let Some(place) = heights.get_mut(index) {
            *place = at;
        }
    }
    // Numbers below the lowest position push the others up.
    let mut most = LOWEST_LABEL;
    for index in order.into_iter().rev() {
        if let Some(place) = heights.get_mut(index) {
            *place = place.min(most);
            most = *place - LABEL;
        }
    }
    heights
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_the_ends_stand_apart_and_in_the_order_of_the_lines() {
        let heights = apart(&[(0.0, 50.0), (0.0, 51.0), (0.0, 10.0), (0.0, 52.0)]);
        assert_eq!(heights, [50.0, 63.0, 10.0, 76.0]);
        assert_eq!(apart(&[(0.0, 259.0), (0.0, 260.0), (0.0, 258.0)]), [247.0, 260.0, 234.0], "none leaves the chart");
    }
}
