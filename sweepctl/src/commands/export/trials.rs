//! Every trial of a sweep with its settings beside its metrics.

use std::collections::BTreeSet;
use std::io::Write;
use sweep_shapes::{Metrics, Origin, Summary};

use super::cells::{JsonArray, csv_failure, guard, number, setting};
use super::pages::Trials;
use crate::client::Client;
use crate::failure::Failure;

const COLUMNS: [&str; 37] = [
    "trial_id",
    "configuration",
    "state",
    "outcome",
    "stages",
    "attempts",
    "worker",
    "params",
    "epoch",
    "train_accuracy",
    "val_accuracy",
    "train_loss",
    "val_loss",
    "ratio",
    "seconds",
    "images_per_second",
    "peak_memory_bytes",
    "device",
    "device_name",
    "instruction_set",
    "trainer",
    "data_digest",
    "failure_class",
    "failure_reason",
    "test_accuracy",
    "test_loss",
    "split_digest",
    "protocol_digest",
    "spec_digest",
    "spec_revision",
    "made_by_sweep",
    "made_by_worker",
    "host",
    "coordinator_version",
    "worker_version",
    "driver",
    "kernel_cache",
];

fn trial_cells(trial: &Summary) -> [String; COLUMNS.len()] {
    let metric = |read: fn(&Metrics) -> f64| trial.reported.as_ref().map(read).map_or_else(String::new, number);
    let made = trial.provenance.as_ref();
    let origin = |read: fn(&Origin) -> Option<&String>| {
        guard(made.and_then(|made| read(&made.origin)).map_or("", String::as_str))
    };
    let failure = trial.failure.as_ref();
    let ratio = trial.reported.map(|metrics| metrics.train_accuracy / (10.0 * trial.params as f64));
    [
        trial.trial_id.clone(),
        guard(&trial.configuration),
        trial.state.to_owned(),
        trial.outcome.unwrap_or_default().to_owned(),
        guard(&trial.stages.join(";")),
        trial.attempts.to_string(),
        guard(trial.worker.as_deref().unwrap_or_default()),
        trial.params.to_string(),
        trial.reported.map_or_else(String::new, |metrics| metrics.epoch.to_string()),
        metric(|metrics| metrics.train_accuracy),
        metric(|metrics| metrics.val_accuracy),
        metric(|metrics| metrics.train_loss),
        metric(|metrics| metrics.val_loss),
        ratio.map_or_else(String::new, number),
        made.map_or_else(String::new, |made| number(made.seconds)),
        made.map_or_else(String::new, |made| number(made.images_per_second)),
        made.map_or_else(String::new, |made| made.peak_memory_bytes.to_string()),
        guard(made.map_or("", |made| &made.device)),
        guard(made.map_or("", |made| &made.device_name)),
        guard(made.map_or("", |made| &made.instruction_set)),
        guard(made.map_or("", |made| &made.trainer)),
        made.map_or_else(String::new, |made| made.data_digest.clone()),
        failure.map_or_else(String::new, |failure| failure.class.clone()),
        guard(failure.map_or("", |failure| &failure.reason)),
        trial.test.map_or_else(String::new, |test| number(test.accuracy)),
        trial.test.map_or_else(String::new, |test| number(test.loss)),
        made.map_or_else(String::new, |made| made.split_digest.clone()),
        origin(|origin| origin.protocol_digest.as_ref()),
        origin(|origin| origin.spec_digest.as_ref()),
        origin(|origin| origin.revision.as_ref()),
        made.and_then(|made| made.origin.sweep).map_or_else(String::new, |sweep| sweep.to_string()),
        origin(|origin| origin.worker.as_ref()),
        origin(|origin| origin.host.as_ref()),
        origin(|origin| origin.coordinator_version.as_ref()),
        origin(|origin| origin.worker_version.as_ref()),
        origin(|origin| origin.driver.as_ref()),
        origin(|origin| origin.kernel_cache.as_ref()),
    ]
}

/// Two walks over the trials, because the header needs every setting's path and memory is not for all of them.
pub(super) async fn as_csv<W: Write>(
    client: &mut Client,
    sweep: &str,
    out: &mut W,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut paths = BTreeSet::new();
    let mut trials = Trials::new(client, sweep);
    while let Some(page) = trials.next().await? {
        for trial in page {
            paths.extend(trial.settings.into_keys());
        }
    }
    let failed = |error: csv::Error| csv_failure(error, failed);
    let mut writer = csv::Writer::from_writer(out);
    let header = COLUMNS.map(str::to_owned).into_iter().chain(paths.iter().map(|path| guard(path)));
    writer.write_record(header).map_err(failed)?;
    let mut trials = Trials::new(client, sweep);
    while let Some(page) = trials.next().await? {
        for trial in page {
            if trial.settings.keys().any(|path| !paths.contains(path)) {
                return Err(Failure::failed("the sweep grew while it was read").hint("export it again"));
            }
            let settings = paths.iter().map(|path| trial.settings.get(path).map_or_else(String::new, setting));
            writer.write_record(trial_cells(&trial).into_iter().chain(settings)).map_err(failed)?;
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
    let mut trials = Trials::new(client, sweep);
    let mut array = JsonArray::new(out);
    while let Some(page) = trials.next().await? {
        for trial in page {
            array.push(&trial).map_err(failed)?;
        }
    }
    array.end().map_err(failed)
}
