//! Least squares with nonnegative coefficients. It minimises the relative error of a sum of parts, so that a trial of a
//! second counts as much as a trial of an hour. Each coefficient is pulled towards 1. If the measurements do not
//! determine a part (one trial, or equal trials), the part keeps its nominal proportion to the others.

use super::work::AMOUNTS;

/// The weight of the pull, as a number of measurements.
const PULL: f64 = 0.03;
/// Passes over the coefficients; each costs next to nothing and the problem is small and convex.
const PASSES: usize = 200;
/// A measurement this many times further off than the typical one counts less: the machine was busy with something else.
const FAR: f64 = 2.5;
/// The least spread that is assumed.
const LEAST_SPREAD: f64 = 0.01;

/// Coefficients of the parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Coefficients(pub(crate) [f64; AMOUNTS]);

impl Coefficients {
    pub(crate) fn seconds(&self, parts: &[f64; AMOUNTS]) -> f64 {
        self.0.iter().zip(parts).map(|(coefficient, part)| coefficient * part).sum()
    }
}

/// Fits measured seconds to parts in nominal seconds. Nothing if nothing was measured.
pub(crate) fn fit(measured: &[([f64; AMOUNTS], f64)]) -> Option<Coefficients> {
    let count = measured.len() as f64;
    if measured.is_empty() {
        return None;
    }
    let scale = measured.iter().map(|(parts, seconds)| (seconds / parts.iter().sum::<f64>()).ln()).sum::<f64>() / count;
    let scale = scale.exp();
    let rows: Vec<[f64; AMOUNTS]> =
        measured.iter().map(|(parts, seconds)| parts.map(|part| scale * part / seconds)).collect();
    let mut weights = vec![1.0; rows.len()];
    let mut found = [1.0; AMOUNTS];
    for _ in 0..4 {
        found = solve(&rows, &weights, found);
        let errors: Vec<f64> = rows.iter().map(|row| (dot(row, &found) - 1.0).abs()).collect();
        let typical = median(errors.clone()).max(LEAST_SPREAD);
        for (weight, error) in weights.iter_mut().zip(&errors) {
            *weight = (FAR * typical / error.max(f64::MIN_POSITIVE)).min(1.0);
        }
    }
    Some(Coefficients(found.map(|coefficient| coefficient * scale)))
}

fn solve(rows: &[[f64; AMOUNTS]], weights: &[f64], start: [f64; AMOUNTS]) -> [f64; AMOUNTS] {
    let mut square = [[0.0; AMOUNTS]; AMOUNTS];
    let mut right = [PULL; AMOUNTS];
    for (index, line) in square.iter_mut().enumerate() {
        line[index] = PULL;
    }
    for (row, weight) in rows.iter().zip(weights) {
        for (left, line) in row.iter().zip(square.iter_mut()) {
            line.iter_mut().zip(row).for_each(|(sum, other)| *sum += weight * left * other);
        }
        right.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
    }
    let mut found = start;
    for _ in 0..PASSES {
        for index in 0..AMOUNTS {
            let others = dot(&square[index], &found) - square[index][index] * found[index];
            found[index] = ((right[index] - others) / square[index][index]).max(0.0);
        }
    }
    found
}

fn dot(a: &[f64; AMOUNTS], b: &[f64; AMOUNTS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The middle of some numbers; 0 of none.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match (numbers.len() % 2, numbers.get(half), half.checked_sub(1).and_then(|below| numbers.get(below))) {
        (0, Some(above), Some(below)) => (above + below) / 2.0,
        (_, Some(middle), _) => *middle,
        (_, None, _) => 0.0,
    }
}

/// The 90 % interval of Student's t with `freedom` degrees of freedom, by the expansion of Cornish and Fisher. It is
/// accurate to a percent from three degrees on, and constant below, where the expansion diverges.
pub(crate) fn student_90(freedom: f64) -> f64 {
    let (z, v) = (1.644_853_626_951_472_6_f64, freedom.max(2.0));
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    z + (z3 + z) / (4.0 * v)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * v.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_measurement_sets_the_scale_and_two_kinds_of_work_are_separated() {
        let parts = [1.0, 0.5, 0.1, 0.1, 0.3];
        let found = fit(&[(parts, 4.0)]).unwrap();
        assert!((found.seconds(&parts) - 4.0).abs() < 1e-9);
        assert!((found.0[0] - found.0[4]).abs() < 1e-9, "the proportions are the nominal ones");
        // Ten times faster at arithmetic, five times slower at steps than nominal.
        let truth = |parts: &[f64; AMOUNTS]| 0.1 * parts[0] + 5.0 * parts[3];
        let many: Vec<_> = (1..60)
            .map(|index| {
                let parts = [f64::from(index % 7 + 1), 0.0, 0.0, f64::from(index % 5 + 1), 0.0];
                (parts, truth(&parts))
            })
            .collect();
        let found = fit(&many).unwrap();
        for (parts, seconds) in &many {
            assert!((found.seconds(parts) / seconds - 1.0).abs() < 0.04, "{parts:?}");
        }
        assert!(found.0.iter().all(|coefficient| *coefficient >= 0.0));
        assert_eq!(fit(&[]), None);
    }

    #[test]
    fn one_busy_moment_does_not_spoil_the_rest() {
        let mut many: Vec<_> =
            (1..20).map(|index| ([f64::from(index), 0.0, 0.0, 1.0, 0.0], f64::from(index) + 1.0)).collect();
        many.push(([5.0, 0.0, 0.0, 1.0, 0.0], 60.0));
        let found = fit(&many).unwrap();
        assert!((found.seconds(&[10.0, 0.0, 0.0, 1.0, 0.0]) / 11.0 - 1.0).abs() < 0.1);
    }

    #[test]
    fn students_numbers_are_those_of_the_tables() {
        for (freedom, table) in [(3.0, 2.353), (5.0, 2.015), (10.0, 1.812), (30.0, 1.697)] {
            assert!((student_90(freedom) / table - 1.0_f64).abs() < 0.01, "{freedom}");
        }
        assert!(student_90(0.0).is_finite());
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        assert_eq!((median(vec![3.0, 1.0]), median(vec![5.0, 1.0, 2.0]), median(Vec::new())), (2.0, 2.0, 0.0));
    }
}
