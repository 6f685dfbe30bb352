//! Parses a spec from arbitrary bytes, for tests and fuzzers.

use crate::plan::Plan;
use crate::settings;
use crate::spec::{Limits, Spec};
use crate::trial::Trial;

/// Between a spec's text and its overrides, each a line `KEY=VALUE`.
pub const SEPARATOR: &[u8] = b"\n--set\n";

/// Trials that such a spec may ask for, and points of each group that are looked at.
const TRIALS: u64 = 10_000;
const POINTS: usize = 50;

/// Reads `bytes` as a spec with its overrides, plans it, and names some of its trials.
///
/// # Errors
/// Everything that is wrong with it.
pub fn spec(bytes: &[u8]) -> Result<usize, String> {
    let at = bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    let (text, lines) = at.map_or((bytes, &[][..]), |at| (&bytes[..at], &bytes[at + SEPARATOR.len()..]));
    let lines = String::from_utf8_lossy(lines);
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let overrides: Vec<_> = lines.lines().filter_map(pair).collect();
    let spec = Spec::parse(text, &overrides, &Limits { trials: TRIALS }).map_err(|problems| problems.to_string())?;
    spec.digest().map_err(|error| error.to_string())?;
    let plan = Plan::new(&spec);
    let released = plan.released(&[]);
    let mut named = 0;
    for group in released.groups().to_vec() {
        for planned in released.points(group).take(POINTS) {
            let ids = plan.trial_ids(&planned.configuration).map_err(|error| error.to_string())?;
            named += ids.len();
        }
    }
    let trial = plan.trial(&spec.baseline, 0);
    let flat = settings::flatten(&trial).map_err(|error| error.to_string())?;
    let back: Trial = settings::unflatten(&flat).map_err(|error| error.to_string())?;
    if back == trial { Ok(named) } else { Err("its settings cannot be read".to_owned()) }
}
