//! Statistics give sensible numbers or `None` for all values that a store may contain, and never panic.

use sweep_analysis::statistics::factorial::{Cell, factorial};
use sweep_analysis::statistics::*;
use sweep_spec::spec::Goal;

/// Values that are hard on arithmetic.
const HARD: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1e-300,
    5e-324,
    1e300,
    -1e300,
    f64::MAX,
    f64::MIN,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

fn values(random: &mut Random, hardness: usize) -> Vec<f64> {
    (0..random.below(46))
        .map(|_| match random.below(10) < hardness {
            true => HARD[random.below(HARD.len())],
            false => random.normal() * 10f64.powi(random.below(40) as i32 - 20),
        })
        .collect()
}

#[test]
fn paired_statistics_bear_any_values() {
    for seed in 0..160 {
        let mut random = Random::simulation(seed);
        let values = values(&mut random, [0, 1, 5, 10][seed as usize % 4]);
        let finite = values.iter().all(|value| value.is_finite());
        if let Some(found) = estimate(&values) {
            assert!(finite && found.mean.is_finite() && found.count as usize == values.len(), "seed {seed}");
        }
        if let Some(test) = sign_flip(&values) {
            let nonzero = values.iter().filter(|value| **value != 0.0).count() as u32;
            let least = if test.exact { smallest_p(nonzero) } else { smallest_p(values.len() as u32) };
            assert!(finite && test.p <= 1.0 && test.p >= least, "seed {seed}: {values:?} {test:?}");
        }
        for interval in [t_interval(&values), bca_interval(&values)].into_iter().flatten() {
            assert!(finite && interval.low <= interval.high, "seed {seed}: {values:?} {interval:?}");
        }
        assert!(effect_size(&values).is_none_or(|size| finite && !size.is_nan()), "seed {seed}");
        assert!(more_seeds(&values, 3).is_none_or(|more| more > 0), "seed {seed}");
        bca_from(&values, &values);
    }
}

#[test]
fn families_and_power_bear_any_values() {
    for seed in 0..300 {
        let mut random = Random::simulation(seed);
        let hard = values(&mut random, 5);
        let family: Vec<Option<f64>> =
            hard.iter().map(|value| (random.below(4) > 0).then(|| value.abs().min(1.0))).collect();
        for (p, adjusted) in family.iter().zip(holm(&family)).chain(family.iter().zip(benjamini_hochberg(&family))) {
            assert_eq!(p.filter(|p| !p.is_nan()).is_some(), adjusted.is_some(), "seed {seed}");
            assert!(adjusted.is_none_or(|adjusted| adjusted <= 1.0 && adjusted >= p.unwrap()), "seed {seed}");
        }
        let alpha = hard.first().copied().unwrap_or(0.05);
        let family = random.below(100_000);
        seeds_to_reach(alpha, family);
        let looks = Looks::new(family, &[0, 3, 6, 9, 30], alpha);
        looks.replay(&[&hard, &[]]);
    }
    for seeds in [0, 1, 5, 6, 20, 21, 1_000, u32::MAX] {
        for family in [0, 1, 10, 5_000, 30_000, usize::MAX] {
            assert!(detectable(0.01, seeds, family).is_none_or(|least| least > 0.0), "{seeds} seeds, family {family}");
        }
    }
    for (gained, lost) in [(0, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX, u64::MAX - 1), (1, 0)] {
        assert!((0.0..=1.0).contains(&mcnemar(gained, lost)));
    }
}

#[test]
fn designs_and_fronts_bear_any_values() {
    for seed in 0..200 {
        let mut random = Random::simulation(seed);
        let hardness = [0, 1, 8][seed as usize % 3];
        let cells: Vec<Cell> = (0..random.below(12))
            .map(|_| Cell {
                levels: (0..3).map(|_| random.below(3)).collect(),
                values: values(&mut random, hardness).into_iter().enumerate().map(|(i, v)| (i as u64 % 4, v)).collect(),
            })
            .collect();
        if let Some(found) = factorial(&cells) {
            assert!(found.effects.iter().all(|effect| !effect.share.is_nan() && effect.share <= 1.0), "seed {seed}");
        }
        let goals = [Goal::Maximize, Goal::Minimize];
        let points: Vec<Vec<Vec<f64>>> = (0..random.below(8))
            .map(|_| (0..random.below(4)).map(|_| values(&mut random, hardness)).collect())
            .collect();
        for share in front_shares(&points, &goals).into_iter().flatten() {
            assert!((0.0..=1.0).contains(&share));
        }
        let by_seed: Vec<Vec<(u64, f64)>> = cells.iter().map(|cell| cell.values.clone()).collect();
        assert_eq!(significant_differences(&by_seed, 0.05).len(), cells.len());
    }
}
