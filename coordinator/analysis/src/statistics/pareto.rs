//! Which points are not beaten in everything at once, and how sure that is.

use std::cmp::Ordering;

use sweep_spec::spec::Goal;

use super::random::{Purpose, Random};

/// How often replicates are drawn again to see how often a point stays on the front.
pub const FRONT_RESAMPLES: usize = 1_000;

/// Points that are compared one by one, and pairs: splitting so few further costs more than it saves.
const FEW: usize = 512;
const FEW_PAIRS: usize = 1 << 12;

/// Which points are on the Pareto front: no other point is at least as good in every objective and better in one. Equal
/// points are on it together. A point with a value that is not finite, or without one for each goal, is not on it and
/// beats no other point.
///
/// Takes about n·log(n)ᵏ⁻² steps for n points of k objectives (the divide and conquer of Kung, Luccio and Preparata, 1975),
/// also where every point is on the front.
pub fn front(points: &[Vec<f64>], goals: &[Goal]) -> Vec<bool> {
    let mut costs: Vec<(usize, Vec<f64>)> = points
        .iter()
        .enumerate()
        .filter(|(_, point)| point.len() == goals.len() && point.iter().all(|value| value.is_finite()))
        .map(|(index, point)| (index, point.iter().zip(goals).map(|(value, goal)| cost(*value, *goal)).collect()))
        .collect();
    // In this order every point comes after the points that beat it.
    costs.sort_by(|(_, one), (_, other)| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    let equal: Vec<&[(usize, Vec<f64>)]> = costs.chunk_by(|(_, one), (_, other)| one == other).collect();
    let distinct: Vec<&[f64]> = equal.iter().filter_map(|points| Some(points.first()?.1.as_slice())).collect();
    let mut search = Search { beaten: vec![false; distinct.len()], points: distinct };
    search.within(0, equal.len());
    let mut on_front = vec![false; points.len()];
    for (points, beaten) in equal.iter().zip(search.beaten) {
        points.iter().for_each(|(index, _)| on_front[*index] = !beaten);
    }
    on_front
}

/// Distinct points in the order of their costs, and which of them another one is known to beat.
struct Search<'a> {
    points: Vec<&'a [f64]>,
    beaten: Vec<bool>,
}

impl Search<'_> {
    /// Finds the points between these places that others between them beat.
    fn within(&mut self, first: usize, end: usize) {
        if end - first <= FEW {
            return self.scan(first, end);
        }
        let middle = first + (end - first) / 2;
        self.within(first, middle);
        self.within(middle, end);
        // A point that beats another also beats every point that the other beats.
        let still = |range: std::ops::Range<usize>| range.filter(|place| !self.beaten[*place]).collect::<Vec<usize>>();
        let (earlier, later) = (still(first..middle), still(middle..end));
        self.between(&earlier, &later, 1);
    }

    /// The same, each point against those before it that are not beaten.
    fn scan(&mut self, first: usize, end: usize) {
        let mut members: Vec<usize> = Vec::new();
        for place in first..end {
            match members.iter().any(|member| self.beats(*member, place, 1)) {
                true => self.beaten[place] = true,
                false => members.push(place),
            }
        }
    }

    /// Whether a point that comes before another is at least as good in each objective after the first `from`.
    fn beats(&self, one: usize, other: usize, from: usize) -> bool {
        self.points[one][from..].iter().zip(&self.points[other][from..]).all(|(one, other)| one <= other)
    }

    /// Finds the `later` points that an `earlier` one beats. In the objectives before `from` each earlier point is at least as
    /// good as each later one.
    fn between(&mut self, earlier: &[usize], later: &[usize], from: usize) {
        if earlier.is_empty() || later.is_empty() {
            return;
        }
        let objectives = self.points[earlier[0]].len();
        if earlier.len().saturating_mul(later.len()) <= FEW_PAIRS {
            return self.one_by_one(earlier, later, from);
        }
        match objectives.saturating_sub(from) {
            0 | 1 => self.by_last(earlier, later, from),
            2 => self.by_last_two(earlier, later, from),
            _ => self.split(earlier, later, from),
        }
    }

    fn one_by_one(&mut self, earlier: &[usize], later: &[usize], from: usize) {
        for place in later {
            self.beaten[*place] |= earlier.iter().any(|earlier| self.beats(*earlier, *place, from));
        }
    }

    /// The case of at most one remaining objective.
    fn by_last(&mut self, earlier: &[usize], later: &[usize], from: usize) {
        let of = |place: usize| self.points[place].get(from).copied().unwrap_or(0.0);
        let least = earlier.iter().map(|place| of(*place)).fold(f64::INFINITY, f64::min);
        let beaten: Vec<usize> = later.iter().copied().filter(|place| least <= of(*place)).collect();
        beaten.into_iter().for_each(|place| self.beaten[place] = true);
    }

    /// Two objectives are left: in the order of the first of them, the least of the second so far decides.
    fn by_last_two(&mut self, earlier: &[usize], later: &[usize], from: usize) {
        let points = &self.points;
        let in_order = |places: &[usize]| {
            let mut places = places.to_vec();
            places.sort_by(|one, other| points[*one][from].total_cmp(&points[*other][from]));
            places
        };
        let mut rest = in_order(earlier).into_iter().peekable();
        let mut least = f64::INFINITY;
        for place in in_order(later) {
            while let Some(before) = rest.next_if(|before| points[*before][from] <= points[place][from]) {
                least = least.min(points[before][from + 1]);
            }
            if least <= points[place][from + 1] {
                self.beaten[place] = true;
            }
        }
    }

    /// Splits both at a value of the objective `from`: points below it are at least as good there as points from it on, and
    /// points from it on beat none below it.
    fn split(&mut self, earlier: &[usize], later: &[usize], from: usize) {
        let of = |place: usize| self.points[place][from];
        let mut values: Vec<f64> = earlier.iter().chain(later).map(|place| of(*place)).collect();
        values.sort_by(f64::total_cmp);
        let above_least = values.partition_point(|value| *value <= values[0]);
        let Some(value) = values.get(above_least.max(values.len() / 2)).copied() else {
            return self.between(earlier, later, from + 1);
        };
        let halves = |places: &[usize]| places.iter().copied().partition::<Vec<usize>, _>(|place| of(*place) < value);
        let (earlier_below, earlier_from) = halves(earlier);
        let (later_below, later_from) = halves(later);
        self.between(&earlier_below, &later_below, from);
        self.between(&earlier_from, &later_from, from);
        self.between(&earlier_below, &later_from, from + 1);
    }
}

/// The share of `FRONT_RESAMPLES` bootstrap resamples (fixed seed) in which each point is on the front of the means.
///
/// `points[i][k]` are the replicates of point i in objective k, in the order of their seeds, or one number where it
/// does not vary (parameters). A resample draws replicates of all objectives together. Points with equally many
/// replicates are drawn under the same seeds, so variation that the seeds share cancels. `None` for a point with fewer
/// than two replicates, which takes part with its values.
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

/// The value with its sign changed for a maximised goal, so that less is better.
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
    fn agrees_with_comparing_each_point_with_each() {
        let all = [Goal::Maximize, Goal::Minimize, Goal::Minimize, Goal::Maximize, Goal::Minimize];
        for seed in 0..60 {
            let mut random = Random::simulation(seed);
            let goals = &all[..1 + random.below(all.len())];
            // Few levels make ties, many make large fronts.
            let (count, levels) = (1 + random.below(3_000), 2 + random.below(60));
            let mut point = || goals.iter().map(|_| random.below(levels) as f64 - 1.0).collect();
            let points: Vec<Vec<f64>> = (0..count).map(|_| point()).collect();
            assert_eq!(front(&points, goals), by_definition(&points, goals), "seed {seed}");
        }
    }

    #[test]
    fn agrees_where_every_point_is_on_the_front_and_where_one_is() {
        let along =
            |rising: f64| (0..2_000).map(|place| vec![f64::from(place), f64::from(place) * rising, 1.0]).collect();
        let goals = [Goal::Maximize, Goal::Minimize, Goal::Minimize];
        let (all, best): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (along(1.0), along(-1.0));
        assert_eq!(front(&all, &goals), vec![true; 2_000]);
        assert_eq!(front(&best, &goals).iter().position(|on| *on), Some(1_999));
    }

    fn by_definition(points: &[Vec<f64>], goals: &[Goal]) -> Vec<bool> {
        let costs: Vec<Vec<f64>> = points
            .iter()
            .map(|point| point.iter().zip(goals).map(|(value, goal)| cost(*value, *goal)).collect())
            .collect();
        let beats = |one: &Vec<f64>, other: &Vec<f64>| one != other && one.iter().zip(other).all(|(a, b)| a <= b);
        costs.iter().map(|point| !costs.iter().any(|other| beats(other, point))).collect()
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
        // The second is better than the first under every seed, however much the seeds differ.
        let first = vec![0.1, 0.5, 0.9];
        let second: Vec<f64> = first.iter().map(|value| value + 0.001).collect();
        let points = vec![vec![first, vec![1.0]], vec![second, vec![1.0]]];
        assert_eq!(front_shares(&points, &GOALS), [Some(0.0), Some(1.0)]);
    }
}
