//! What stands encoded in a column, by kind, for `untrusted`: each is read as the reads of this backend read it.

use super::number;
use super::read::{digest, from_json};
use super::trials::Question;
use crate::codes::{AttemptState, AuditAction, RoundState, StageState, SweepState, class_of, outcome_of};
use crate::write::SlotRow;
use crate::{Error, predictions};

/// Reads `bytes` as the content of the column that `kind` stands for.
pub fn content(kind: u8, bytes: &[u8]) -> Result<(), Error> {
    let text = || std::str::from_utf8(bytes).map_err(|error| Error::damaged(error.to_string()));
    match kind % 8 {
        0 => predictions::decode(bytes).map(drop),
        1 => from_json::<sweep_spec::Configuration>(text()?).map(drop),
        2 => from_json::<Vec<(String, String)>>(text()?).map(drop),
        3 => from_json::<Vec<SlotRow>>(text()?).map(drop),
        4 => from_json::<Question>(text()?).map(drop),
        5 => number::decode(bytes)
            .map(drop)
            .ok_or_else(|| Error::damaged("it does not contain the number of the last commit")),
        6 => digest(bytes).map(drop),
        _ => code(bytes),
    }
}

/// A small number that stands for a state or a class.
fn code(bytes: &[u8]) -> Result<(), Error> {
    let (kind, rest) = bytes.split_first().ok_or_else(|| Error::damaged("nothing"))?;
    let eight = rest.first_chunk().ok_or_else(|| Error::damaged("no number"))?;
    let code = i64::from_le_bytes(*eight);
    match kind % 7 {
        0 => SweepState::of(code).map(drop),
        1 => StageState::of(code).map(drop),
        2 => RoundState::of(code).map(drop),
        3 => AttemptState::of(code).map(drop),
        4 => AuditAction::of(code).map(drop),
        5 => class_of(code).map(drop),
        _ => outcome_of(code).map(drop),
    }
}
