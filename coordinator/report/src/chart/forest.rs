//! The delta chart: each change's difference with its interval, zero, and the noise floor as a band. It is a table, so
//! that labels wrap, can be read aloud and searched; the drawings in its rows share one axis.

use maud::{Markup, html};
use sweep_analysis::result::{Comparison, Interval, Verdict};

use super::scale::{AxisText, ticks};
use crate::view::View;
use crate::words::number::{self, Unit};

/// Width of a drawing in its own units. Its height is stretched to the row.
const WIDTH: f64 = 1000.0;
/// An interval longer than this multiple of the largest difference is cut, so that it does not hide the others.
const LONGEST: f64 = 3.0;

/// The axis of one chart: symmetric around zero only where the data are.
pub(crate) struct Axis {
    low: f64,
    high: f64,
    noise: Option<f64>,
    unit: Unit,
}

impl Axis {
    /// `None` if there is nothing to draw.
    pub(crate) fn of(view: &View<'_>, comparisons: &[&Comparison]) -> Option<Self> {
        let deltas = || comparisons.iter().filter_map(|comparison| comparison.delta).filter(|delta| delta.is_finite());
        let noise =
            view.analysis.noise.as_ref().map(|noise| noise.half_width).filter(|half| half.is_finite() && *half > 0.0);
        let largest = deltas().map(f64::abs).fold(noise.unwrap_or(0.0), f64::max);
        deltas().next()?;
        let largest = if largest > 0.0 { largest } else { 1e-6 };
        let ends = comparisons
            .iter()
            .filter_map(|comparison| interval(comparison))
            .flat_map(|interval| [interval.low, interval.high]);
        let ends = ends.filter(|end| end.is_finite()).map(|end| end.clamp(-LONGEST * largest, LONGEST * largest));
        let all = deltas().chain(ends).chain(noise.into_iter().flat_map(|half| [half, -half])).chain([0.0]);
        let (low, high) = all.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let room = 0.04 * (high - low).max(largest);
        let axis = Self { low: low - room, high: high + room, noise, unit: view.unit };
        (axis.low.is_finite() && axis.high.is_finite() && axis.low < axis.high).then_some(axis)
    }

    fn ticks(&self) -> Vec<f64> {
        ticks((self.low, self.high), 5)
    }

    fn at(&self, value: f64) -> f64 {
        WIDTH * ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn share(&self, value: f64) -> String {
        format!("{:.2}%", self.at(value) / WIDTH * 100.0)
    }

    /// The labels of the axis, for the first row of the chart.
    pub(crate) fn labels(&self) -> Markup {
        html! {
            svg.ticks aria-hidden="true" {
                @for tick in self.ticks() {
                    text x=(self.share(tick)) y="1em" text-anchor="middle" { (self.tick(tick)) }
                }
            }
        }
    }

    fn tick(&self, tick: f64) -> String {
        match self.unit {
            _ if tick == 0.0 => "0".to_owned(),
            Unit::Small => number::scientific(tick),
            Unit::Share | Unit::Loss => AxisText::of((self.low, self.high)).signed(tick),
        }
    }

    /// The drawing of one row.
    pub(crate) fn row(&self, comparison: &Comparison) -> Markup {
        let (top, bottom, middle) = (0.0, 40.0, 20.0);
        html! {
            svg class={ "delta " (class(comparison)) } viewBox="0 0 1000 40" preserveAspectRatio="none" aria-hidden="true" {
                @if let Some(noise) = self.noise {
                    @let (left, right) = (self.at(-noise), self.at(noise));
                    rect.noise x=(px(left)) y=(px(top)) width=(px(right - left)) height=(px(bottom)) {}
                }
                @for tick in self.ticks() {
                    line class=(if tick == 0.0 { "zero" } else { "grid" }) x1=(px(self.at(tick))) x2=(px(self.at(tick))) y1=(px(top)) y2=(px(bottom)) {}
                }
                @if let Some(interval) = interval(comparison) {
                    line.interval x1=(px(self.at(interval.low))) x2=(px(self.at(interval.high))) y1=(px(middle)) y2=(px(middle)) {}
                    @if interval.low < self.low { polyline.interval points="14,12 2,20 14,28" {} }
                    @if interval.high > self.high { polyline.interval points="986,12 998,20 986,28" {} }
                }
                @if let Some(delta) = comparison.delta.filter(|delta| delta.is_finite()) {
                    // A line without length and with round ends stays round however the drawing is stretched.
                    line.point x1=(px(self.at(delta))) x2=(px(self.at(delta))) y1=(px(middle)) y2=(px(middle)) {}
                }
            }
        }
    }
}

/// The interval to show: Student's t, if there is one.
fn interval(comparison: &Comparison) -> Option<Interval> {
    let shown = comparison.t_interval.or(comparison.bca_interval)?;
    (shown.low.is_finite() && shown.high.is_finite()).then_some(shown)
}

fn class(comparison: &Comparison) -> &'static str {
    match comparison.verdict {
        Verdict::Helps => "good",
        Verdict::Hurts => "bad",
        Verdict::NoDifferenceShown | Verdict::AfterSelection | Verdict::Open(_) => "quiet",
    }
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}
