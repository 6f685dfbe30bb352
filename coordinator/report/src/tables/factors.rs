//! One table for each factor of each stage, in the form of the reference study, with difference, interval and verdict.
//! The factors of a stage follow from its configurations, for any design.

use sweep_analysis::study::{Group, GroupKind};
use sweep_analysis::tables;
use sweep_spec::spec::Metric;

use super::leaderboard::short;
use super::{Cell, Row, Table, Tone, judged, judged_columns, judged_note, name, number};
use crate::view::View;
use crate::words::number::{self as numbers, ABSENT, Unit};

/// The tables of all stages and of the extra configurations.
pub(crate) fn tables(view: &View<'_>) -> Vec<Table> {
    let found = tables::tables(view.study);
    let shown = found.iter().filter_map(|found| Some((found, view.study.groups.get(found.group)?)));
    let mut tables: Vec<Table> = shown.map(|(found, group)| table(view, found, group)).collect();
    if let Some(last) = tables.last_mut() {
        last.notes.push(judged_note(view, &view.analysis.comparisons));
    }
    tables
}

/// `width: filters`, or only the name of the stage if it has one table.
fn title(found: &tables::Table, group: &Group) -> String {
    let name = if group.kind == GroupKind::Extra { "Outside the stages" } else { group.name.as_str() };
    match found.factors.as_slice() {
        [factor] if factor.name() != name && group.kind != GroupKind::Extra => format!("{name}: {factor}"),
        _ => name.to_owned(),
    }
}

fn table(view: &View<'_>, found: &tables::Table, group: &Group) -> Table {
    let metric = view.analysis.metric;
    let shown: Vec<Metric> = [Metric::TrainAccuracy, Metric::ValAccuracy]
        .into_iter()
        .chain((!matches!(metric, Metric::TrainAccuracy | Metric::ValAccuracy | Metric::Ratio)).then_some(metric))
        .collect();
    let mut columns = match found.factors.as_slice() {
        [factor] if group.kind != GroupKind::Extra => vec![name(factor.name())],
        _ => vec![name("Configuration")],
    };
    columns.extend(shown.iter().map(|metric| number(short(*metric))));
    columns.extend([number("Parameters"), number("Ratio").wide()]);
    columns.extend(judged_columns());
    let mut table = Table::new(title(found, group), columns);
    for entry in &found.rows {
        let Some(subject) = view.subject(entry.position) else { continue };
        let mut cells: Vec<Cell> = vec![entry.level.as_str().into()];
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
        match view.comparison(found.group, subject.position) {
            Some(comparison) => cells.extend(judged(view, comparison)),
            None => {
                let word = if entry.start { "starting point" } else { ABSENT };
                let quiet = |text: &str| Cell { text: text.to_owned(), tone: Tone::Quiet };
                cells.extend([quiet(ABSENT), quiet(ABSENT), quiet(ABSENT), quiet(word)]);
            }
        }
        table.rows.push(Row { cells, reference: entry.start });
    }
    if !group.start_label.is_empty() {
        table.notes.push(format!("Compared with {}.", group.start_label));
    }
    table
}
