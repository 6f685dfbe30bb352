//! Reads designs: the design of a stage, the levels of its factors, and factors that advance together.

use std::collections::BTreeSet;

use super::stage::{factor, levels};
use super::{At, Reader, Section, condition, fraction, known};
use crate::design::{Design, Dimension, Entry, Kind};
use crate::levels::{Factor, Family, Level};
use crate::yaml::Value;

/// The most hand-picked points of one list.
const MOST_ENTRIES: usize = 200;

/// The one design of a stage, with all that bounds it.
pub(super) fn design(section: &mut Section<'_>, family: Family, reader: &mut Reader) -> Option<Design> {
    let found: Vec<(Kind, At<'_>)> =
        Kind::ALL.into_iter().filter_map(|kind| section.get(kind.name()).map(|at| (kind, at))).collect();
    let zip = section.get("zip");
    let together = zip.as_ref().map_or(Some(Vec::new()), |at| together(at, family, reader));
    let part = section.get("fraction");
    let design = match found.as_slice() {
        [(Kind::List, at)] => {
            if let Some(at) = &zip {
                at.report(reader, "`zip` needs factors with lists of levels, and `list` names single points", None);
            }
            entries(at, family, reader).map(Design::list)
        }
        [(kind, at)] => together.and_then(|together| of_dimensions(*kind, at, &together, family, reader)),
        [] => {
            let names = Kind::ALL.map(Kind::name);
            section.at.report(reader, "the stage has no design", Some(known(&names)));
            None
        }
        [.., (_, at)] => {
            let names: Vec<String> = found.iter().map(|(kind, _)| format!("`{}`", kind.name())).collect();
            let message = format!("a stage can have only one design, found {}", names.join(" and "));
            at.report(reader, message, Some("write one stage for each design".into()));
            None
        }
    };
    let design = match (part, design) {
        (Some(at), Some(design)) => fraction::fractional(&at, design, reader),
        (_, design) => design,
    };
    let limited = condition::limited(section, family, design.as_ref(), reader);
    let design = design?.limited(limited?);
    let limits = design.limits();
    if design.kind() == Kind::Factorial && !(limits.conditions.is_empty() && limits.only_if.is_empty()) {
        let at = section.get("where").or_else(|| section.get("only_if"))?;
        let hint = Some("use `grid`, which accepts conditions".to_owned());
        at.report(reader, "a `factorial` accepts no conditions: its effects need all its points", hint);
        return None;
    }
    Some(design)
}

/// Factors with the levels that the design gives them.
type Levels = Vec<(Factor, Vec<Level>)>;

fn of_dimensions(
    kind: Kind,
    at: &At<'_>,
    together: &[(Vec<Factor>, At<'_>)],
    family: Family,
    reader: &mut Reader,
) -> Option<Design> {
    let read: Levels = match kind {
        Kind::LeaveOneOut | Kind::AddOneIn => {
            levels(at, family, reader)?.into_iter().map(|(factor, level)| (factor, vec![level])).collect()
        }
        _ => axes(at, together, family, reader)?,
    };
    if read.is_empty() {
        at.report(reader, "expected at least one factor, found an empty mapping", None);
        return None;
    }
    let dimensions = zipped(read, together, reader)?;
    if kind == Kind::Factorial
        && let Some(one) = dimensions.iter().find(|dimension| dimension.steps().len() < 2)
    {
        let message =
            format!("`{}` has one level in this stage, so it has no effect; expected at least two", one.name());
        at.report(reader, message, Some("move it to `set` or to the baseline".into()));
        return None;
    }
    Some(Design::new(kind, dimensions))
}

fn axes(at: &At<'_>, together: &[(Vec<Factor>, At<'_>)], family: Family, reader: &mut Reader) -> Option<Levels> {
    let section = at.section(reader, "factors and their levels: `{ factor: [level, ...] }`")?;
    let mut axes = Vec::new();
    let mut complete = true;
    for (key, mark, at) in section.entries() {
        let factor = factor(key, mark, &at.path, family, reader);
        // Of factors that advance together, the steps must be different and single levels need not be.
        let may_repeat = factor.is_some_and(|factor| together.iter().any(|(factors, _)| factors.contains(&factor)));
        let axis = factor.and_then(|factor| Some((factor, axis(&at, factor, may_repeat, reader)?)));
        complete &= axis.is_some();
        axes.extend(axis);
    }
    axes.sort_by_key(|(factor, _)| *factor);
    complete.then_some(axes)
}

fn axis(at: &At<'_>, factor: Factor, may_repeat: bool, reader: &mut Reader) -> Option<Vec<Level>> {
    let items = at.list(reader, "levels")?;
    let mut levels: Vec<Level> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut complete = true;
    for item in items {
        match item.level(reader, factor) {
            Some(level) if seen.insert(level.key()) || may_repeat => levels.push(level),
            Some(level) => {
                item.report(reader, format!("level {level} appears twice"), None);
                complete = false;
            }
            None => complete = false,
        }
    }
    complete.then_some(levels)
}

/// `[[factor, factor], ...]`: each list of factors with its place, its factors in the family's order.
fn together<'a>(at: &At<'a>, family: Family, reader: &mut Reader) -> Option<Vec<(Vec<Factor>, At<'a>)>> {
    let mut groups = Vec::new();
    let mut seen = BTreeSet::new();
    let mut complete = true;
    for group in at.list(reader, "lists of factors, such as `[[conv_layers, filters]]`")? {
        let Some(items) = group.list(reader, "factors that advance together") else {
            complete = false;
            continue;
        };
        let mut factors = Vec::new();
        for item in &items {
            let name = item.text(reader, "the name of a factor");
            let found = name.and_then(|name| factor(name, item.node.mark, &item.path, family, reader));
            match found {
                Some(factor) if seen.insert(factor) => factors.push(factor),
                Some(factor) => {
                    item.report(reader, format!("`{factor}` already advances with other factors"), None);
                    complete = false;
                }
                None => complete = false,
            }
        }
        if items.len() < 2 {
            group.report(reader, "expected at least two factors that advance together, found one", None);
            complete = false;
        }
        factors.sort_unstable();
        groups.push((factors, group));
    }
    complete.then_some(groups)
}

/// The dimensions of these factors, in the family's order of their first factors.
fn zipped(read: Levels, together: &[(Vec<Factor>, At<'_>)], reader: &mut Reader) -> Option<Vec<Dimension>> {
    let mut complete = true;
    let mut dimensions = Vec::with_capacity(read.len());
    for (factors, at) in together {
        let columns: Vec<&(Factor, Vec<Level>)> =
            factors.iter().filter_map(|factor| read.iter().find(|(other, _)| other == factor)).collect();
        if columns.len() < factors.len() {
            let missing = factors.iter().filter(|factor| !read.iter().any(|(other, _)| other == *factor));
            let missing: Vec<String> = missing.map(|factor| format!("`{factor}`")).collect();
            at.report(reader, format!("this stage does not vary {}", missing.join(", ")), None);
            complete = false;
            continue;
        }
        let length = columns.first().map_or(0, |(_, levels)| levels.len());
        if columns.iter().any(|(_, levels)| levels.len() != length) {
            let lengths: Vec<String> =
                columns.iter().map(|(factor, levels)| format!("`{factor}` has {}", levels.len())).collect();
            let message =
                format!("factors that advance together need equally many levels, but {}", lengths.join(" and "));
            at.report(reader, message, Some("each step takes one level from every list".into()));
            complete = false;
            continue;
        }
        let step = |place: usize| columns.iter().map(|(_, levels)| levels[place]).collect::<Vec<_>>();
        let dimension = Dimension::zipped(factors.clone(), (0..length).map(step).collect());
        if dimension.steps().len() < length {
            at.report(reader, format!("a step of `{}` appears twice", dimension.name()), None);
            complete = false;
        }
        dimensions.push(dimension);
    }
    let alone = read.iter().filter(|(factor, _)| !together.iter().any(|(factors, _)| factors.contains(factor)));
    dimensions.extend(alone.map(|(factor, levels)| Dimension::single(*factor, levels)));
    dimensions.sort_by_key(|dimension| dimension.factors().first().copied());
    complete.then_some(dimensions)
}

/// `[{ name: ..., factor: level, ... }, ...]`
fn entries(at: &At<'_>, family: Family, reader: &mut Reader) -> Option<Vec<Entry>> {
    let items = at.list(reader, "points: `[{ name: ..., factor: level }]`")?;
    if items.len() > MOST_ENTRIES {
        at.report(reader, format!("expected at most {MOST_ENTRIES} points, found {}", items.len()), None);
        return None;
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(items.len());
    let mut complete = true;
    for item in items {
        let Some(entry) = entry(&item, family, reader) else {
            complete = false;
            continue;
        };
        if entry.name.is_some() && entries.iter().any(|other| other.name == entry.name) {
            item.report(reader, "an earlier point has the same name", None);
            complete = false;
        } else if entries.iter().any(|other| other.levels == entry.levels) {
            item.report(reader, "an earlier point has the same levels", None);
            complete = false;
        }
        entries.push(entry);
    }
    complete.then_some(entries)
}

fn entry(at: &At<'_>, family: Family, reader: &mut Reader) -> Option<Entry> {
    let Value::Mapping(_) = at.node.value else {
        at.expected(reader, "a point: `{ name: ..., factor: level }`");
        return None;
    };
    let mut section = at.section(reader, "a point")?;
    let named = section.get("name");
    let name = named.as_ref().and_then(|at| at.name(reader));
    let mut levels = Vec::new();
    let mut complete = named.is_some() == name.is_some();
    for &factor in family.factors() {
        if let Some(at) = section.get(factor.name()) {
            let level = at.level(reader, factor);
            complete &= level.is_some();
            levels.extend(level.map(|level| (factor, level)));
        }
    }
    section.finish(reader, "factor");
    complete.then_some(Entry { name, levels })
}
