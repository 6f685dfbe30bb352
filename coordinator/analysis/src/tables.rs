//! A study as its authors print it: one table for each factor, its levels one below the other. A group in which
//! configurations differ from its starting point in several factors at once is one table of combinations.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;
use sweep_spec::levels::{Factor, Level};
use sweep_spec::plan::Winner;
use sweep_spec::{Configuration, Plan};

use crate::study::{Group, GroupKind, Study, Subject};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The group, by index.
    pub group: usize,
    /// The factors that vary in it, one in a table of levels; none in a table that compares families of networks.
    pub factors: Vec<Factor>,
    /// Its rows: levels from low to high, combinations in the order of the plan.
    pub rows: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The level, or the levels that differ from the starting point.
    pub level: String,
    pub position: u32,
    pub start: bool,
}

/// The tables of a study, in the order of its groups and of the family's factors.
pub fn tables(study: &Study) -> Vec<Table> {
    let groups = study.groups.iter().enumerate();
    groups.flat_map(|(index, group)| of_group(study, index, group)).collect()
}

/// Levels of one factor in their natural order: off before on, less before more.
pub fn by_level(one: &Level, other: &Level) -> Ordering {
    match (one, other) {
        (Level::Bool(one), Level::Bool(other)) => one.cmp(other),
        (Level::Int(one), Level::Int(other)) => one.cmp(other),
        _ => number(one).total_cmp(&number(other)),
    }
}

fn number(level: &Level) -> f64 {
    match level {
        Level::Bool(value) => f64::from(u8::from(*value)),
        Level::Int(value) => *value as f64,
        Level::Fraction(value) => *value,
    }
}

fn of_group(study: &Study, index: usize, group: &Group) -> Vec<Table> {
    if matches!(group.kind, GroupKind::Noise | GroupKind::MoreSeeds) {
        return Vec::new();
    }
    let start_subject = group.start.and_then(|start| study.subject(start));
    let mut members: Vec<&Subject> = study.subjects.iter().filter(|subject| subject.groups.contains(&index)).collect();
    if members.is_empty() {
        return Vec::new();
    }
    if let Some(start) = start_subject.filter(|start| !members.iter().any(|member| member.position == start.position)) {
        members.insert(0, start);
    }
    let Some(start) = start_subject.map(|start| start.configuration.clone()).or_else(|| start(study, group)) else {
        return vec![combinations(index, &members, &study.spec.baseline, Vec::new())];
    };
    let mut by_factor: BTreeMap<Factor, Vec<(Level, &Subject)>> = BTreeMap::new();
    let mut mixed = false;
    for member in &members {
        let difference = member.configuration.difference(&start);
        match (difference.family, difference.levels.as_slice()) {
            (None, []) => {}
            (None, [(factor, level)]) => by_factor.entry(*factor).or_default().push((*level, member)),
            _ => mixed = true,
        }
    }
    if mixed || by_factor.is_empty() {
        let factors = Factor::ALL.into_iter().filter(|factor| varies(*factor, &members)).collect();
        return vec![combinations(index, &members, &start, factors)];
    }
    let tables = by_factor.into_iter().map(|(factor, mut levels)| {
        if let Some((level, subject)) = start.level(factor).zip(start_subject) {
            levels.push((level, subject));
        }
        levels.sort_by(|one, other| by_level(&one.0, &other.0));
        let is_start = |subject: &Subject| group.start == Some(subject.position);
        let entry = |(level, subject): (Level, &Subject)| Entry {
            level: level.to_string(),
            position: subject.position,
            start: is_start(subject),
        };
        Table { group: index, factors: vec![factor], rows: levels.into_iter().map(entry).collect() }
    });
    tables.collect()
}

fn combinations(index: usize, members: &[&Subject], start: &Configuration, factors: Vec<Factor>) -> Table {
    let entry = |subject: &&Subject| {
        let is_start = subject.configuration == *start;
        let level = match (subject.name.is_empty(), is_start) {
            (false, _) => subject.name.clone(),
            (true, true) => "starting point".to_owned(),
            (true, false) => subject.configuration.difference(start).to_string(),
        };
        Entry { level, position: subject.position, start: is_start }
    };
    Table { group: index, factors, rows: members.iter().map(entry).collect() }
}

fn varies(factor: Factor, members: &[&Subject]) -> bool {
    let mut levels = members.iter().filter_map(|member| member.configuration.level(factor));
    let first = levels.next();
    levels.any(|level| Some(level) != first)
}

/// The starting point of a group whose starting point was not trained.
fn start(study: &Study, group: &Group) -> Option<Configuration> {
    let GroupKind::Stage(stage) = group.kind else { return Some(study.spec.baseline.clone()) };
    let winner = |group: &Group| {
        let (GroupKind::Stage(stage), winner) = (group.kind, group.winner?) else { return None };
        Some(Winner { stage, configuration: study.subject(winner)?.configuration.clone() })
    };
    let winners: Vec<Winner> = study.groups.iter().filter_map(winner).collect();
    Plan::new(&study.spec).released(&winners).start(stage).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{group, replicates, spec, study, subject};

    fn made(position: u32, levels: &[(Factor, Level)]) -> Subject {
        let mut made = subject(position, 1, replicates(&[0.5]));
        levels.iter().for_each(|(factor, level)| made.configuration.set(*factor, *level).unwrap());
        made
    }

    fn rows(table: &Table) -> Vec<(&str, u32, bool)> {
        table.rows.iter().map(|row| (row.level.as_str(), row.position, row.start)).collect()
    }

    #[test]
    fn each_factor_has_a_table_of_its_levels_with_the_starting_point_in_its_place() {
        let filters = |count: u64| (Factor::Filters, Level::Int(count));
        let subjects = vec![
            made(0, &[]),
            made(1, &[filters(256)]),
            made(2, &[filters(8)]),
            made(3, &[(Factor::Dropout, Level::Fraction(0.5))]),
        ];
        let found = tables(&study(spec(""), subjects));
        let factors: Vec<_> = found.iter().map(|table| table.factors.as_slice()).collect();
        assert_eq!(factors, [[Factor::Filters], [Factor::Dropout]]);
        assert_eq!(rows(&found[0]), [("8", 2, false), ("64", 0, true), ("256", 1, false)]);
        assert_eq!(rows(&found[1]), [("0", 0, true), ("0.5", 3, false)]);
    }

    #[test]
    fn combinations_stand_in_one_table() {
        let norm = (Factor::BatchNorm, Level::Bool(true));
        let pool = (Factor::MaxPool, Level::Bool(true));
        let subjects = vec![made(0, &[]), made(1, &[pool]), made(2, &[norm]), made(3, &[norm, pool])];
        let found = tables(&study(spec(""), subjects));
        assert_eq!((found.len(), found[0].factors.as_slice()), (1, &[Factor::BatchNorm, Factor::MaxPool][..]));
        let levels: Vec<&str> = found[0].rows.iter().map(|row| row.level.as_str()).collect();
        assert_eq!(levels, ["starting point", "max_pool=true", "batch_norm=true", "batch_norm=true max_pool=true"]);
    }

    #[test]
    fn a_starting_point_that_was_not_trained_follows_from_the_plan() {
        let stages = "stages: [{ name: more, set: { filters: 8 }, vary: { dropout: [0.2, 0.5] } }]";
        let at = |position: u32, share: f64| {
            made(position, &[(Factor::Filters, Level::Int(8)), (Factor::Dropout, Level::Fraction(share))])
        };
        let mut study = study(spec(stages), vec![at(0, 0.2), at(1, 0.5)]);
        study.groups[0].start = None;
        let found = tables(&study);
        assert_eq!(found[0].factors, [Factor::Dropout]);
        assert_eq!(rows(&found[0]), [("0.2", 0, false), ("0.5", 1, false)]);
    }

    #[test]
    fn noise_and_more_seeds_have_no_table() {
        let mut study = study(spec(""), vec![made(0, &[]), made(1, &[(Factor::Filters, Level::Int(8))])]);
        for kind in [GroupKind::Noise, GroupKind::MoreSeeds] {
            study.groups.push(Group { kind, ..group(0, "beside", 0) });
        }
        study.subjects[0].groups = vec![0, 1, 2];
        assert_eq!(tables(&study).len(), 1);
    }
}
