//! Values beyond the vertical axis are drawn at the end of the axis, below a sign that shows how far they go.

use std::ops::Range;

use maud::{Markup, html};

use super::scale::AxisText;

/// Cut values that are closer to each other than this, in pixels, share a sign.
const APART: f64 = 14.0;
/// Half of a sign's width, and its height, in pixels.
const SIGN: (f64, f64) = (4.0, 6.0);

/// The values beyond an axis.
pub(crate) struct Cuts {
    low: f64,
    high: f64,
    /// Position along the chart, and value.
    beyond: Vec<(f64, f64)>,
}

impl Cuts {
    pub(crate) fn of(axis: &Range<f64>) -> Self {
        Self { low: axis.start, high: axis.end, beyond: Vec::new() }
    }

    /// The points, with those beyond the axis moved to its end. Points that are not numbers are left out.
    pub(crate) fn inside(&mut self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let numbers = points.iter().filter(|(x, y)| x.is_finite() && !y.is_nan());
        numbers.map(|&(x, y)| (x, self.held(x, y))).collect()
    }

    /// One value, moved to the end of the axis if it is beyond it.
    pub(crate) fn held(&mut self, x: f64, y: f64) -> f64 {
        let held = y.clamp(self.low, self.high);
        if held != y {
            self.beyond.push((x, y));
        }
        held
    }

    /// A sign at the edge for each stretch that was cut, and at each edge the most extreme value.
    pub(crate) fn signs(&self, place: &dyn Fn(f64, f64) -> (f64, f64)) -> Markup {
        let above = self.stretches(place, |y| y > self.high);
        let below = self.stretches(place, |y| y < self.low);
        html! {
            (edge(&above, place(0.0, self.high).1, 1.0, self.text(&above)))
            (edge(&below, place(0.0, self.low).1, -1.0, self.text(&below)))
        }
    }

    /// The furthest value of each stretch, with its place in pixels.
    fn stretches(&self, place: &dyn Fn(f64, f64) -> (f64, f64), here: impl Fn(f64) -> bool) -> Vec<(f64, f64)> {
        let beyond = self.beyond.iter().filter(|(_, y)| here(*y));
        let mut all: Vec<(f64, f64)> = beyond.map(|(x, y)| (place(*x, self.low).0, *y)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut stretches: Vec<(f64, f64)> = Vec::new();
        let mut last = f64::NEG_INFINITY;
        for (x, y) in all {
            match stretches.last_mut().filter(|_| x - last <= APART) {
                Some(furthest) if y.abs() > furthest.1.abs() => *furthest = (x, y),
                Some(_) => {}
                None => stretches.push((x, y)),
            }
            last = x;
        }
        stretches
    }

    /// The text for the most extreme value, and its position.
    fn text(&self, stretches: &[(f64, f64)]) -> Option<(f64, String)> {
        let (x, y) = stretches.iter().copied().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
        if y.is_infinite() {
            return Some((x, "without limit".to_owned()));
        }
        Some((x, format!("to {}", AxisText::of((self.low.min(y), self.high.max(y))).write(y))))
    }
}

/// The signs at one edge; `inward` is the direction from the edge into the chart.
fn edge(stretches: &[(f64, f64)], edge: f64, inward: f64, text: Option<(f64, String)>) -> Markup {
    let sign = |x: f64| {
        let (half, height) = SIGN;
        let (tip, foot) = (edge + inward, edge + inward * (1.0 + height));
        format!("M{:.1} {foot:.1}L{x:.1} {tip:.1}L{:.1} {foot:.1}Z", x - half, x + half)
    };
    html! {
        @if let Some((x, text)) = text {
            g.cut {
                title { "Values here continue beyond the chart, " (text) "." }
                @for (x, _) in stretches { path d=(sign(*x)) {} }
                // The number is written towards the middle, where there is room for it.
                @let (anchor, at) = if x < 150.0 { ("start", x + 7.0) } else { ("end", x - 7.0) };
                text x=(format!("{at:.1}")) y=(format!("{:.1}", edge + inward * 4.5 + 3.5)) text-anchor=(anchor) { (text) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred pixels for each unit, upside down as charts are.
    fn place(x: f64, y: f64) -> (f64, f64) {
        (100.0 * x, 500.0 - 100.0 * y)
    }

    #[test]
    fn what_lies_within_the_axis_stays_and_has_no_sign() {
        let mut cuts = Cuts::of(&(0.0..2.0));
        let points = [(0.0, 0.0), (1.0, 1.3), (2.0, 2.0)];
        assert_eq!(cuts.inside(&points), points);
        assert_eq!(cuts.inside(&[(0.0, f64::NAN), (1.0, 1.0)]), [(1.0, 1.0)]);
        assert_eq!(cuts.signs(&place).into_string(), "");
    }

    #[test]
    fn every_stretch_beyond_an_axis_has_a_sign_and_the_furthest_its_number() {
        let mut cuts = Cuts::of(&(0.0..2.0));
        let drawn = cuts.inside(&[(0.0, 9.0), (0.05, 1e34), (1.0, 1.0), (2.0, 3.0), (3.0, -4.5)]);
        assert_eq!(drawn, [(0.0, 2.0), (0.05, 2.0), (1.0, 1.0), (2.0, 2.0), (3.0, 0.0)]);
        let signs = cuts.signs(&place).into_string();
        assert_eq!(signs.matches("<path").count(), 3, "two stretches above, one below: {signs}");
        assert!(signs.contains(">to 1e34<") && signs.contains(">to \u{2212}4.5<"), "{signs}");
        let mut cuts = Cuts::of(&(0.0..2.0));
        cuts.held(1.0, f64::INFINITY);
        assert!(cuts.signs(&place).into_string().contains(">without limit<"));
    }
}
