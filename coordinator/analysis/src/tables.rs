//! A study as its authors print it: one table for each factor, its levels one below the other. A group in which
//! configurations differ from its starting point in several factors at once is one table of combinations.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;
use sweep_spec::levels::{Factor, Level};
use sweep_spec::plan::Winner;
use sweep_spec::{Configuration, Plan};

use crate::study::{Group, GroupKind, Study, Subject};

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The group, by index.
    pub group: usize,
    /// The factors that vary in it, one in a table of levels; none where networks of other families stand side by side.
    pub factors: Vec<Factor>,
    /// Its rows: levels from low to high, combinations in the order of the plan.
    pub rows: Vec<Entry>,
}

/// One row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The level, or the levels that differ from the starting point.
    pub level: String,
    /// The configuration.
    pub position: u32,
    /// It is the group's starting point.
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
        (Level::Switch(one), Level::Switch(other)) => one.cmp(other),
        (Level::Whole(one), Level::Whole(other)) => one.cmp(other),
        _ => number(one).total_cmp(&number(other)),
    }
}

fn number(level: &Level) -> f64 {
    match level {
        Level::Switch(value) => f64::from(u8::from(*value)),
        Level::Whole(value) => *value as f64,
        Level::Share(value) => *value,
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

/// Where a group starts, of which the starting point was not trained.
fn start(study: &Study, group: &Group) -> Option<Configuration> {
    let GroupKind::Stage(stage) = group.kind else { return Some(study.spec.baseline.clone()) };
    let winner = |group: &Group| {
        let (GroupKind::Stage(stage), winner) = (group.kind, group.winner?) else { return None };
        Some(Winner { stage, configuration: study.subject(winner)?.configuration.clone() })
    };
    let winners: Vec<Winner> = study.groups.iter().filter_map(winner).collect();
    Plan::new(&study.spec).released(&winners).start(stage).cloned()
}
