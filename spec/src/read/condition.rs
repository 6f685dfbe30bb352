//! Reading of `where` and `only_if`: conditions, each a text with a place for every letter.

use super::stage::factor;
use super::{At, Reader, Section, known};
use crate::condition::{Condition, parse};
use crate::design::{Design, Limited};
use crate::levels::{Factor, FactorSet, Family};
use crate::problem::did_you_mean;
use crate::yaml::Value;

/// The most conditions in one list.
const MOST: usize = 50;

/// The conditions on the factors and points of `design`.
pub(super) fn limited(
    section: &mut Section<'_>,
    family: Family,
    design: Option<&Design>,
    reader: &mut Reader,
) -> Option<Limited> {
    let conditions = section.get("where").map_or(Some(Vec::new()), |at| conditions(&at, family, reader));
    let only_if = section.get("only_if").map_or(Some(Vec::new()), |at| only_if(&at, family, design, reader));
    Some(Limited { only_if: only_if?, conditions: conditions? })
}

/// A condition, or a list of conditions that all have to be true.
fn conditions(at: &At<'_>, family: Family, reader: &mut Reader) -> Option<Vec<Condition>> {
    let Value::List(_) = at.node.value else { return condition(at, family, reader).map(|one| vec![one]) };
    let items = at.list(reader, "conditions")?;
    if items.len() > MOST {
        at.report(reader, format!("expected at most {MOST} conditions, found {}", items.len()), None);
        return None;
    }
    // Collected before the options are, so that one wrong condition does not hide the next.
    let read: Vec<Option<Condition>> = items.iter().map(|item| condition(item, family, reader)).collect();
    read.into_iter().collect()
}

fn condition(at: &At<'_>, family: Family, reader: &mut Reader) -> Option<Condition> {
    let Value::Text(text) = &at.node.value else {
        let hint = Some("write it as a string, such as `\"conv_layers <= 4 and max_pool\"`".to_owned());
        at.report(reader, format!("expected a condition over factors, found {}", at.node.describe()), hint);
        return None;
    };
    match parse(text, family) {
        Ok(condition) => Some(condition),
        Err(wrong) => {
            let mark = at.node.mark_of(wrong.at);
            // Where the text does not stand in the file letter by letter, the place within it is said.
            let message = if mark == at.node.mark && wrong.at > 0 {
                format!("{} (at character {})", wrong.message, wrong.at + 1)
            } else {
                wrong.message
            };
            reader.report(mark, &at.path, message, wrong.hint);
            None
        }
    }
}

/// `{ factor: condition }`, sorted so that each factor comes after the factors in its condition.
fn only_if(
    at: &At<'_>,
    family: Family,
    design: Option<&Design>,
    reader: &mut Reader,
) -> Option<Vec<(Factor, Condition)>> {
    let section = at.section(reader, "factors and their conditions: `{ factor: condition }`")?;
    let mut read: Vec<(Factor, Condition)> = Vec::new();
    let mut complete = true;
    for (key, mark, at) in section.entries() {
        let factor = factor(key, mark, &at.path, family, reader);
        let conditions = conditions(&at, family, reader);
        let (Some(factor), Some(mut conditions)) = (factor, conditions) else {
            complete = false;
            continue;
        };
        if let Some(design) = design
            && !design.axes().iter().any(|axis| axis.factor == factor)
        {
            let varied: Vec<&str> = design.axes().iter().map(|axis| axis.factor.name()).collect();
            let hint = did_you_mean(key, &varied).or_else(|| (!varied.is_empty()).then(|| known(&varied)));
            reader.report(mark, &at.path, "this stage does not vary the factor", hint);
            complete = false;
        }
        let condition = match (conditions.len(), conditions.pop()) {
            (1, Some(one)) => one,
            (_, last) => Condition::All(conditions.into_iter().chain(last).collect()),
        };
        read.push((factor, condition));
    }
    read.sort_by_key(|(factor, _)| *factor);
    let ordered = complete.then(|| ordered(at, read, reader)).flatten();
    ordered.filter(|_| complete)
}

/// Sorts the factors so that each comes after the factors in its condition, and reports cycles.
fn ordered(at: &At<'_>, mut rest: Vec<(Factor, Condition)>, reader: &mut Reader) -> Option<Vec<(Factor, Condition)>> {
    let mut ordered = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let open = rest.iter().fold(FactorSet::EMPTY, |set, (factor, _)| set.with(FactorSet::of(*factor)));
        let free = |(_, condition): &(Factor, Condition)| {
            let looks_at = condition.factors();
            !Factor::ALL.into_iter().any(|factor| looks_at.has(factor) && open.has(factor))
        };
        let Some(place) = rest.iter().position(free) else {
            let names: Vec<String> = rest.iter().map(|(factor, _)| format!("`{factor}`")).collect();
            let message = format!("the conditions of {} depend on each other in a circle", names.join(", "));
            at.report(reader, message, Some("a condition can use only factors that do not depend on it".into()));
            return None;
        };
        ordered.push(rest.remove(place));
    }
    Some(ordered)
}
