//! Which points are not beaten in everything at once, and how sure that is.

use sweep_spec::spec::Goal;

use super::random::{Purpose, Random};

/// How often replicates are drawn again to see how often a point stays on the front.
pub const FRONT_RESAMPLES: usize = 1_000;

/// Which points are on the Pareto front: no other point is at least as good in every objective and better in one. Equal
/// points are on it together. A point with a value that is not finite, or without one for each goal, is not on it and
/// beats nobody.
pub fn front(points: &[Vec<f64>], goals: &[Goal]) -> Vec<bool> {
    let mut order: Vec<(usize, Vec<f64>)> = points
        .iter()
        .enumerate()
        .filter(|(_, point)| point.len() == goals.len() && point.iter().all(|value| value.is_finite()))
        .map(|(index, point)| (index, point.iter().zip(goals).map(|(value, goal)| cost(*value, *goal)).collect()))
        .collect();
    // Whoever beats a point comes before it in this order, and so does a member of the front that beats it too.
    order.sort_by(|(_, one), (_, other)| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    let mut members: Vec<usize> = Vec::new();
    let mut on_front = vec![false; points.len()];
    for place in 0..order.len() {
        let (index, point) = &order[place];
        let beaten = members.iter().any(|member| {
            let other = &order[*member].1;
            other.iter().zip(point).all(|(other, point)| other <= point) && other != point
        });
        if !beaten {
            members.push(place);
            on_front[*index] = true;
        }
    }
    on_front
}

/// In which share of `FRONT_RESAMPLES` bootstrap resamples (fixed seed) each point is on the front of the means.
///
/// `points[i][k]` are the replicates of point i in objective k, in the order of their seeds, or one number where it
/// does not vary (parameters). A resample draws replicates of all objectives together, and points with equally many
/// replicates are drawn under the same seeds, so what the seeds have in common cancels. `None` for a point with fewer
/// than two replicates; it takes part with what it has.
pub fn front_shares(points: &[Vec<Vec<f64>>], goals: &[Goal]) -> Vec<Option<f64>> {
    let counts: Vec<usize> = points.iter().map(|point| point.iter().map(Vec::len).max().unwrap_or(0)).collect();
    let most = counts.iter().copied().max().unwrap_or(0);
    let mut random = Random::new(Purpose::Front);
    let mut stayed = vec![0usize; points.len()];
    for _ in 0..FRONT_RESAMPLES {
        let draws: Vec<f64> = (0..most).map(|_| random.unit()).collect();
        let means: Vec<Vec<f64>> = points
            .iter()
            .zip(&counts)
            .map(|(point, count)| point.iter().map(|replicates| resampled(replicates, *count, &draws)).collect())
            .collect();
        for (stayed, on_front) in stayed.iter_mut().zip(front(&means, goals)) {
            *stayed += usize::from(on_front);
        }
    }
    let shares = stayed.iter().zip(&counts);
    shares.map(|(stayed, count)| (*count > 1).then(|| *stayed as f64 / FRONT_RESAMPLES as f64)).collect()
}

/// The mean of one objective in a resample; not a number where the objective has another number of replicates than the
/// point.
fn resampled(replicates: &[f64], count: usize, draws: &[f64]) -> f64 {
    if let [constant] = replicates {
        return *constant;
    }
    if replicates.len() != count {
        return f64::NAN;
    }
    let drawn = draws.iter().take(count).map(|draw| replicates[((draw * count as f64) as usize).min(count - 1)]);
    drawn.sum::<f64>() / count as f64
}

/// Less is better.
fn cost(value: f64, goal: Goal) -> f64 {
    match goal {
        Goal::Maximize => -value,
        Goal::Minimize => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOALS: [Goal; 2] = [Goal::Maximize, Goal::Minimize];

    #[test]
    fn a_point_is_on_the_front_unless_one_is_better_in_all() {
        let points = vec![
            vec![0.9, 100.0],
            vec![0.8, 10.0],
            vec![0.8, 20.0],
            vec![0.7, 10.0],
            vec![0.8, 10.0],
            vec![f64::NAN, 1.0],
            vec![0.99],
        ];
        assert_eq!(front(&points, &GOALS), [true, true, false, false, true, false, false]);
        assert!(front(&[], &GOALS).is_empty());
    }

    #[test]
    fn agrees_with_comparing_everybody_with_everybody() {
        let goals = [Goal::Maximize, Goal::Minimize, Goal::Minimize, Goal::Maximize];
        for seed in 0..100 {
            let mut random = Random::simulation(seed);
            let points: Vec<Vec<f64>> =
                (0..1 + random.below(40)).map(|_| (0..4).map(|_| random.below(5) as f64).collect()).collect();
            let costs: Vec<Vec<f64>> = points
                .iter()
                .map(|point| point.iter().zip(goals).map(|(value, goal)| cost(*value, goal)).collect())
                .collect();
            let wanted: Vec<bool> = costs
                .iter()
                .map(|point| {
                    !costs
                        .iter()
                        .any(|other| other != point && other.iter().zip(point).all(|(other, point)| other <= point))
                })
                .collect();
            assert_eq!(front(&points, &goals), wanted, "seed {seed}");
        }
    }

    #[test]
    fn shares_are_certain_where_no_noise_can_turn_them_and_even_where_nothing_differs() {
        let noisy = |middle: f64| vec![middle - 0.01, middle, middle + 0.01, middle + 0.02];
        let clear = vec![
            vec![noisy(0.9), vec![100.0]],
            vec![noisy(0.5), vec![100.0]],
            vec![noisy(0.5), vec![10.0]],
            vec![vec![0.1], vec![1.0]],
        ];
        assert_eq!(front_shares(&clear, &GOALS), [Some(1.0), Some(0.0), Some(1.0), None]);
        let mirrored: Vec<f64> = noisy(0.9).into_iter().rev().collect();
        let same = vec![vec![noisy(0.9), vec![10.0]], vec![mirrored, vec![10.0]]];
        for share in front_shares(&same, &GOALS) {
            assert!((share.unwrap() - 0.55).abs() < 0.1, "{share:?}");
        }
    }

    #[test]
    fn points_are_drawn_under_the_same_seeds() {
        // The second is better than the first under every seed, however far the seeds lie apart.
        let first = vec![0.1, 0.5, 0.9];
        let second: Vec<f64> = first.iter().map(|value| value + 0.001).collect();
        let points = vec![vec![first, vec![1.0]], vec![second, vec![1.0]]];
        assert_eq!(front_shares(&points, &GOALS), [Some(0.0), Some(1.0)]);
    }
}
