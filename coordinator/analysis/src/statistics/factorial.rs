//! Main effects and interactions of two factors in a factorial design, complete or fractional.
//!
//! The model is the usual one with sum-to-zero columns. It is fitted to the means of the configurations over the seeds
//! under which every configuration has a value. Sums of squares are sequential (type I): the main effects in the order
//! of the factors, then their products. In a balanced design the order does not matter, and the shares of variance are
//! eta squared (Fisher 1925). In an unbalanced design (configurations are missing) a term gets what earlier terms leave
//! over, `orthogonal` is false, and sizes are least-squares estimates. A term with the same column as an earlier one is
//! its alias. A term that several earlier ones explain together cannot be estimated.

use super::estimate::{mean, t_interval};
use crate::result::Interval;

/// A squared length below this share of its value before projection is a rounding error.
const NOTHING_LEFT: f64 = 1e-9;

/// A configuration: its level of each factor, and its values by seed, each seed once.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The index of the level of each factor.
    pub levels: Vec<usize>,
    /// Seed and value.
    pub values: Vec<(u64, f64)>,
}

/// The effects of a factorial design.
#[derive(Debug, Clone, PartialEq)]
pub struct Factorial {
    /// Main effects and interactions, in the order of the model, without aliases of earlier ones.
    pub effects: Vec<Effect>,
    /// Terms that several earlier ones explain together, as factors. They cannot be estimated.
    pub unestimable: Vec<Vec<usize>>,
    /// The seeds under which all configurations have a value; nothing else entered.
    pub seeds: Vec<u64>,
    /// Sum of squares between configurations, over all values.
    pub between: f64,
    /// No term explains a part of another one, so their order does not matter. Aliases are allowed.
    pub orthogonal: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The factors by index: one for a main effect, two for an interaction.
    pub factors: Vec<usize>,
    /// With factors of two levels: mean at the later level minus mean at the earlier one; for an interaction half the
    /// difference of the differences. Mean over the seeds.
    pub size: Option<f64>,
    /// Its 95 % interval by Student's t over the seeds; absent with one seed.
    pub interval: Option<Interval>,
    /// Over all values.
    pub squares: f64,
    pub degrees: usize,
    /// Its share of the sum of squares between configurations, in [0, 1]; 0 if these do not differ.
    pub share: f64,
    /// Other terms with the same column; the effect is the sum of all of theirs, each with its sign.
    pub aliases: Vec<Vec<usize>>,
}

/// A term with its columns, one value a cell.
struct Term {
    factors: Vec<usize>,
    columns: Vec<Vec<f64>>,
    two_levels: bool,
}

/// Analyses a design. `None` with fewer than two configurations, with ones that name different numbers of factors, and
/// where no seed has a finite value for every configuration.
pub fn factorial(cells: &[Cell]) -> Option<Factorial> {
    let factors = cells.first()?.levels.len();
    if cells.len() < 2 || cells.iter().any(|cell| cell.levels.len() != factors) {
        return None;
    }
    let (seeds, by_seed) = complete(cells)?;
    let means: Vec<f64> = (0..cells.len())
        .map(|cell| mean(&by_seed.iter().map(|values| values[cell]).collect::<Vec<_>>()))
        .collect::<Option<_>>()?;
    let grand = mean(&means)?;
    let between = seeds.len() as f64 * means.iter().map(|mean| (mean - grand).powi(2)).sum::<f64>();
    if !between.is_finite() {
        return None;
    }

    let mut fitted = Fitted::new(cells.len());
    let mut effects: Vec<Effect> = Vec::new();
    let mut columns: Vec<Option<Vec<f64>>> = Vec::new();
    let mut unestimable = Vec::new();
    for term in terms(cells, factors) {
        let Some(added) = fitted.add(&term) else {
            match alias_of(&columns, &term) {
                Some(earlier) => effects[earlier].aliases.push(term.factors),
                None => unestimable.push(term.factors),
            }
            continue;
        };
        let squares = seeds.len() as f64
            * fitted.directions[added.clone()].iter().map(|direction| dot(direction, &means).powi(2)).sum::<f64>();
        effects.push(Effect {
            factors: term.factors,
            size: None,
            interval: None,
            squares,
            degrees: added.len(),
            share: if between > 0.0 { (squares / between).clamp(0.0, 1.0) } else { 0.0 },
            aliases: Vec::new(),
        });
        columns.push(if term.two_levels { term.columns.into_iter().next() } else { None });
    }
    for (effect, column) in effects.iter_mut().zip(&columns) {
        let Some(column) = column else { continue };
        let contrast = fitted.contrast(column);
        let sizes: Option<Vec<f64>> =
            contrast.map(|contrast| by_seed.iter().map(|values| dot(&contrast, values)).collect());
        effect.size = sizes.as_deref().and_then(mean);
        effect.interval = sizes.as_deref().and_then(t_interval);
    }
    Some(Factorial { effects, unestimable, seeds, between, orthogonal: fitted.orthogonal })
}

/// The seeds under which every cell has a finite value, ascending, with the values in the order of the cells.
fn complete(cells: &[Cell]) -> Option<(Vec<u64>, Vec<Vec<f64>>)> {
    let mut seeds: Vec<u64> = cells.first()?.values.iter().map(|(seed, _)| *seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let value = |cell: &Cell, seed: u64| {
        let (_, value) = cell.values.iter().find(|(of, _)| *of == seed)?;
        value.is_finite().then_some(*value)
    };
    let rows: Vec<(u64, Vec<f64>)> = seeds
        .into_iter()
        .filter_map(|seed| Some((seed, cells.iter().map(|cell| value(cell, seed)).collect::<Option<Vec<f64>>>()?)))
        .collect();
    (!rows.is_empty()).then(|| rows.into_iter().unzip())
}

/// Main effects, then products of two, with sum-to-zero columns: a factor of L levels that occur has L - 1 of them,
/// which are 1 at a level, -1 at the first one and 0 elsewhere. Factors of one level have none and are left out.
fn terms(cells: &[Cell], factors: usize) -> Vec<Term> {
    let mains: Vec<Term> = (0..factors)
        .filter_map(|factor| {
            let mut levels: Vec<usize> = cells.iter().map(|cell| cell.levels[factor]).collect();
            levels.sort_unstable();
            levels.dedup();
            let column = |level: &usize| {
                let code = |cell: &Cell| {
                    f64::from(cell.levels[factor] == *level) - f64::from(cell.levels[factor] == levels[0])
                };
                cells.iter().map(code).collect()
            };
            let columns: Vec<Vec<f64>> = levels.iter().skip(1).map(column).collect();
            (!columns.is_empty()).then(|| Term { factors: vec![factor], two_levels: columns.len() == 1, columns })
        })
        .collect();
    let mut products = Vec::new();
    for (index, one) in mains.iter().enumerate() {
        for other in &mains[index + 1..] {
            let columns = one
                .columns
                .iter()
                .flat_map(|left| {
                    other.columns.iter().map(move |right| left.iter().zip(right).map(|(l, r)| l * r).collect())
                })
                .collect();
            let factors = [&one.factors[..], &other.factors[..]].concat();
            products.push(Term { factors, columns, two_levels: one.two_levels && other.two_levels });
        }
    }
    mains.into_iter().chain(products).collect()
}

/// The earlier effect, all of whose factors have two levels, with the same column but for its sign.
fn alias_of(columns: &[Option<Vec<f64>>], term: &Term) -> Option<usize> {
    let [column] = term.columns.as_slice() else { return None };
    columns.iter().position(|earlier| {
        earlier.as_ref().is_some_and(|earlier| {
            let along = dot(earlier, column);
            let all = dot(earlier, earlier) * dot(column, column);
            (all - along * along).abs() <= NOTHING_LEFT * all
        })
    })
}

/// The columns of a model, made orthogonal one after the other.
struct Fitted {
    /// Unit vectors; the first is the grand mean's.
    directions: Vec<Vec<f64>>,
    /// The columns that they came from.
    sources: Vec<Vec<f64>>,
    orthogonal: bool,
}

impl Fitted {
    fn new(cells: usize) -> Self {
        let ones = vec![1.0; cells];
        let unit = vec![1.0 / (cells as f64).sqrt(); cells];
        Self { directions: vec![unit], sources: vec![ones], orthogonal: true }
    }

    /// Adds a term's columns as far as earlier terms do not explain them: the range of its directions, `None` if none
    /// is left.
    fn add(&mut self, term: &Term) -> Option<std::ops::Range<usize>> {
        let before = self.directions.len();
        let mut overlaps = false;
        for column in &term.columns {
            let length = dot(column, column);
            let earlier = rest(column, &self.directions[..before]);
            overlaps |= dot(&earlier, &earlier) < (1.0 - NOTHING_LEFT) * length;
            let left = rest(&earlier, &self.directions[before..]);
            let remaining = dot(&left, &left);
            if remaining > NOTHING_LEFT * length {
                self.directions.push(left.iter().map(|value| value / remaining.sqrt()).collect());
                self.sources.push(column.clone());
            }
        }
        // A part that is explained completely reduces no other share.
        self.orthogonal &= !overlaps || self.directions.len() == before;
        (self.directions.len() > before).then_some(before..self.directions.len())
    }

    /// The weights with which values of cells give the size of a two-level effect: twice its least-squares coefficient.
    fn contrast(&self, column: &[f64]) -> Option<Vec<f64>> {
        let mut left = column.to_vec();
        if !self.orthogonal {
            let mut others: Vec<Vec<f64>> = Vec::new();
            for source in self.sources.iter().filter(|source| source.as_slice() != column) {
                let remaining = rest(source, &others);
                let length = dot(&remaining, &remaining);
                if length > NOTHING_LEFT * dot(source, source) {
                    others.push(remaining.iter().map(|value| value / length.sqrt()).collect());
                }
            }
            left = rest(column, &others);
        }
        let length = dot(&left, &left);
        (length > 0.0).then(|| left.iter().map(|value| 2.0 * value / length).collect())
    }
}

/// The part of a column that is orthogonal to these unit vectors. It is projected twice, because once leaves rounding
/// errors.
fn rest(column: &[f64], directions: &[Vec<f64>]) -> Vec<f64> {
    let mut left = column.to_vec();
    for _ in 0..2 {
        for direction in directions {
            let along = dot(&left, direction);
            for (value, part) in left.iter_mut().zip(direction) {
                *value -= along * part;
            }
        }
    }
    left
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    /// A design of two-level factors from its points, with values by a rule.
    fn cells(points: &[&[usize]], seeds: u64, value: impl Fn(&[usize], u64) -> f64) -> Vec<Cell> {
        let cell = |levels: &&[usize]| Cell {
            levels: levels.to_vec(),
            values: (0..seeds).map(|seed| (seed, value(levels, seed))).collect(),
        };
        points.iter().map(cell).collect()
    }

    const SQUARE: [&[usize]; 4] = [&[0, 0], &[1, 0], &[0, 1], &[1, 1]];

    fn close(seen: Option<f64>, wanted: f64) {
        assert!(seen.is_some_and(|seen| (seen - wanted).abs() < 1e-12), "{seen:?} for {wanted}");
    }

    #[test]
    fn a_square_worked_by_hand() {
        // y = 10 + 3a + 2b + 4ab: the effect of a is 3 at b = 0 and 7 at b = 1.
        let rule = |at: &[usize], seed: u64| {
            let (a, b) = (at[0] as f64, at[1] as f64);
            10.0 + 3.0 * a + 2.0 * b + 4.0 * a * b + seed as f64 * (1.0 + a)
        };
        let found = factorial(&cells(&SQUARE, 3, rule)).unwrap();
        assert!(found.orthogonal && found.seeds == [0, 1, 2] && found.unestimable.is_empty());
        let names: Vec<&[usize]> = found.effects.iter().map(|effect| effect.factors.as_slice()).collect();
        assert_eq!(names, [&[0][..], &[1], &[0, 1]]);
        close(found.effects[0].size, 5.0 + 1.0);
        close(found.effects[1].size, 4.0);
        close(found.effects[2].size, 2.0);
        let interval = found.effects[0].interval.unwrap();
        close(Some(interval.high - interval.low), 2.0 * 4.302652729749464 / 3f64.sqrt());
        assert!(found.effects[1].interval.is_none(), "the same under every seed");
        let shares: f64 = found.effects.iter().map(|effect| effect.share).sum();
        close(Some(shares), 1.0);
    }

    #[test]
    fn a_half_fraction_names_its_aliases() {
        // C = AB, so each main effect is an alias of the product of the other two.
        let half: [&[usize]; 4] = [&[0, 0, 1], &[1, 0, 0], &[0, 1, 0], &[1, 1, 1]];
        let found = factorial(&cells(&half, 2, |at, _| at[0] as f64 * 2.0)).unwrap();
        assert!(found.effects.len() == 3 && found.orthogonal);
        assert_eq!(found.effects[0].aliases, [[1, 2]]);
        assert_eq!(found.effects[1].aliases, [[0, 2]]);
        assert_eq!(found.effects[2].aliases, [[0, 1]]);
        close(found.effects[0].size, 2.0);
        close(Some(found.effects[0].share), 1.0);
    }

    #[test]
    fn a_missing_configuration_costs_balance_and_not_the_truth() {
        // Purely additive, one of eight is missing: least squares still finds the effects.
        let mut points: Vec<Vec<usize>> = (0..8).map(|i| vec![i & 1, i >> 1 & 1, i >> 2]).collect();
        points.remove(5);
        let points: Vec<&[usize]> = points.iter().map(Vec::as_slice).collect();
        let found = factorial(&cells(&points, 2, |at, seed| {
            at[0] as f64 - 2.0 * at[1] as f64 + 0.5 * at[2] as f64 + seed as f64
        }));
        let found = found.unwrap();
        assert!(!found.orthogonal);
        close(found.effects[0].size, 1.0);
        close(found.effects[1].size, -2.0);
        close(found.effects[2].size, 0.5);
        assert!(found.effects.iter().map(|effect| effect.share).sum::<f64>() <= 1.0 + 1e-12);
    }

    #[test]
    fn more_levels_have_a_share_and_no_size() {
        let points: Vec<Vec<usize>> = (0..6).map(|i| vec![i % 3, i / 3]).collect();
        let points: Vec<&[usize]> = points.iter().map(Vec::as_slice).collect();
        let found = factorial(&cells(&points, 1, |at, _| [0.0, 5.0, 1.0][at[0]] + at[1] as f64)).unwrap();
        assert_eq!(found.effects.iter().map(|effect| effect.degrees).collect::<Vec<_>>(), [2, 1, 2]);
        assert!(found.effects[0].size.is_none() && found.effects[1].size.is_some() && found.effects[2].size.is_none());
        close(found.effects[1].size, 1.0);
        assert!(found.effects[1].interval.is_none(), "one seed has no spread");
        assert!(found.effects[2].share < 1e-12);
    }

    #[test]
    fn shares_of_balanced_designs_add_up_to_one_at_most() {
        for seed in 0..30 {
            let mut random = Random::simulation(seed);
            let points: Vec<Vec<usize>> = (0..24).map(|i| vec![i % 2, i / 2 % 3, i / 6 % 2, i / 12]).collect();
            let cells: Vec<Cell> = points
                .iter()
                .map(|levels| Cell { levels: levels.clone(), values: (0..3).map(|s| (s, random.normal())).collect() })
                .collect();
            let found = factorial(&cells).unwrap();
            assert!(found.orthogonal);
            assert!(found.effects.iter().map(|effect| effect.share).sum::<f64>() <= 1.0 + 1e-9, "seed {seed}");
        }
    }

    #[test]
    fn only_complete_seeds_enter_and_without_one_there_is_nothing() {
        let mut square = cells(&SQUARE, 3, |at, seed| at[0] as f64 + seed as f64);
        square[1].values.remove(1);
        square[2].values[2].1 = f64::NAN;
        assert_eq!(factorial(&square).unwrap().seeds, [0]);
        square[3].values.remove(0);
        assert_eq!(factorial(&square), None);
        assert_eq!(factorial(&[]), None);
        assert_eq!(factorial(&square[..1]), None);
        square[0].levels.pop();
        assert_eq!(factorial(&square), None);
        let unvaried = cells(&[&[0], &[0]], 1, |_, _| 1.0);
        assert!(factorial(&unvaried).unwrap().effects.is_empty());
    }
}
