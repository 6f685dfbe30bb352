//! One table for each factor of each stage, in the form of the reference study, with difference, interval and verdict.
//! Which factors a stage varies is read off its configurations, whatever its design.

use std::collections::BTreeSet;

use sweep_analysis::study::{Group, GroupKind, Subject};
use sweep_spec::levels::Factor;
use sweep_spec::spec::Metric;

use super::leaderboard::short;
use super::{Cell, Row, Table, Tone, judged, judged_columns, judged_note, name, number};
use crate::view::View;
use crate::words::number::{self as numbers, ABSENT, Unit};

/// The tables of all stages, and of what stands beside them.
pub(crate) fn tables(view: &View<'_>) -> Vec<Table> {
    let groups = view.study.groups.iter().enumerate();
    let shown = groups.filter(|(_, group)| matches!(group.kind, GroupKind::Stage(_) | GroupKind::Extra));
    let mut tables: Vec<Table> = shown.flat_map(|(index, group)| of_group(view, index, group)).collect();
    if let Some(last) = tables.last_mut() {
        last.notes.push(judged_note(view));
    }
    tables
}

fn of_group(view: &View<'_>, index: usize, group: &Group) -> Vec<Table> {
    let members: Vec<&Subject> = view.study.subjects.iter().filter(|subject| subject.groups.contains(&index)).collect();
    if members.is_empty() {
        return Vec::new();
    }
    let start = group.start.and_then(|position| view.subject(position));
    let factors = varied(&members, start);
    let level = |subject: &Subject, factor: Factor| subject.configuration.level(factor);
    // Without a trained starting point, the factors of a stage that varies one at a time cannot be told apart.
    let lone = |subject: &Subject| {
        let Some(start) = start else { return None };
        let mut differing = factors.iter().filter(|factor| level(subject, **factor) != level(start, **factor));
        match (differing.next(), differing.next()) {
            (first, None) => Some(first.copied()),
            _ => None,
        }
    };
    let alone: Option<Vec<Option<Factor>>> = members.iter().map(|subject| lone(subject)).collect();
    let by_factor = |factor: Factor| {
        let chosen = members.iter().zip(alone.iter().flatten());
        let chosen = chosen.filter(|(_, varied)| varied.is_none_or(|varied| varied == factor));
        chosen.map(|(subject, _)| *subject).collect::<Vec<_>>()
    };
    let worth_it =
        |factor: &Factor| by_factor(*factor).iter().filter(|subject| Some(subject.position) != group.start).count() > 1;
    let title =
        if matches!(group.kind, GroupKind::Extra) { "Beside the stages".to_owned() } else { group.name.clone() };
    if alone.is_some() && (factors.len() == 1 || factors.iter().any(worth_it)) {
        let table = |factor: &Factor| {
            let title = if title == factor.name() { title.clone() } else { format!("{title}: {factor}") };
            table(view, index, group, &by_factor(*factor), &[*factor], title)
        };
        return factors.iter().map(table).collect();
    }
    vec![table(view, index, group, &members, &factors, title)]
}

/// The factors in which the members, and what they started from, are not all alike.
fn varied(members: &[&Subject], start: Option<&Subject>) -> Vec<Factor> {
    let all: Vec<&Subject> = members.iter().copied().chain(start).collect();
    let levels = |factor: Factor| {
        let levels = all.iter().map(|subject| format!("{:?}", subject.configuration.level(factor)));
        levels.collect::<BTreeSet<_>>()
    };
    Factor::ALL.into_iter().filter(|factor| levels(*factor).len() > 1).collect()
}

fn table(
    view: &View<'_>,
    index: usize,
    group: &Group,
    members: &[&Subject],
    factors: &[Factor],
    title: String,
) -> Table {
    let metric = view.analysis.metric;
    let shown: Vec<Metric> = [Metric::TrainAccuracy, Metric::ValAccuracy]
        .into_iter()
        .chain((!matches!(metric, Metric::TrainAccuracy | Metric::ValAccuracy | Metric::Ratio)).then_some(metric))
        .collect();
    let mut columns = match factors {
        [factor] => vec![name(factor.name())],
        _ => vec![name("Configuration")],
    };
    columns.extend(shown.iter().map(|metric| number(short(*metric))));
    columns.extend([number("Parameters"), number("Ratio").wide()]);
    columns.extend(judged_columns());
    let mut table = Table::new(title, columns);
    for subject in members {
        let mut cells: Vec<Cell> = vec![row_name(view, group, subject, factors).into()];
        cells.extend(shown.iter().map(|metric| {
            let estimate = view.estimate(subject, *metric);
            let text = match *metric == view.analysis.metric {
                true => Unit::of(*metric).estimate(estimate),
                false => Unit::of(*metric).maybe(estimate.map(|estimate| estimate.mean)),
            };
            Cell::from(text)
        }));
        cells.push(numbers::count(subject.params).into());
        let ratio = view.estimate(subject, Metric::Ratio).map(|estimate| estimate.mean);
        cells.push(Unit::Small.maybe(ratio).into());
        let reference = Some(subject.position) == group.start;
        match view.comparison(index, subject.position) {
            Some(comparison) => cells.extend(judged(view, comparison)),
            None => {
                let word = if reference { "starting point" } else { ABSENT };
                let quiet = |text: &str| Cell { text: text.to_owned(), tone: Tone::Quiet };
                cells.extend([quiet(ABSENT), quiet(ABSENT), quiet(ABSENT), quiet(word)]);
            }
        }
        table.rows.push(Row { cells, reference });
    }
    if !group.start_label.is_empty() {
        table.notes.push(format!("Measured against {}.", group.start_label));
    }
    table
}

fn row_name(view: &View<'_>, group: &Group, subject: &Subject, factors: &[Factor]) -> String {
    if !subject.name.is_empty() {
        return subject.name.clone();
    }
    if let [factor] = factors {
        return subject
            .configuration
            .level(*factor)
            .map_or_else(|| view.name(subject.position), |level| level.to_string());
    }
    match group.start.and_then(|position| view.subject(position)) {
        Some(start) if start.position == subject.position => group.start_label.clone(),
        Some(start) => subject.configuration.difference(&start.configuration).to_string(),
        None => view.name(subject.position),
    }
}
