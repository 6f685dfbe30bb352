//! Decides which trials a budget allows. Seeds are taken in the order of the spec, and within a seed the baseline
//! first, then the longest trials. A seed is begun only if it is expected to fit completely, so that no comparison has
//! only half of its pairs.

/// The trials that one seed still needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeedNeed {
    /// Expected seconds of its trials that wait.
    pub seconds: f64,
    pub trials: u64,
}

/// The number of seeds that fit into `budget` seconds, and the seconds that they need together. The first seed always
/// counts: a study has at least one seed, and the sweep then stops when its budget is spent.
pub fn seeds_that_fit(needs: &[SeedNeed], budget: f64) -> (usize, f64) {
    let mut sum = 0.0;
    let mut fit = 0;
    for (index, need) in needs.iter().enumerate() {
        if index > 0 && sum + need.seconds > budget {
            break;
        }
        sum += need.seconds;
        fit = index + 1;
    }
    (fit, sum)
}

/// Trials of one seed that wait.
pub struct Seed<'a> {
    /// The seed's place in the spec.
    pub place: u32,
    /// Something of it has begun.
    pub has_begun: bool,
    /// The number of its waiting trials.
    pub trials: u64,
    /// The seconds that they need together, if that sum is known already.
    pub known_sum: Option<f64>,
    /// The seconds of each trial in the order of their starts; `None` if unknown. It is read only as far as necessary.
    pub seconds: Box<dyn Iterator<Item = Option<f64>> + 'a>,
}

/// The trials that may start.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Allowed {
    /// This many of the waiting trials, from the first on.
    pub starts: u64,
    /// Some waiting trials do not fit into the budget.
    pub is_short: bool,
    /// The number of trials that were examined.
    pub looked_at: u64,
    /// The sums of seeds that were computed, by index of the seed.
    pub sums: Vec<(u32, f64)>,
}

impl Allowed {
    fn short(self) -> Self {
        Self { is_short: true, ..self }
    }
}

/// The trials that may start with `left` seconds, after the seconds of running trials are subtracted. A seed that has
/// begun continues trial by trial; any other seed must fit completely. The search ends after `enough` starts.
pub fn allowed<'a>(seeds: impl IntoIterator<Item = Seed<'a>>, left: f64, enough: u64) -> Allowed {
    let mut left = left;
    let mut found = Allowed::default();
    for seed in seeds {
        if found.starts >= enough {
            return found;
        }
        // A trial without a prediction needs at least a part of the rest.
        if left <= 0.0 {
            return found.short();
        }
        let whole_only = !seed.has_begun && found.starts + u64::from(seed.place > 0) > 0;
        if whole_only {
            let sum = seed.known_sum.unwrap_or_else(|| {
                found.looked_at += seed.trials;
                seed.seconds.flatten().sum()
            });
            found.sums.push((seed.place, sum));
            if sum > left {
                return found.short();
            }
            left -= sum;
            found.starts += seed.trials;
            continue;
        }
        for seconds in seed.seconds {
            if found.starts >= enough {
                return found;
            }
            found.looked_at += 1;
            let seconds = seconds.unwrap_or(0.0);
            if seconds > left {
                return found.short();
            }
            left -= seconds;
            found.starts += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed_of(all: &[(u32, Option<f64>)], left: f64, begun: impl Fn(u32) -> bool) -> (u64, bool) {
        let found = allowed(seeds(all, begun), left, u64::MAX);
        (found.starts, found.is_short)
    }

    fn seeds(all: &[(u32, Option<f64>)], begun: impl Fn(u32) -> bool) -> Vec<Seed<'_>> {
        let groups = all.chunk_by(|one, next| one.0 == next.0);
        let seed = |group: &'_ [(u32, Option<f64>)]| (group[0].0, group.len() as u64, begun(group[0].0));
        let seeds = groups.map(|group| {
            let (place, trials, has_begun) = seed(group);
            Seed { place, has_begun, trials, known_sum: None, seconds: Box::new(group.iter().map(|one| one.1)) }
        });
        seeds.collect()
    }

    fn waiting(seeds: &[(u32, f64)]) -> Vec<(u32, Option<f64>)> {
        seeds.iter().map(|(seed, seconds)| (*seed, Some(*seconds))).collect()
    }

    #[test]
    fn whole_seeds_are_left_out_from_the_end() {
        let need = SeedNeed { seconds: 10.0, trials: 4 };
        assert_eq!(seeds_that_fit(&[need; 5], 35.0), (3, 30.0));
        assert_eq!(seeds_that_fit(&[need; 5], 50.0), (5, 50.0));
        assert_eq!(seeds_that_fit(&[need; 5], 1.0), (1, 10.0), "one seed always");
        assert_eq!(seeds_that_fit(&[], 1.0), (0, 0.0));
    }

    #[test]
    fn a_seed_is_begun_only_if_all_of_it_fits() {
        let all = waiting(&[(0, 4.0), (0, 4.0), (1, 4.0), (1, 4.0)]);
        assert_eq!(allowed_of(&all, 15.0, |_| false), (2, true));
        assert_eq!(allowed_of(&all, 16.0, |_| false), (4, false));
        assert_eq!(allowed_of(&all[2..], 7.0, |_| false), (0, true));
        assert_eq!(allowed_of(&all[2..], 7.0, |seed| seed == 1), (1, true));
    }

    #[test]
    fn the_first_seed_is_taken_as_far_as_it_goes() {
        assert_eq!(allowed_of(&waiting(&[(0, 4.0), (0, 4.0)]), 5.0, |_| false), (1, true));
        assert_eq!(allowed_of(&waiting(&[(0, 4.0)]), 0.0, |_| true), (0, true));
    }

    #[test]
    fn trials_without_a_prediction_start_until_the_budget_is_spent() {
        let unknown = [(0, None), (1, None)];
        assert_eq!(allowed_of(&unknown, 0.5, |_| false), (2, false));
        assert!(allowed_of(&unknown, 0.0, |_| false).1);
    }

    #[test]
    fn no_more_trials_are_looked_at_than_the_answer_needs() {
        let all: Vec<_> = (0..2).flat_map(|seed| (0..50_000).map(move |_| (seed, Some(1.0)))).collect();
        let look = |left: f64, enough: u64| allowed(seeds(&all, |seed| seed == 0), left, enough);
        assert_eq!(look(0.0, u64::MAX).looked_at, 0, "the budget is spent");
        assert_eq!((look(10.5, u64::MAX).starts, look(10.5, u64::MAX).looked_at), (10, 11));
        assert_eq!((look(1e9, 100).starts, look(1e9, 100).looked_at), (100, 100));
        // Once the trials of a seed are added up, the sum alone shows whether the seed fits.
        let second = allowed(seeds(&all[50_000..], |_| false), 10.5, u64::MAX);
        assert_eq!((second.starts, second.is_short, second.looked_at), (0, true, 50_000));
        let sum = second.sums[0].1;
        let known = || seeds(&all[50_000..], |_| false).into_iter().map(|seed| Seed { known_sum: Some(sum), ..seed });
        let (short, whole) = (allowed(known(), 10.5, u64::MAX), allowed(known(), 1e5, u64::MAX));
        assert_eq!((short.starts, short.is_short, short.looked_at), (0, true, 0));
        assert_eq!((whole.starts, whole.is_short, whole.looked_at), (50_000, false, 0));
    }

    #[test]
    fn never_more_is_allowed_than_is_left_whatever_waits() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        for _ in 0..500 {
            let count = 1 + (random() * 5.0) as u32;
            let mut all = Vec::new();
            for seed in 0..count {
                all.extend((0..1 + (random() * 4.0) as u32).map(|_| (seed, random() * 10.0)));
            }
            let all = waiting(&all);
            let left = random() * 60.0;
            let (starts, is_short) = allowed_of(&all, left, |seed| seed == 0);
            let taken: f64 = all.iter().take(starts as usize).filter_map(|one| one.1).sum();
            assert!(taken <= left + 1e-9);
            assert_eq!(is_short, (starts as usize) < all.len());
            let edge = all.get(starts as usize).map(|one| one.0);
            let before = starts.checked_sub(1).and_then(|last| all.get(last as usize)).map(|one| one.0);
            assert!(edge.is_none() || before.is_none() || before != edge || edge == Some(0), "only the first is cut");
        }
    }
}
