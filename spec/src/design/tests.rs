//! Every design, at random: its places and points against plain enumeration.

use super::*;
use crate::condition::parse;
use crate::configuration::Configuration;
use crate::count::{Input, fits};
use crate::levels::Family;

/// Random numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn level(&mut self, factor: Factor) -> Level {
        match factor {
            Factor::ConvLayers => Level::Int(self.one(&[1, 2, 3, 6])),
            Factor::Filters => Level::Int(self.one(&[8, 16, 32])),
            Factor::KernelSize => Level::Int(self.one(&[1, 3, 5])),
            Factor::DenseLayers => Level::Int(self.one(&[0, 1, 2])),
            Factor::DenseUnits => Level::Int(self.one(&[16, 32])),
            Factor::BatchNorm | Factor::MaxPool => Level::Bool(self.below(2) == 1),
            Factor::Dropout => Level::Fraction(self.one(&[0.0, 0.2, 0.5])),
        }
    }

    fn configuration(&mut self) -> Configuration {
        let mut configuration = Family::Cnn.defaults();
        for factor in Factor::ALL {
            configuration.set(factor, self.level(factor)).unwrap();
        }
        configuration
    }

    fn dimensions(&mut self, steps: usize) -> Vec<Dimension> {
        let mut factors: Vec<Factor> = Factor::ALL.into_iter().filter(|_| self.below(2) == 0).take(5).collect();
        if factors.is_empty() {
            factors.push(Factor::Filters);
        }
        let mut dimensions = Vec::new();
        while !factors.is_empty() {
            let together = if factors.len() > 1 && self.below(3) == 0 { 2 } else { 1 };
            let group: Vec<Factor> = factors.drain(..together).collect();
            let steps = 1 + self.below(steps);
            let steps = (0..steps).map(|_| group.iter().map(|factor| self.level(*factor)).collect()).collect();
            dimensions.push(Dimension::zipped(group, steps));
        }
        dimensions
    }

    fn limited(&mut self, dimensions: &[Dimension]) -> Limited {
        let condition = |text: &str| parse(text, Family::Cnn).unwrap();
        let texts = [
            "max_pool",
            "batch_norm or conv_layers > 1",
            "filters <= 16 and not (dropout > 0.3)",
            "dense_layers > 0",
            "kernel_size in [3, 5] or filters < 32",
            "conv_layers < filters",
        ];
        let mut conditions = Vec::new();
        while self.below(2) == 0 {
            conditions.push(condition(self.one(&texts)));
        }
        let mut only_if = Vec::new();
        // In an order in which each looks only at what stands before it.
        for (factor, text) in [
            (Factor::BatchNorm, "conv_layers > 1"),
            (Factor::MaxPool, "conv_layers > 1 and batch_norm"),
            (Factor::DenseUnits, "dense_layers > 0"),
            (Factor::Dropout, "batch_norm == true and dense_layers > 0"),
        ] {
            let varied = dimensions.iter().any(|dimension| dimension.factors().contains(&factor));
            if varied && self.below(2) == 0 {
                only_if.push((factor, condition(text)));
            }
        }
        Limited { only_if, conditions }
    }

    fn design(&mut self, kind: Kind) -> Design {
        if kind == Kind::List {
            let entry = |random: &mut Self| {
                let factors: Vec<Factor> = Factor::ALL.into_iter().filter(|_| random.below(3) == 0).collect();
                Entry { name: None, levels: factors.into_iter().map(|factor| (factor, random.level(factor))).collect() }
            };
            let entries = (0..1 + self.below(6)).map(|_| entry(self)).collect();
            let design = Design::list(entries);
            let conditions = self.limited(&[]).conditions;
            return design.limited(Limited { conditions, ..Limited::default() });
        }
        let single = matches!(kind, Kind::LeaveOneOut | Kind::AddOneIn);
        let dimensions = self.dimensions(if single { 1 } else { 4 });
        let limited = if kind == Kind::Factorial { Limited::default() } else { self.limited(&dimensions) };
        Design::new(kind, dimensions).limited(limited)
    }
}

/// The points of every place, computed in another way: all combinations are written out, and those that are not of this
/// kind are removed.
fn by_hand(design: &Design, start: &Configuration) -> Vec<Configuration> {
    let mut raw: Vec<Configuration> = Vec::new();
    if design.kind() == Kind::List {
        for entry in design.entries() {
            let mut point = start.clone();
            entry.levels.iter().for_each(|&(factor, level)| point.set(factor, level).unwrap());
            raw.push(point);
        }
    } else {
        let most = match design.kind() {
            Kind::Vary | Kind::OneAtATime | Kind::LeaveOneOut | Kind::AddOneIn => 1,
            Kind::Pairwise => 2,
            Kind::Grid | Kind::Factorial | Kind::List => usize::MAX,
        };
        let least = if design.kind().begins_with_the_start() { 0 } else { most.min(design.dimensions().len()) };
        // Every choice of a step, or of none, for each dimension.
        let mut chosen: Vec<Vec<Option<usize>>> = vec![Vec::new()];
        for dimension in design.dimensions() {
            let steps = || (0..dimension.steps().len()).map(Some).chain([None]);
            chosen =
                chosen.iter().flat_map(|one| steps().map(move |step| [one.clone(), vec![step]].concat())).collect();
        }
        for choice in chosen {
            let moved = choice.iter().flatten().count();
            if (least..=most).contains(&moved) {
                let mut point = start.clone();
                for (dimension, step) in design.dimensions().iter().zip(&choice) {
                    step.iter().for_each(|&step| assert!(dimension.put(step as u64, &mut point)));
                }
                raw.push(point);
            }
        }
    }
    for point in &mut raw {
        for (factor, condition) in &design.limits().only_if {
            if !condition.holds(point) {
                point.set(*factor, start.level(*factor).unwrap()).unwrap();
            }
        }
    }
    raw.retain(|point| design.limits().conditions.iter().all(|condition| condition.holds(point)));
    raw
}

fn distinct(points: &[Configuration]) -> Vec<&Configuration> {
    let mut distinct: Vec<&Configuration> = Vec::new();
    for point in points {
        if !distinct.contains(&point) {
            distinct.push(point);
        }
    }
    distinct
}

fn check(design: &Design, start: &Configuration, context: &str) {
    let places: Vec<_> = (0..design.places()).map(|place| design.point(start, place)).collect();
    let points: Vec<Configuration> = places.iter().flatten().cloned().collect();
    let expected = by_hand(design, start);
    assert_eq!(points.len(), expected.len(), "{context}");
    for point in &expected {
        let count = |all: &[Configuration]| all.iter().filter(|other| *other == point).count();
        assert_eq!(count(&points), count(&expected), "{context}");
    }
    assert_eq!(design.count(start, &mut Look::default()), Ok(expected.len() as u64), "{context}");
    for point in &points {
        let first = places.iter().position(|other| other.as_ref() == Some(point)).map(|place| place as u64);
        assert_eq!(design.index_of(start, point), first, "{context}");
        assert!(design.allows(point), "{context}");
    }
    let merged: Vec<_> = (0..design.places())
        .filter_map(|place| design.point(start, place).filter(|point| design.index_of(start, point) == Some(place)))
        .collect();
    assert_eq!(merged.len(), distinct(&expected).len(), "{context}: no point twice after merging");
    assert!(design.may_repeat() || merged.len() == points.len(), "{context}");
    assert_eq!(design.point(start, design.places()), None, "{context}");
    assert_eq!(design.point(start, u64::MAX), None, "{context}");
    assert_eq!(design.tries_start(start), points.contains(start), "{context}");
}

#[test]
fn every_design_has_the_points_that_enumeration_finds() {
    for seed in 0..400 {
        for kind in Kind::ALL {
            let mut random = Random(seed);
            let start = random.configuration();
            let design = random.design(kind);
            let context = format!("seed {seed}: {}", design.description());
            check(&design, &start, &context);
            // What is no point has no place.
            let points = by_hand(&design, &start);
            for _ in 0..20 {
                let other = random.configuration();
                assert_eq!(design.index_of(&start, &other).is_some(), points.contains(&other), "{context}");
            }
            assert_eq!(design.index_of(&start, &Family::Vgg19.defaults()), None, "{context}");
        }
    }
}

#[test]
fn impossible_networks_are_found_at_their_places() {
    let input = Input { image_size: 32, channels: 3, classes: 8 };
    let mut found = 0;
    for seed in 0..300 {
        for kind in Kind::ALL {
            let mut random = Random(seed);
            let start = random.configuration();
            let design = random.design(kind);
            let expected = by_hand(&design, &start).iter().any(|point| fits(point, input).is_err());
            let unbuildable = design.unbuildable(&start, input, &mut Look::default()).unwrap();
            assert_eq!(unbuildable.is_some(), expected, "seed {seed}: {}", design.description());
            if let Some(point) = unbuildable {
                found += 1;
                assert!(fits(&point, input).is_err() && design.index_of(&start, &point).is_some(), "seed {seed}");
            }
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn leaving_one_out_changes_exactly_one_component_and_adding_one_in_too() {
    for seed in 0..200 {
        for kind in [Kind::LeaveOneOut, Kind::AddOneIn] {
            let mut random = Random(seed);
            let mut start = random.configuration();
            let dimensions = random.dimensions(1);
            // A checked spec's start has none of the levels that are taken.
            for factor in dimensions.iter().flat_map(|dimension| dimension.factors().to_vec()) {
                while dimensions.iter().any(|dimension| {
                    dimension
                        .factors()
                        .iter()
                        .zip(&dimension.steps()[0])
                        .any(|one| one.0 == &factor && start.level(factor) == Some(*one.1))
                }) {
                    start.set(factor, random.level(factor)).unwrap();
                }
            }
            let design = Design::new(kind, dimensions.clone());
            assert_eq!(design.places(), 1 + dimensions.len() as u64);
            assert_eq!(design.point(&start, 0).as_ref(), Some(&start));
            for (place, dimension) in (1..).zip(&dimensions) {
                let point = design.point(&start, place).unwrap();
                let changed: Vec<Factor> = point.difference(&start).levels.iter().map(|(factor, _)| *factor).collect();
                assert_eq!(changed, dimension.factors(), "seed {seed}");
            }
        }
    }
}

#[test]
fn counts_are_those_of_the_textbook() {
    let dimension = |factor, levels: &[u64]| {
        Dimension::single(factor, &levels.iter().map(|&level| Level::Int(level)).collect::<Vec<_>>())
    };
    let dimensions = || {
        vec![
            dimension(Factor::ConvLayers, &[2, 3]),
            dimension(Factor::Filters, &[8, 16, 32]),
            dimension(Factor::DenseUnits, &[16, 32, 64, 128]),
        ]
    };
    let places = |kind| Design::new(kind, dimensions()).places();
    assert_eq!(places(Kind::Vary), 2 + 3 + 4);
    assert_eq!(places(Kind::OneAtATime), 1 + 2 + 3 + 4);
    assert_eq!(places(Kind::Grid), 2 * 3 * 4);
    assert_eq!(places(Kind::Factorial), 2 * 3 * 4);
    assert_eq!(places(Kind::Pairwise), 1 + (2 + 3 + 4) + (2 * 3 + 2 * 4 + 3 * 4));
}

fn two_levels(factors: usize) -> Vec<Dimension> {
    let all = Factor::ALL.into_iter().take(factors);
    let levels = |factor: Factor| match factor {
        Factor::BatchNorm | Factor::MaxPool => [Level::Bool(false), Level::Bool(true)],
        Factor::Dropout => [Level::Fraction(0.0), Level::Fraction(0.2)],
        _ => [Level::Int(3), Level::Int(5)],
    };
    all.map(|factor| Dimension::single(factor, &levels(factor))).collect()
}

/// Computes the contrast columns from the points, and compares points, resolution and aliases.
#[test]
fn the_points_of_a_fraction_have_its_stated_aliases() {
    for (factors, resolution) in [(3, 3), (4, 4), (5, 3), (5, 5), (6, 3), (6, 4), (7, 3), (8, 4), (8, 5)] {
        let fraction = Fraction::of_resolution(factors, resolution).unwrap();
        let stated = fraction.resolution();
        let design = Design::new(Kind::Factorial, two_levels(factors)).fractional(fraction.clone());
        let start = Family::Cnn.defaults();
        let points: Vec<_> = (0..design.places()).map(|place| design.point(&start, place).unwrap()).collect();
        assert_eq!(distinct(&points).len() as u64, design.places());
        for (place, point) in (0..).zip(&points) {
            assert_eq!(design.index_of(&start, point), Some(place));
        }
        let sign = |point: &Configuration, dimension: &Dimension| {
            if point.level(dimension.factors()[0]) == Some(dimension.steps()[1][0]) { 1 } else { -1 }
        };
        let column = |word: Word| -> Vec<i32> {
            let members = || design.dimensions().iter().enumerate().filter(move |(place, _)| word >> place & 1 == 1);
            points.iter().map(|point| members().map(|(_, dimension)| sign(point, dimension)).product()).collect()
        };
        let along = |a: Word, b: Word| -> i32 { column(a).iter().zip(column(b)).map(|(a, b)| a * b).sum() };
        let always_same = |word: &Word| along(*word, 0).unsigned_abs() as usize == points.len();
        let shortest = (1..1u32 << factors).filter(always_same).map(Word::count_ones).min();
        assert_eq!(shortest, Some(stated), "{}", design.description());
        for effect in (0..factors).map(|factor| 1 << factor) {
            for (alias, negative) in fraction.aliases(effect) {
                let expected = points.len() as i32 * if negative { -1 } else { 1 };
                assert_eq!(along(effect, alias), expected, "{}", design.description());
            }
        }
        // What is no point of the fraction is told from one.
        let whole = Design::new(Kind::Factorial, two_levels(factors));
        let inside = (0..whole.places()).filter(|place| {
            let point = whole.point(&start, *place).unwrap();
            design.index_of(&start, &point).is_some()
        });
        assert_eq!(inside.count() as u64, design.places());
    }
}

#[test]
fn aliases_have_the_names_of_factors() {
    let dimensions = two_levels(8).split_off(5);
    let design = Design::new(Kind::Factorial, dimensions).fractional(Fraction::of_resolution(3, 3).unwrap());
    let texts = |aliases: Vec<Alias>| aliases.iter().map(Alias::to_string).collect::<Vec<_>>();
    assert_eq!(design.generators(), ["dropout = batch_norm * max_pool"]);
    assert_eq!(texts(design.defining_relation()), ["batch_norm*max_pool*dropout"]);
    assert_eq!(texts(design.aliases_of(&["dropout"])), ["batch_norm*max_pool"]);
    assert_eq!(texts(design.aliases_of(&["batch_norm", "dropout"])), ["max_pool"]);
    assert!(design.aliases_of(&["nothing"]).is_empty());
    let structure: Vec<String> = design
        .alias_structure(2)
        .iter()
        .map(|one| format!("{} = {}", one.effect, texts(one.with.clone()).join(" = ")))
        .collect();
    let expected = ["batch_norm = max_pool*dropout", "max_pool = batch_norm*dropout", "dropout = batch_norm*max_pool"];
    assert_eq!(structure, expected);
    assert_eq!(
        design.description(),
        "1/2 of a factorial, resolution III: batch_norm false, true; max_pool false, true; dropout 0, 0.2"
    );
    let whole = Design::new(Kind::Factorial, two_levels(3));
    assert!(whole.alias_structure(2).is_empty() && whole.defining_relation().is_empty());
}

#[test]
fn a_condition_on_a_large_grid_costs_what_its_factors_cost() {
    let whole = |factor, most: u64| {
        let levels: Vec<Level> = (1..=most).map(Level::Int).collect();
        Dimension::single(factor, &levels)
    };
    let dimensions =
        vec![whole(Factor::ConvLayers, 64), whole(Factor::Filters, 8000), whole(Factor::DenseUnits, 60_000)];
    let told = Design::new(Kind::Vary, dimensions[..2].to_vec()).description();
    assert_eq!(
        told,
        "vary conv_layers 1, 2, 3, 4, 5, 6, 7, 8, ... (64 levels); filters 1, 2, 3, 4, 5, 6, 7, 8, ... (8000 levels)"
    );
    let condition = parse("conv_layers > 32", Family::Cnn).unwrap();
    let limited = Limited { conditions: vec![condition], ..Limited::default() };
    let design = Design::new(Kind::Grid, dimensions.clone()).limited(limited);
    let start = Family::Cnn.defaults();
    assert_eq!(design.count(&start, &mut Look::default()), Ok(32 * 8000 * 60_000));
    let condition = parse("filters < dense_units", Family::Cnn).unwrap();
    let limited = Limited { conditions: vec![condition], ..Limited::default() };
    let design = Design::new(Kind::Grid, dimensions).limited(limited);
    assert_eq!(design.count(&start, &mut Look::default()), Err(TooMany { combinations: 8000 * 60_000 }));
}
