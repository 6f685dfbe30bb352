//! Learning curves: accuracy and loss over the epochs, training and validation, mean over the seeds with a band of one
//! standard deviation. All configurations have the same axes, so that they can be compared by eye.

use std::collections::BTreeMap;

use maud::{Markup, html};
use plotters::style::RGBColor;
use sweep_spec::trainer::EpochMetrics;

use super::frame::{BASELINE, Frame, Shape, TRAIN, VALIDATION};
use super::scale::range;
use crate::Error;
use crate::view::{View, estimate};

/// One number of an epoch over the seeds.
pub(crate) struct Line {
    /// Epoch, mean, standard deviation (0 for one seed).
    pub(crate) points: Vec<(f64, f64, f64)>,
}

/// A line of more points would be drawn finer than anybody sees.
const MOST_POINTS: usize = 250;

pub(crate) type Read = fn(&EpochMetrics) -> f64;

const ACCURACIES: (Read, Read) = (|epoch| epoch.train_accuracy, |epoch| epoch.val_accuracy);
const LOSSES: (Read, Read) = (|epoch| epoch.train_loss, |epoch| epoch.val_loss);

/// The curves of one configuration.
pub(crate) struct Curves {
    pub(crate) position: u32,
    /// Seeds that they are of.
    pub(crate) seeds: usize,
    accuracy: (Line, Line),
    loss: (Line, Line),
}

/// Axes that all configurations share.
pub(crate) struct Axes {
    epochs: (f64, f64),
    accuracy: (f64, f64),
    loss: (f64, f64),
}

/// The curves that there are, in the order of the leaderboard.
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
    /// Of these trials of a configuration.
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

    fn shape(&self, color: RGBColor, width: f64, axis: (f64, f64)) -> Shape {
        let points = self.points.iter().map(|(x, mean, _)| (*x, mean.clamp(axis.0, axis.1))).collect();
        Shape::Line { points, color, width }
    }

    fn band(&self, color: RGBColor, axis: (f64, f64)) -> Option<Shape> {
        if self.points.len() < 2 || self.points.iter().all(|(_, _, spread)| *spread == 0.0) {
            return None;
        }
        let upper = self.points.iter().map(|(x, mean, spread)| (*x, mean + spread));
        let lower = self.points.iter().rev().map(|(x, mean, spread)| (*x, mean - spread));
        let points = upper.chain(lower).map(|(x, y)| (x, y.clamp(axis.0, axis.1))).collect();
        Some(Shape::Area { points, color })
    }

    fn last(&self) -> Option<f64> {
        self.points.last().map(|(_, mean, _)| *mean)
    }
}

impl Axes {
    /// Nothing where no curve has a finite number.
    pub(crate) fn of(curves: &[Curves]) -> Option<Self> {
        let lines = |which: fn(&Curves) -> [&Line; 2]| curves.iter().flat_map(which).flat_map(|line| &line.points);
        let accuracies = || lines(|curves| [&curves.accuracy.0, &curves.accuracy.1]);
        let losses = || lines(|curves| [&curves.loss.0, &curves.loss.1]);
        let last = accuracies().chain(losses()).map(|(x, ..)| *x).fold(1.0, f64::max);
        let accuracy = range(accuracies().map(|(_, y, _)| *y), 0.03)?;
        // The first epochs of a bad start would press everything else to the bottom: what is far above is cut.
        let mut sorted: Vec<f64> = losses().map(|(_, y, _)| *y).collect();
        sorted.sort_by(f64::total_cmp);
        let high = sorted.get(sorted.len().saturating_sub(1) * 97 / 100).copied().unwrap_or(1.0);
        let high = if high.is_finite() && high > 0.0 { high * 1.05 } else { 1.0 };
        Some(Self {
            epochs: (1.0, last.max(2.0)),
            accuracy: (accuracy.0.max(0.0), accuracy.1.min(1.0)),
            loss: (0.0, high),
        })
    }
}

/// The two charts of a configuration, with the baseline's validation curve behind its own.
pub(crate) fn draw(axes: &Axes, curves: &Curves, baseline: Option<&Curves>, name: &str) -> Result<Markup, Error> {
    let baseline = baseline.filter(|baseline| baseline.position != curves.position);
    let chart = |title: &str, axis: (f64, f64), own: &(Line, Line), base: Option<&Line>, decimals: usize| {
        let ends = |line: &Line| line.last().map_or_else(|| "nothing".to_owned(), |value| format!("{value:.3}"));
        let title = format!(
            "{title} of {name} over the epochs: it ends at {} in training and {} in validation.",
            ends(&own.0),
            ends(&own.1)
        );
        let y_text = move |value: f64| format!("{value:.decimals$}");
        let frame = Frame {
            title: &title,
            what: "learning curves",
            width: 250,
            height: 165,
            x: axes.epochs.0..axes.epochs.1,
            y: axis.0..axis.1,
            x_label: "Epoch",
            x_text: Some(&|value| if value.fract() == 0.0 { format!("{value:.0}") } else { String::new() }),
            y_text: &y_text,
        };
        let mut shapes: Vec<Shape> = base.map(|line| line.shape(BASELINE, 1.2, axis)).into_iter().collect();
        shapes.extend(own.0.band(TRAIN, axis));
        shapes.extend(own.1.band(VALIDATION, axis));
        shapes.push(own.0.shape(TRAIN, 1.6, axis));
        shapes.push(own.1.shape(VALIDATION, 1.8, axis));
        frame.draw(&shapes, |_| html! {})
    };
    let decimals = if axes.accuracy.1 - axes.accuracy.0 < 0.08 { 3 } else { 2 };
    let accuracy = chart("Accuracy", axes.accuracy, &curves.accuracy, baseline.map(|base| &base.accuracy.1), decimals)?;
    let loss = chart("Loss", axes.loss, &curves.loss, baseline.map(|base| &base.loss.1), 2)?;
    Ok(html! {
        div.pair {
            div { p.axis { "Accuracy" } (accuracy) }
            div { p.axis { "Loss" } (loss) }
        }
    })
}
