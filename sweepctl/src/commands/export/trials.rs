//! Exports every trial of a sweep with its settings and metrics.

use std::collections::BTreeSet;
use std::io::Write;
use sweep_shapes::Summary;
use sweep_shapes::cells::{guard, setting};
use sweep_shapes::table::Tabular;

use super::cells::{JsonArray, csv_failure};
use crate::client::Client;
use crate::failure::Failure;
use crate::trial_pages::Trials;

/// Reads the trials twice, because the header needs every setting's path and the trials may not fit into memory.
pub(super) async fn as_csv<W: Write>(
    client: &mut Client,
    sweep: &str,
    out: &mut W,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut paths = BTreeSet::new();
    let mut trials = Trials::all(client, sweep);
    while let Some(page) = trials.next().await? {
        for trial in page {
            paths.extend(trial.settings.into_keys());
        }
    }
    let failed = |error: csv::Error| csv_failure(error, failed);
    let mut writer = csv::Writer::from_writer(out);
    let header = Summary::COLUMNS.iter().map(|column| (*column).to_owned()).chain(paths.iter().map(|path| guard(path)));
    writer.write_record(header).map_err(failed)?;
    let mut trials = Trials::all(client, sweep);
    while let Some(page) = trials.next().await? {
        for trial in page {
            if trial.settings.keys().any(|path| !paths.contains(path)) {
                return Err(Failure::failed("the sweep grew during the export").hint("export it again"));
            }
            let settings = paths.iter().map(|path| trial.settings.get(path).map_or_else(String::new, setting));
            writer.write_record(trial.cells().into_iter().chain(settings)).map_err(failed)?;
        }
    }
    writer.flush().map_err(|error| failed(error.into()))
}

pub(super) async fn as_json<W: Write>(
    client: &mut Client,
    sweep: &str,
    out: &mut W,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut trials = Trials::all(client, sweep);
    let mut array = JsonArray::new(out);
    while let Some(page) = trials.next().await? {
        for trial in page {
            array.push(&trial).map_err(failed)?;
        }
    }
    array.end().map_err(failed)
}
