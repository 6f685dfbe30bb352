//! What a budget holds. Seeds are taken in the order of the spec, in each seed the baseline first and then the longest; a
//! seed is begun only if all of it is expected to fit, so that no comparison is left with half of its pairs.

/// What one seed still needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeedNeed {
    /// Expected seconds of its trials that wait.
    pub seconds: f64,
    /// How many those are.
    pub trials: u64,
}

/// How many of some seeds fit into `budget` seconds, and what they need together. The first needs no room: less than one
/// seed is no study, and the sweep then stops where its budget does.
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

/// A trial that waits, in the order in which trials are started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waiting {
    /// The seed's place in the spec.
    pub seed: u32,
    /// Expected seconds; nothing while nothing is known.
    pub seconds: Option<f64>,
}

/// What may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// So many of those that wait, from the first on.
    pub starts: u64,
    /// Some that wait are not among them.
    pub is_short: bool,
}

/// What may still be started with `left` seconds, those of running trials being taken off already. A seed of which
/// something has begun goes on trial by trial; another one must fit whole.
pub fn allowed(waiting: &[Waiting], left: f64, has_begun: impl Fn(u32) -> bool) -> Allowed {
    let mut left = left;
    let mut starts = 0;
    let mut rest = waiting;
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|one| one.seed == first.seed).count();
        let (seed, after) = rest.split_at(count);
        let need: f64 = seed.iter().filter_map(|one| one.seconds).sum();
        // What is not known needs at least some of what is left.
        if left <= 0.0 {
            return Allowed { starts, is_short: true };
        }
        let whole_only = !has_begun(first.seed) && starts + u64::from(first.seed > 0) > 0;
        if need > left {
            if !whole_only {
                for one in seed {
                    let seconds = one.seconds.unwrap_or(0.0);
                    if seconds > left {
                        break;
                    }
                    left -= seconds;
                    starts += 1;
                }
            }
            return Allowed { starts, is_short: true };
        }
        left -= need;
        starts += count as u64;
        rest = after;
    }
    Allowed { starts, is_short: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(seeds: &[(u32, f64)]) -> Vec<Waiting> {
        seeds.iter().map(|(seed, seconds)| Waiting { seed: *seed, seconds: Some(*seconds) }).collect()
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
        assert_eq!(allowed(&all, 15.0, |_| false), Allowed { starts: 2, is_short: true });
        assert_eq!(allowed(&all, 16.0, |_| false), Allowed { starts: 4, is_short: false });
        assert_eq!(allowed(&all[2..], 7.0, |_| false), Allowed { starts: 0, is_short: true });
        assert_eq!(allowed(&all[2..], 7.0, |seed| seed == 1), Allowed { starts: 1, is_short: true });
    }

    #[test]
    fn the_first_seed_is_taken_as_far_as_it_goes() {
        assert_eq!(allowed(&waiting(&[(0, 4.0), (0, 4.0)]), 5.0, |_| false), Allowed { starts: 1, is_short: true });
        assert_eq!(allowed(&waiting(&[(0, 4.0)]), 0.0, |_| true), Allowed { starts: 0, is_short: true });
    }

    #[test]
    fn what_is_not_known_is_started_until_the_budget_is_gone() {
        let unknown = [Waiting { seed: 0, seconds: None }, Waiting { seed: 1, seconds: None }];
        assert_eq!(allowed(&unknown, 0.5, |_| false), Allowed { starts: 2, is_short: false });
        assert!(allowed(&unknown, 0.0, |_| false).is_short);
    }

    #[test]
    fn never_more_is_allowed_than_is_left_whatever_waits() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        for _ in 0..500 {
            let seeds = 1 + (random() * 5.0) as u32;
            let mut all = Vec::new();
            for seed in 0..seeds {
                all.extend((0..1 + (random() * 4.0) as u32).map(|_| (seed, random() * 10.0)));
            }
            let all = waiting(&all);
            let left = random() * 60.0;
            let found = allowed(&all, left, |seed| seed == 0);
            let taken: f64 = all.iter().take(found.starts as usize).filter_map(|one| one.seconds).sum();
            assert!(taken <= left + 1e-9);
            assert_eq!(found.is_short, (found.starts as usize) < all.len());
            let edge = all.get(found.starts as usize).map(|one| one.seed);
            let before = found.starts.checked_sub(1).and_then(|last| all.get(last as usize)).map(|one| one.seed);
            assert!(edge.is_none() || before.is_none() || before != edge || edge == Some(0), "only the first is cut");
        }
    }
}
