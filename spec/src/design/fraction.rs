//! Fractions of a two-level factorial design. The levels of some factors follow from those of others, so fewer points
//! are trained and some effects are aliases of each other. This file computes the aliases from the words that generate
//! the fraction.
//!
//! A word is a set of factors, as bits. A stored spec is expanded from its text again at any time, so the search must
//! never change its choices: a test compares them.

use std::collections::BTreeMap;

/// The most factors of a fraction: the search examines every set of them.
pub(crate) const MOST_FACTORS: usize = 12;

/// A set of factors, by their places in the design, as bits.
pub type Word = u32;

/// The rule by which the level of a factor follows from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generator {
    /// The factor's place among the dimensions of the design.
    pub factor: usize,
    /// The factors whose product it is; two levels count as −1 and +1.
    pub word: Word,
    /// Whether it is the product with the other sign.
    pub negative: bool,
}

/// The part of a factorial design that is trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fraction {
    factors: usize,
    generators: Vec<Generator>,
    /// The products that are the same in every point, each with its sign; the empty product is not among them.
    defining: BTreeMap<Word, bool>,
}

impl Fraction {
    /// The fraction of this many factors that these words generate. A word must not contain a generated factor.
    pub(crate) fn new(factors: usize, generators: Vec<Generator>) -> Self {
        let mut defining: BTreeMap<Word, bool> = BTreeMap::new();
        for generator in &generators {
            let one = (generator.word | (1 << generator.factor), generator.negative);
            let more: Vec<_> = defining.iter().map(|(word, negative)| (word ^ one.0, negative ^ one.1)).collect();
            defining.extend(more);
            defining.insert(one.0, one.1);
        }
        Self { factors, generators, defining }
    }

    /// The fraction with the fewest points whose resolution is at least this, and among those the one of the highest
    /// resolution and the fewest shortest words; nothing if only the whole design will do.
    pub(crate) fn of_resolution(factors: usize, resolution: u32) -> Option<Self> {
        (1..factors).rev().find_map(|generated| {
            let base = factors - generated;
            let mut words: Vec<Word> = (1..1u32 << base).filter(|word| word.count_ones() + 1 >= resolution).collect();
            words.sort_by_key(|word| (std::cmp::Reverse(word.count_ones()), *word));
            let mut search = Search { factors, base, generated, resolution, words: &words, best: None };
            search.deeper(&mut Vec::new(), 0);
            search.best.map(|(_, chosen)| Self::new(factors, chosen))
        })
    }

    pub fn factors(&self) -> usize {
        self.factors
    }

    /// How the levels of some factors follow from those of the others.
    pub fn generators(&self) -> &[Generator] {
        &self.generators
    }

    /// Whether this factor's levels follow from others.
    pub(super) fn generates(&self, factor: usize) -> bool {
        self.generators.iter().any(|generator| generator.factor == factor)
    }

    /// The products of factors that are the same in every point, and whether each is −1, shortest first.
    pub fn defining(&self) -> Vec<(Word, bool)> {
        let mut words: Vec<_> = self.defining.iter().map(|(word, negative)| (*word, *negative)).collect();
        words.sort_by_key(|(word, _)| order(*word));
        words
    }

    /// The length of the shortest of those products. From 3 on no two main effects are aliased, from 4 on no main effect
    /// with an interaction of two, from 5 on no two interactions of two.
    pub fn resolution(&self) -> u32 {
        self.defining.keys().map(|word| word.count_ones()).min().unwrap_or(0)
    }

    /// The effects that this design cannot tell from `effect`, and whether each comes with the other sign, shortest
    /// first. An effect is the product of its factors.
    pub fn aliases(&self, effect: Word) -> Vec<(Word, bool)> {
        let mut words: Vec<_> = self.defining.iter().map(|(word, negative)| (word ^ effect, *negative)).collect();
        words.sort_by_key(|(word, _)| order(*word));
        words
    }

    /// The step (0 or 1) of a generated factor, given the steps of the others as bits.
    pub(super) fn step(&self, generator: &Generator, steps: Word) -> u64 {
        let lows = (generator.word & !steps).count_ones();
        // A product of −1s and +1s is +1 where the −1s are even in number.
        u64::from(lows.is_multiple_of(2) != generator.negative)
    }
}

/// Words by their length, then by the places of their factors.
pub(super) fn order(word: Word) -> (u32, std::cmp::Reverse<Word>) {
    (word.count_ones(), std::cmp::Reverse(word.reverse_bits()))
}

/// The quality of a fraction: lower is better.
type Rank = (std::cmp::Reverse<u32>, Vec<usize>);

struct Search<'a> {
    factors: usize,
    base: usize,
    generated: usize,
    resolution: u32,
    words: &'a [Word],
    best: Option<(Rank, Vec<Generator>)>,
}

impl Search<'_> {
    fn deeper(&mut self, chosen: &mut Vec<Generator>, from: usize) {
        let fraction = Fraction::new(self.factors, chosen.clone());
        if !chosen.is_empty() && fraction.resolution() < self.resolution {
            return;
        }
        if chosen.len() == self.generated {
            let lengths = fraction.defining.keys().map(|word| word.count_ones() as usize);
            let mut pattern = vec![0; self.factors + 1];
            lengths.for_each(|length| pattern[length] += 1);
            let rank = (std::cmp::Reverse(fraction.resolution()), pattern);
            if self.best.as_ref().is_none_or(|(best, _)| rank < *best) {
                self.best = Some((rank, chosen.clone()));
            }
            return;
        }
        for (place, word) in self.words.iter().enumerate().skip(from) {
            chosen.push(Generator { factor: self.base + chosen.len(), word: *word, negative: false });
            self.deeper(chosen, place + 1);
            chosen.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns of a fraction: for each point, each factor's −1 or +1.
    fn columns(fraction: &Fraction) -> Vec<Vec<i32>> {
        let generated = |factor: usize| fraction.generators.iter().find(|generator| generator.factor == factor);
        let base: Vec<usize> = (0..fraction.factors).filter(|factor| !fraction.generates(*factor)).collect();
        let mut columns = vec![Vec::new(); fraction.factors];
        for point in 0..1u32 << base.len() {
            let mut steps = 0;
            base.iter().enumerate().for_each(|(bit, factor)| steps |= (point >> bit & 1) << factor);
            for (factor, column) in columns.iter_mut().enumerate() {
                let step = generated(factor).map_or(u64::from(steps >> factor & 1), |one| fraction.step(one, steps));
                column.push(if step == 1 { 1 } else { -1 });
            }
        }
        columns
    }

    fn contrast(columns: &[Vec<i32>], effect: Word) -> Vec<i32> {
        let members = || (0..columns.len()).filter(|factor| effect >> factor & 1 == 1);
        (0..columns[0].len()).map(|point| members().map(|factor| columns[factor][point]).product()).collect()
    }

    /// Resolution and aliases from the contrast columns alone.
    fn check(fraction: &Fraction) {
        let columns = columns(fraction);
        let points = columns[0].len() as i32;
        let along = |a: Word, b: Word| -> i32 {
            contrast(&columns, a).iter().zip(contrast(&columns, b)).map(|(a, b)| a * b).sum()
        };
        let shortest = (1..1u32 << fraction.factors)
            .filter(|word| along(*word, 0).abs() == points)
            .map(|word| word.count_ones())
            .min();
        assert_eq!(shortest, Some(fraction.resolution()), "{fraction:?}");
        for effect in 1..1u32 << fraction.factors {
            let aliases: BTreeMap<Word, bool> = fraction.aliases(effect).into_iter().collect();
            for other in (0..1u32 << fraction.factors).filter(|other| *other != effect) {
                let expected = match along(effect, other) {
                    0 => None,
                    same if same == points => Some(false),
                    opposite if opposite == -points => Some(true),
                    partly => panic!("{partly} of {points}: a regular fraction aliases wholly or not at all"),
                };
                assert_eq!(aliases.get(&other).copied(), expected, "{effect:b} and {other:b} of {fraction:?}");
            }
        }
    }

    #[test]
    fn the_stated_resolution_and_aliases_are_those_of_the_contrast_columns() {
        for factors in 2..=7 {
            for resolution in 3..=5 {
                if let Some(fraction) = Fraction::of_resolution(factors, resolution) {
                    assert!(fraction.resolution() >= resolution);
                    check(&fraction);
                }
            }
        }
        let negative = |factor, word| Generator { factor, word, negative: true };
        check(&Fraction::new(5, vec![negative(4, 0b0111), Generator { factor: 3, word: 0b011, negative: false }]));
        check(&Fraction::new(3, vec![negative(0, 0b110)]));
    }

    /// The published tables of minimum-aberration designs: factors, asked resolution, points, reached resolution.
    #[test]
    fn the_fewest_points_are_those_of_the_tables() {
        for (factors, asked, points, reached) in [
            (3, 3, 4, 3),
            (4, 3, 8, 4),
            (4, 4, 8, 4),
            (5, 3, 8, 3),
            (5, 4, 16, 5),
            (5, 5, 16, 5),
            (6, 3, 8, 3),
            (6, 4, 16, 4),
            (6, 5, 32, 6),
            (7, 3, 8, 3),
            (7, 4, 16, 4),
            (7, 5, 64, 7),
            (8, 3, 16, 4),
            (8, 4, 16, 4),
            (8, 5, 64, 5),
        ] {
            let fraction = Fraction::of_resolution(factors, asked).unwrap();
            let trained = 1 << (factors - fraction.generators.len());
            assert_eq!((trained, fraction.resolution()), (points, reached), "{factors} factors, resolution {asked}");
        }
        for (factors, asked) in [(2, 3), (3, 4), (3, 5), (4, 5), (1, 3)] {
            assert_eq!(Fraction::of_resolution(factors, asked), None, "{factors} factors, resolution {asked}");
        }
    }

    /// A spec's points never change between releases.
    #[test]
    fn the_choice_never_changes() {
        let words = |factors, resolution| -> Vec<Word> {
            let fraction = Fraction::of_resolution(factors, resolution).unwrap();
            fraction.generators.iter().map(|generator| generator.word).collect()
        };
        assert_eq!(words(3, 3), [0b11]);
        assert_eq!(words(4, 3), [0b111]);
        assert_eq!(words(5, 3), [0b111, 0b011]);
        assert_eq!(words(5, 5), [0b1111]);
        assert_eq!(words(6, 3), [0b111, 0b011, 0b101]);
        assert_eq!(words(6, 4), [0b0111, 0b1011]);
        assert_eq!(words(7, 3), [0b111, 0b011, 0b101, 0b110]);
        assert_eq!(words(7, 4), [0b0111, 0b1011, 0b1101]);
        assert_eq!(words(8, 4), [0b0111, 0b1011, 0b1101, 0b1110]);
        assert_eq!(words(8, 5), [0b011111, 0b100111]);
    }
}
