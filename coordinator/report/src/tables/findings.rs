//! Tables of further results: comparisons that are not significant, single classes and images, effects, the path of
//! winners, and excluded configurations.

use sweep_analysis::result::{Comparison, Verdict};
use sweep_analysis::study::GroupKind;

use super::{Cell, Row, Table, judged, judged_columns, judged_note, name, number, text};
use crate::view::View;
use crate::words::number::{self as numbers, ABSENT, Unit};

fn row(cells: Vec<Cell>) -> Row {
    Row { cells, reference: false }
}

fn filled(table: Table) -> Option<Table> {
    (!table.rows.is_empty()).then_some(table)
}

/// Comparisons that showed no difference, or that could not be decided.
pub(crate) fn undecided(view: &View<'_>) -> Option<Table> {
    let mut columns = vec![name("Change"), text("Where")];
    columns.extend(judged_columns());
    columns.extend([text("More seeds"), text("Remark")]);
    let mut table = Table::new("Comparisons without a difference shown", columns);
    for comparison in &view.analysis.comparisons {
        if matches!(comparison.verdict, Verdict::Helps | Verdict::Hurts) {
            continue;
        }
        let mut cells: Vec<Cell> = vec![view.change(comparison).into(), view.place(comparison).into()];
        cells.extend(judged(view, comparison));
        let more = comparison.more_seeds.map_or_else(|| ABSENT.to_owned(), |seeds| format!("about {seeds}"));
        cells.extend([more.into(), comparison.remark.as_str().into()]);
        table.rows.push(row(cells));
    }
    table.notes.push(
        "More seeds: about how many more seeds would probably make the observed difference significant. A verdict of \
         no difference shown is not evidence that there is no difference."
            .to_owned(),
    );
    filled(without_empty_column(table))
}

/// Removes the column of remarks if it is empty.
fn without_empty_column(mut table: Table) -> Table {
    if table.rows.iter().all(|row| row.cells.last().is_some_and(|cell| cell.text.is_empty())) {
        table.columns.pop();
        table.rows.iter_mut().for_each(|row| drop(row.cells.pop()));
    }
    table
}

/// Every comparison with the sweep's baseline, if the request asked for these.
pub(crate) fn against_baseline(view: &View<'_>) -> Option<Table> {
    let mut columns = vec![name("Configuration")];
    columns.extend(judged_columns());
    let mut table = Table::new("Against the sweep's baseline", columns);
    for comparison in &view.analysis.against_baseline {
        let mut cells: Vec<Cell> = vec![view.name(comparison.position).into()];
        cells.extend(judged(view, comparison));
        table.rows.push(row(cells));
    }
    table.notes.push(format!(
        "These comparisons are a family of their own. {}",
        judged_note(view, &view.analysis.against_baseline)
    ));
    filled(table)
}

/// Classes that a change helps or hurts.
pub(crate) fn classes(view: &View<'_>) -> Option<Table> {
    let columns = vec![name("Change"), text("Where"), text("Classes that it helps"), text("Classes that it hurts")];
    let mut table = Table::new("Classes that a change helps or hurts", columns);
    for comparison in &view.analysis.comparisons {
        let with = |verdict: Verdict| {
            let classes = comparison.classes.iter().filter(|class| class.verdict == verdict);
            let told = classes.map(|class| {
                let name = view.study.classes.get(class.class).map_or_else(|| class.class.to_string(), Clone::clone);
                format!("{name} {}", Unit::Share.delta(class.delta))
            });
            told.collect::<Vec<_>>().join(", ")
        };
        let (helped, hurt) = (with(Verdict::Helps), with(Verdict::Hurts));
        if !helped.is_empty() || !hurt.is_empty() {
            table.rows.push(row(vec![
                view.change(comparison).into(),
                view.place(comparison).into(),
                helped.into(),
                hurt.into(),
            ]));
        }
    }
    table.notes.push(
        "Numbers are mean differences in recall over the seeds. The sign-flip test of each class is corrected by Holm \
         over the classes of one comparison, at 5 %."
            .to_owned(),
    );
    filled(table)
}

/// McNemar's test, if there is one pair of networks.
pub(crate) fn single_pairs(view: &View<'_>) -> Option<Table> {
    let columns = vec![
        name("Change"),
        text("Where"),
        number("Seed"),
        number("Images gained"),
        number("Images lost"),
        number("p"),
    ];
    let mut table = Table::new("One pair of networks, image by image", columns);
    for comparison in &view.analysis.comparisons {
        let Some(images) = &comparison.images else { continue };
        table.rows.push(row(vec![
            view.change(comparison).into(),
            view.place(comparison).into(),
            images.seed.to_string().into(),
            numbers::count(images.gained).into(),
            numbers::count(images.lost).into(),
            numbers::p(Some(images.p)).into(),
        ]));
    }
    table.notes.push(
        "McNemar's exact test over the same images. It compares one pair of trained networks, not the change itself; \
         another seed may give another result."
            .to_owned(),
    );
    filled(table)
}

/// Main effects and interactions of the factorial stages.
pub(crate) fn effects(view: &View<'_>) -> Vec<Table> {
    let stages = view.analysis.stages.iter().filter(|stage| !stage.effects.is_empty());
    let tables = stages.map(|stage| {
        let title = view.study.groups.get(stage.group).map_or("Effects", |group| group.name.as_str());
        let columns = vec![
            name("Effect"),
            number("Size"),
            number("95 % interval"),
            number("Share of variance"),
            text("Aliased with"),
        ];
        let mut table = Table::new(format!("Effects: {title}"), columns);
        for effect in &stage.effects {
            let product = |factors: &Vec<String>| factors.join(" × ");
            table.rows.push(row(vec![
                product(&effect.factors).into(),
                effect.size.map_or_else(|| ABSENT.to_owned(), |size| view.unit.delta(size)).into(),
                view.unit.interval(effect.interval).into(),
                numbers::percent(effect.variance_share).into(),
                effect.aliases.iter().map(product).collect::<Vec<_>>().join(", ").into(),
            ]));
        }
        table.notes.push(
            "A main effect of a factor with two levels is the mean at the high level minus the mean at the low level; \
             an interaction is half the difference of differences. Intervals are Student's t over seeds. Shares are \
             of the variance between configurations."
                .to_owned(),
        );
        without_empty_column(table)
    });
    tables.collect()
}

/// For each stage: its starting point, its choice and its gain.
pub(crate) fn path(view: &View<'_>) -> Option<Table> {
    let columns = vec![name("Stage"), text("Started from"), text("Winner"), number("Gain")];
    let mut table = Table::new("The path", columns);
    for stage in &view.analysis.stages {
        let Some(group) = view.study.groups.get(stage.group) else { continue };
        let Some(winner) = stage.winner.or(group.winner) else { continue };
        if !matches!(group.kind, GroupKind::Stage(_)) {
            continue;
        }
        table.rows.push(row(vec![
            group.name.as_str().into(),
            group.start_label.as_str().into(),
            view.name(winner).into(),
            stage.gain.map_or_else(|| ABSENT.to_owned(), |gain| view.unit.delta(gain)).into(),
        ]));
    }
    table.notes.push(
        "A gain is measured on the replicates that selected the winner, so it overestimates the gain on fresh seeds."
            .to_owned(),
    );
    filled(table)
}

/// Excluded configurations and trials, with the reason.
pub(crate) fn excluded(view: &View<'_>) -> Option<Table> {
    let mut table = Table::new("Excluded", vec![name("Configuration"), text("Seed"), text("Why")]);
    for exclusion in &view.analysis.excluded {
        let seed = exclusion.seed.map_or_else(|| "all".to_owned(), |seed| seed.to_string());
        table.rows.push(row(vec![view.name(exclusion.position).into(), seed.into(), exclusion.reason.as_str().into()]));
    }
    filled(table)
}

/// The comparisons of the chart: those with a difference, in the order of the plan.
pub(crate) fn drawn<'a>(view: &View<'a>) -> Vec<&'a Comparison> {
    view.analysis.comparisons.iter().filter(|comparison| comparison.delta.is_some_and(f64::is_finite)).collect()
}
