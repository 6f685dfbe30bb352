//! Learning curves: accuracy and loss over the epochs, training and validation, mean over the seeds with a band of one
//! standard deviation. All configurations have the same axes, so that they can be compared by eye.

use std::collections::BTreeMap;

use maud::{Markup, html};
use plotters::style::RGBColor;
use sweep_spec::trainer::EpochMetrics;

use super::frame::{BASELINE, Frame, Shape, TRAIN, VALIDATION};
use super::scale::{AxisText, range};
use crate::Error;
use crate::view::{View, estimate};
use crate::words::number;

/// The mean and spread of one metric by epoch, over the seeds.
pub(crate) struct Line {
    /// Epoch, mean, standard deviation (0 for one seed).
    pub(crate) points: Vec<(f64, f64, f64)>,
}

/// The most points of a line: more points than this could not be seen apart.
const MOST_POINTS: usize = 250;
/// If the highest loss exceeds the 97th percentile by more than this factor, the axis ends at the percentile and higher
/// losses are cut. Otherwise the first epochs of a bad start would press everything else to the bottom.
const WILD: f64 = 3.0;

pub(crate) type Read = fn(&EpochMetrics) -> f64;

const ACCURACIES: (Read, Read) = (|epoch| epoch.train_accuracy, |epoch| epoch.val_accuracy);
const LOSSES: (Read, Read) = (|epoch| epoch.train_loss, |epoch| epoch.val_loss);

/// The curves of one configuration.
pub(crate) struct Curves {
    pub(crate) position: u32,
    /// The number of seeds in the mean.
    pub(crate) seeds: usize,
    accuracy: (Line, Line),
    loss: (Line, Line),
}

/// Ranges of the axes, the same for all configurations.
pub(crate) struct Axes {
    epochs: (f64, f64),
    accuracy: (f64, f64),
    loss: (f64, f64),
}

/// The curves of every configuration that has some, in the order of the leaderboard.
pub(crate) fn all(view: &View<'_>) -> Vec<Curves> {
    let of = |position: u32| {
        let trials: Vec<&[EpochMetrics]> = view
            .material
            .curves
            .iter()
            .filter(|curve| curve.position == position && !curve.epochs.is_empty())
            .map(|curve| curve.epochs.as_slice())
            .collect();
        (!trials.is_empty()).then(|| Curves::of(position, &trials))
    };
    view.analysis.standings.iter().filter_map(|standing| of(standing.position)).collect()
}

impl Curves {
    /// The curves of one configuration, from these trials.
    pub(crate) fn of(position: u32, trials: &[&[EpochMetrics]]) -> Self {
        let line = |read: Read| Line::of(trials, read);
        Self {
            position,
            seeds: trials.len(),
            accuracy: (line(ACCURACIES.0), line(ACCURACIES.1)),
            loss: (line(LOSSES.0), line(LOSSES.1)),
        }
    }
}

impl Line {
    pub(crate) fn of(trials: &[&[EpochMetrics]], read: Read) -> Self {
        let mut values: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for epoch in trials.iter().copied().flatten() {
            values.entry(epoch.epoch).or_default().push(read(epoch));
        }
        let point = |(epoch, values): (&u32, &Vec<f64>)| {
            let estimate = estimate(values.iter().copied())?;
            Some((f64::from(*epoch), estimate.mean, estimate.standard_deviation.unwrap_or(0.0)))
        };
        let points: Vec<_> = values.iter().filter_map(point).collect();
        let (step, last) = (points.len().div_ceil(MOST_POINTS).max(1), points.len().saturating_sub(1));
        let kept = points.into_iter().enumerate().filter(|(index, _)| index % step == 0 || *index == last);
        Self { points: kept.map(|(_, point)| point).collect() }
    }

    fn shape(&self, color: RGBColor, width: f64) -> Shape {
        Shape::Line { points: self.points.iter().map(|(x, mean, _)| (*x, *mean)).collect(), color, width }
    }

    fn band(&self, color: RGBColor) -> Option<Shape> {
        if self.points.len() < 2 || self.points.iter().all(|(_, _, spread)| *spread == 0.0) {
            return None;
        }
        let upper = self.points.iter().map(|(x, mean, spread)| (*x, mean + spread));
        let lower = self.points.iter().rev().map(|(x, mean, spread)| (*x, mean - spread));
        Some(Shape::Area { points: upper.chain(lower).collect(), color })
    }

    /// The lower and upper values of its band.
    fn extent(&self) -> impl Iterator<Item = f64> {
        self.points.iter().flat_map(|(_, mean, spread)| [mean - spread, *mean, mean + spread])
    }

    fn last(&self) -> Option<f64> {
        self.points.last().map(|(_, mean, _)| *mean).filter(|mean| mean.is_finite())
    }
}

impl Axes {
    /// `None` if no curve has a finite number.
    pub(crate) fn of(curves: &[Curves]) -> Option<Self> {
        let accuracies = || curves.iter().flat_map(|curves| [&curves.accuracy.0, &curves.accuracy.1]);
        let losses = || curves.iter().flat_map(|curves| [&curves.loss.0, &curves.loss.1]);
        let epochs = || accuracies().chain(losses()).flat_map(|line| &line.points).map(|(epoch, ..)| *epoch);
        let accuracy = accuracy_range(accuracies().flat_map(Line::extent));
        let loss = loss_range(losses().flat_map(Line::extent));
        if accuracy.is_none() && loss.is_none() {
            return None;
        }
        Some(Self {
            epochs: (epochs().fold(1.0, f64::min), epochs().fold(2.0, f64::max)),
            accuracy: accuracy.unwrap_or((0.0, 1.0)),
            loss: loss.unwrap_or((0.0, 1.0)),
        })
    }
}

/// A range that contains every band. Its margin does not go beyond 0 or 1, unless a band does.
fn accuracy_range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let (low, high) = range(finite.iter().copied(), 0.03)?;
    let low = if finite.iter().all(|value| *value >= 0.0) { low.max(0.0) } else { low };
    let high = if finite.iter().all(|value| *value <= 1.0) { high.min(1.0) } else { high };
    Some((low, high))
}

/// From zero, or from the lowest band below it, to the highest band. Extremely high values do not extend it.
fn loss_range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (lowest, highest) = (*sorted.first()?, *sorted.last()?);
    let usual = *sorted.get((sorted.len() - 1) * 97 / 100)?;
    let top = if usual > 0.0 && highest > WILD * usual { usual } else { highest };
    let (low, high) = range([0.0, lowest, top].into_iter(), 0.05)?;
    Some((if lowest < 0.0 { low } else { 0.0 }, high))
}

/// The two charts of a configuration, with the baseline's validation curve behind its own.
pub(crate) fn draw(axes: &Axes, curves: &Curves, baseline: Option<&Curves>, name: &str) -> Result<Markup, Error> {
    let baseline = baseline.filter(|baseline| baseline.position != curves.position);
    let chart = |title: &str, axis: (f64, f64), own: &(Line, Line), base: Option<&Line>| {
        let ends = |line: &Line| line.last().map_or_else(|| "nothing".to_owned(), three_decimals);
        let title = format!(
            "{title} of {name} by epoch; the final values are {} in training and {} in validation.",
            ends(&own.0),
            ends(&own.1)
        );
        let text = AxisText::of(axis);
        let frame = Frame {
            title: &title,
            what: "learning curves",
            width: 250,
            height: 165,
            x: axes.epochs.0..axes.epochs.1,
            y: axis.0..axis.1,
            x_label: "Epoch",
            x_text: Some(&|value| if value.fract() == 0.0 { format!("{value:.0}") } else { String::new() }),
            y_text: &|value| text.write(value),
        };
        let mut shapes: Vec<Shape> = base.map(|line| line.shape(BASELINE, 1.2)).into_iter().collect();
        shapes.extend(own.0.band(TRAIN));
        shapes.extend(own.1.band(VALIDATION));
        shapes.push(own.0.shape(TRAIN, 1.6));
        shapes.push(own.1.shape(VALIDATION, 1.8));
        frame.draw(&shapes, |_| html! {})
    };
    let accuracy = chart("Accuracy", axes.accuracy, &curves.accuracy, baseline.map(|base| &base.accuracy.1))?;
    let loss = chart("Loss", axes.loss, &curves.loss, baseline.map(|base| &base.loss.1))?;
    Ok(html! {
        div.pair {
            div { p.axis { "Accuracy" } (accuracy) }
            div { p.axis { "Loss" } (loss) }
        }
    })
}

/// `0.867`; large numbers with an exponent.
fn three_decimals(value: f64) -> String {
    if value.abs() < 1e5 { format!("{value:.3}") } else { number::scientific(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: u32, accuracy: f64, loss: f64) -> EpochMetrics {
        EpochMetrics {
            epoch,
            train_accuracy: accuracy,
            val_accuracy: accuracy,
            train_loss: loss,
            val_loss: loss,
            learning_rate: 0.001,
            seconds: 1.0,
            images_per_second: 1.0,
        }
    }

    /// The curves of trials that reach these accuracies and losses in their epochs.
    fn curves(trials: &[Vec<(f64, f64)>]) -> Curves {
        let trial = |of: &Vec<(f64, f64)>| {
            let epochs = (1..).zip(of).map(|(number, (accuracy, loss))| epoch(number, *accuracy, *loss));
            epochs.collect::<Vec<_>>()
        };
        let trials: Vec<Vec<EpochMetrics>> = trials.iter().map(trial).collect();
        Curves::of(0, &trials.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn holds((low, high): (f64, f64), lines: &(Line, Line)) -> bool {
        let ends = lines.0.extent().chain(lines.1.extent());
        ends.filter(|end| end.is_finite()).all(|end| (low..=high).contains(&end))
    }

    #[test]
    fn the_axes_hold_the_bands() {
        // Two seeds far apart: 2.166 ± 0.880 on the loss.
        let wide = curves(&[vec![(0.2, 2.788), (0.9, 1.0)], vec![(0.4, 1.544), (1.0, 0.4)]]);
        let narrow = curves(&[vec![(0.5, 1.0), (0.6, 0.9)]]);
        let all = [wide, narrow];
        let axes = Axes::of(&all).unwrap();
        for curves in &all {
            assert!(holds(axes.accuracy, &curves.accuracy), "{:?}", axes.accuracy);
            assert!(holds(axes.loss, &curves.loss), "{:?}", axes.loss);
            let drawn = draw(&axes, curves, None, "one").unwrap().into_string();
            assert!(!drawn.contains("class=\"cut\""), "nothing is cut: {drawn}");
        }
    }

    #[test]
    fn a_wild_start_is_cut_and_the_chart_says_how_far_it_went() {
        let mut calm: Vec<(f64, f64)> = (0..60).map(|_| (0.5, 1.0)).collect();
        calm[0].1 = 5_000.0;
        let curves = [curves(&[calm])];
        let axes = Axes::of(&curves).unwrap();
        assert!(axes.loss.1 < 1.2, "{:?}", axes.loss);
        let drawn = draw(&axes, &curves[0], None, "one").unwrap().into_string();
        assert!(drawn.contains("class=\"cut\"") && drawn.contains(">to 5000<"), "{drawn}");
    }

    /// Everything that a trainer can report, in every order: each mark is drawn within the axis, or a sign shows that
    /// it was cut.
    #[test]
    fn no_number_leaves_a_chart_without_a_sign() {
        let odd =
            [0.5, 0.0, 1.0, -3.0, 1e34, -1e34, f64::MAX, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for one in odd {
            for other in odd {
                for third in odd {
                    let curves = [curves(&[vec![(one, other), (0.5, third)], vec![(other, one), (third, 0.5)]])];
                    let Some(axes) = Axes::of(&curves) else { continue };
                    let drawn = draw(&axes, &curves[0], None, "one").unwrap().into_string();
                    let signs = drawn.contains("class=\"cut\"");
                    let held = holds(axes.accuracy, &curves[0].accuracy) && holds(axes.loss, &curves[0].loss);
                    assert!(held || signs, "{one} {other} {third}: {:?} {:?}", axes.accuracy, axes.loss);
                    assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{one} {other} {third}");
                }
            }
        }
    }
}
