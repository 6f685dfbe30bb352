//! Reads `retry`: a spec's changes to the coordinator's retry rules.

use std::ops::RangeInclusive;

use super::{At, Reader};
use crate::outcome::FailureClass;
use crate::retry::{Change, Changes, MAX_FAILURES, Retry};

/// A day, in milliseconds.
const WAITS: RangeInclusive<u64> = 0..=86_400_000;

/// Reads `retry: { trainer: { retry: elsewhere, failures: 5, backoff_ms: 1000 }, data: never }`.
pub(crate) fn retry(at: &At<'_>, reader: &mut Reader) -> Option<Changes> {
    let mut section = at.section(reader, "rules by class of failure: `{ trainer: { failures: 5 }, ... }`")?;
    let mut changes = Changes::new();
    for class in FailureClass::ALL {
        if let Some(at) = section.get(class.name())
            && let Some(change) = change(&at, reader)
        {
            changes.insert(class, change);
        }
    }
    section.finish(reader, "class of failure");
    Some(changes)
}

/// A place alone, or a place and numbers.
fn change(at: &At<'_>, reader: &mut Reader) -> Option<Change> {
    let places = Retry::ALL.map(|retry| (retry.name(), retry));
    if let crate::yaml::Value::Text(_) = at.node.value {
        return Some(Change { retry: Some(at.choice(reader, &places)?), ..Change::default() });
    }
    let mut section =
        at.section(reader, "a rule: `never`, or `{ retry: elsewhere, failures: 5, backoff_ms: 1000 }`")?;
    let change = Change {
        retry: section.get("retry").and_then(|at| at.choice(reader, &places)),
        failures: section.get("failures").and_then(|at| at.small(reader, 1..=MAX_FAILURES)),
        backoff_ms: section.get("backoff_ms").and_then(|at| at.integer(reader, WAITS)),
    };
    section.finish(reader, "key");
    Some(change)
}
