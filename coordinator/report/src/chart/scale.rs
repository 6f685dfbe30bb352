//! Ranges and ticks. Ranges are never empty and never infinite, whatever the values were.

/// A range that holds all finite values with some room around them.
pub(crate) fn range(values: impl Iterator<Item = f64>, room: f64) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return None;
    }
    let width = high - low;
    // All values alike: a range around them that shows them in the middle.
    let pad = if width > 0.0 { width * room } else { (low.abs() * 0.05).max(1e-9) };
    let (low, high) = (low - pad, high + pad);
    (low.is_finite() && high.is_finite() && low < high).then_some((low, high))
}

/// Round numbers in a range, about `about` of them.
pub(crate) fn ticks((low, high): (f64, f64), about: usize) -> Vec<f64> {
    let width = high - low;
    if !(width.is_finite() && width > 0.0) || about == 0 {
        return Vec::new();
    }
    let raw = width / about as f64;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= raw * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step).ceil();
    let count = ((high / step).floor() - first).clamp(-1.0, 50.0) as i64;
    let round = |index: i64| {
        let tick = (first + index as f64) * step;
        if tick.abs() < step * 1e-9 { 0.0 } else { tick }
    };
    (0..=count).map(round).collect()
}

/// Round numbers of a logarithmic range: powers of ten, with 2 and 5 times them where there are few.
pub(crate) fn log_ticks((low, high): (f64, f64)) -> Vec<f64> {
    if !(low > 0.0 && high.is_finite() && low < high) {
        return Vec::new();
    }
    let exponents = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let with = |factors: &[f64]| {
        let all =
            exponents.clone().flat_map(|exponent| factors.iter().map(move |factor| factor * 10_f64.powi(exponent)));
        all.filter(|tick| (low..=high).contains(tick)).collect::<Vec<f64>>()
    };
    let decades = with(&[1.0]);
    if decades.len() >= 4 {
        return decades;
    }
    let finer = with(&[1.0, 2.0, 5.0]);
    if finer.len() >= 2 { finer } else { with(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_never_empty_or_infinite() {
        assert_eq!(range([].into_iter(), 0.1), None);
        assert_eq!(range([f64::NAN, f64::INFINITY].into_iter(), 0.1), None);
        for values in [vec![0.0], vec![0.5; 6], vec![-1e300, 1e300], vec![0.1, f64::NAN, 0.2]] {
            if let Some((low, high)) = range(values.iter().copied(), 0.1) {
                assert!(low < high && low.is_finite() && high.is_finite(), "{values:?}");
            }
        }
        assert_eq!(range([-f64::MAX, f64::MAX].into_iter(), 0.1), None);
    }

    #[test]
    fn ticks_are_round_few_and_inside() {
        for (low, high) in [(0.0, 1.0), (-0.031, 0.047), (0.86, 0.861), (1e-9, 3e-8), (-5e6, 2.0)] {
            let ticks = ticks((low, high), 5);
            assert!((2..=8).contains(&ticks.len()), "{low}..{high}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (low..=high).contains(tick)), "{ticks:?}");
            assert!(ticks.is_sorted());
        }
        assert_eq!(ticks((0.0, 1.0), 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks((1.0, 1.0), 5), [0.0; 0]);
        assert_eq!(ticks((0.0, f64::INFINITY), 5), [0.0; 0]);
        assert_eq!(log_ticks((7e4, 3e7)), [1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7]);
        assert!(log_ticks((1.1e6, 1.9e6)).contains(&1.5e6));
        assert_eq!(log_ticks((0.0, 10.0)), [0.0; 0]);
    }
}
