//! Findings about stages: the path of a staged study, and the effects of factorial designs.

use sweep_spec::design::{Design, Kind};
use sweep_spec::levels::{Factor, Level};

use super::bounds;
use super::context::{Context, Series};
use super::pairing;
use crate::result::{Effect, StageFinding};
use crate::statistics::factorial::{Cell, factorial};
use crate::study::{Group, GroupKind};
use crate::tables::by_level;

pub(super) fn stages(context: &Context<'_>, notes: &mut Vec<String>) -> Vec<StageFinding> {
    let mut findings = Vec::new();
    for (index, group) in context.study.groups.iter().enumerate() {
        let GroupKind::Stage(stage) = group.kind else { continue };
        let start = group.start.filter(|start| context.series(*start).is_some());
        let is_factorial = context.study.spec.stages.get(stage).is_some_and(|stage| is_factorial(&stage.design));
        let effects = if is_factorial { effects(context, index, group, notes) } else { Vec::new() };
        findings.push(StageFinding { group: index, start, winner: group.winner, gain: gain(context, group), effects });
    }
    findings
}

/// Whether factors of the design are crossed, so that it has interactions of two factors. Conditions may leave cells
/// empty: then the design is not balanced, and a note reports it.
fn is_factorial(design: &Design) -> bool {
    matches!(design.kind(), Kind::Grid | Kind::Factorial | Kind::Pairwise) && design.axes().len() > 1
}

/// The winner's mean advantage over the starting point, under the seeds that both have. These include the seeds that
/// chose the winner.
fn gain(context: &Context<'_>, group: &Group) -> Option<f64> {
    let (start, winner) = (group.start?, group.winner?);
    if start == winner {
        return Some(0.0);
    }
    let (one, other) = (context.series(winner)?, context.series(start)?);
    if pairing::unequal(one, other).is_some() {
        return None;
    }
    let find = |seed: u64| other.values.iter().find(|(of, ..)| *of == seed);
    let gains = one.values.iter().filter_map(|(seed, value, _)| Some(value - find(*seed)?.1));
    crate::statistics::mean(&gains.collect::<Vec<_>>())
}

fn effects(context: &Context<'_>, index: usize, group: &Group, notes: &mut Vec<String>) -> Vec<Effect> {
    let members: Vec<&Series<'_>> =
        context.all().iter().filter(|series| series.subject.groups.contains(&index)).collect();
    let (clear, hindered): (Vec<&Series<'_>>, Vec<&Series<'_>>) =
        members.into_iter().partition(|series| series.obstacle.is_none());
    let axes = axes(&clear);
    if axes.len() < 2 || clear.len() < 2 {
        return Vec::new();
    }
    if steps(&axes, clear.len()) > bounds::FACTORIAL_STEPS {
        notes.push(format!("`{}`: effects are left out because the design is too large", group.name));
        return Vec::new();
    }
    if let Some((first, pair)) = clear.iter().find_map(|series| Some((series, pairing::unequal(clear[0], series)?))) {
        notes.push(format!("`{}`: effects are left out because of `{}`: {pair}", group.name, first.subject.title()));
        return Vec::new();
    }
    let cell = |series: &&Series<'_>| Cell { levels: places(&axes, series), values: series.numbers() };
    let cells: Vec<Cell> = clear.iter().map(cell).collect();
    let Some(found) = factorial(&cells) else {
        notes.push(format!(
            "`{}`: effects are left out because no seed has a value for every configuration",
            group.name
        ));
        return Vec::new();
    };
    if !hindered.is_empty() {
        let (left, all) = (hindered.len(), hindered.len() + clear.len());
        notes.push(format!("`{}`: effects leave out {left} of {all} configurations", group.name));
    }
    let name = |factors: &Vec<usize>| -> Vec<String> {
        factors.iter().map(|factor| axes[*factor].0.name().to_owned()).collect()
    };
    if !found.orthogonal {
        notes.push(format!(
            "`{}`: the design is not balanced, so effects are least-squares estimates and shares of variance depend \
             on the order of the factors",
            group.name
        ));
    }
    if !found.unestimable.is_empty() {
        let products: Vec<String> = found.unestimable.iter().map(|factors| name(factors).join(" × ")).collect();
        notes.push(format!("`{}`: this design cannot estimate {}", group.name, products.join(", ")));
    }
    let effect = |effect: crate::statistics::factorial::Effect| Effect {
        factors: name(&effect.factors),
        size: effect.size,
        interval: effect.interval,
        variance_share: effect.share,
        aliases: effect.aliases.iter().map(name).collect(),
    };
    found.effects.into_iter().map(effect).collect()
}

type Axes = Vec<(Factor, Vec<Level>)>;

/// The factors that vary, with the levels that occur, the lowest first.
fn axes(members: &[&Series<'_>]) -> Axes {
    let vary = |factor: Factor| {
        let mut levels: Vec<Level> =
            members.iter().filter_map(|series| series.subject.configuration.level(factor)).collect();
        levels.sort_by(by_level);
        levels.dedup();
        (levels.len() > 1).then_some((factor, levels))
    };
    Factor::ALL.into_iter().filter_map(vary).collect()
}

fn places(axes: &Axes, series: &Series<'_>) -> Vec<usize> {
    let place = |(factor, levels): &(Factor, Vec<Level>)| {
        let level = series.subject.configuration.level(*factor);
        levels.iter().position(|other| Some(*other) == level).unwrap_or(0)
    };
    axes.iter().map(place).collect()
}

/// About how many steps fitting takes: the square of the columns for each configuration.
fn steps(axes: &Axes, cells: usize) -> u64 {
    let degrees: Vec<u64> = axes.iter().map(|(_, levels)| levels.len() as u64 - 1).collect();
    let mains: u64 = degrees.iter().sum();
    let squares: u64 = degrees.iter().map(|degree| degree * degree).sum();
    let columns = mains + (mains * mains - squares) / 2;
    columns.saturating_mul(columns).saturating_mul(cells as u64)
}
