//! Exports every epoch of every trial of a sweep.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;
use sweep_proto::v1::ExportPointsRequest;
use sweep_shapes::cells::{guard, number};
use sweep_shapes::table::Tabular;
use sweep_shapes::text::hex;
use sweep_shapes::{Epoch, Metrics};

use super::cells::{JsonArray, csv_failure};
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::trial_pages::Trials;

/// One epoch of one attempt.
#[derive(Serialize)]
struct Point<'a> {
    trial_id: String,
    configuration: &'a str,
    seed: Option<u64>,
    attempt: u32,
    #[serde(flatten)]
    metrics: Metrics,
}

/// The trial's columns in a point's row.
type Names = BTreeMap<String, (String, u64)>;

async fn names(client: &mut Client, sweep: &str) -> Result<Names, Failure> {
    let mut names = Names::new();
    let mut trials = Trials::all(client, sweep);
    while let Some(page) = trials.next().await? {
        names.extend(page.into_iter().map(|trial| (trial.trial_id, (trial.configuration, trial.seed))));
    }
    Ok(names)
}

async fn for_each_point(
    client: &mut Client,
    sweep: &str,
    mut write: impl FnMut(Point<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let names = names(client, sweep).await?;
    let request = ExportPointsRequest { sweep: client::reference(sweep) };
    let mut stream = client.export_points(request).await?.into_inner();
    while let Some(answer) = stream.message().await? {
        for point in answer.points {
            let trial_id = hex(&point.trial_id);
            let known = names.get(&trial_id);
            let configuration = known.map_or("", |(configuration, _)| configuration);
            let metrics = sweep_shapes::expect(point.metrics, "metrics")?.into();
            let seed = known.map(|(_, seed)| *seed);
            write(Point { trial_id, configuration, seed, attempt: point.attempt, metrics })?;
        }
    }
    Ok(())
}

pub(super) async fn as_csv<W: Write>(
    client: &mut Client,
    sweep: &str,
    out: &mut W,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let failed = |error: csv::Error| csv_failure(error, failed);
    let mut writer = csv::Writer::from_writer(out);
    let header = Epoch::COLUMNS;
    writer.write_record(header).map_err(failed)?;
    let row = |point: Point<'_>| {
        let metrics = point.metrics;
        let cells = [
            point.trial_id,
            guard(point.configuration),
            point.seed.map_or_else(String::new, |seed| seed.to_string()),
            point.attempt.to_string(),
            metrics.epoch.to_string(),
            number(metrics.train_accuracy),
            number(metrics.val_accuracy),
            number(metrics.train_loss),
            number(metrics.val_loss),
            number(metrics.learning_rate),
            number(metrics.seconds),
            number(metrics.images_per_second),
        ];
        writer.write_record(cells).map_err(failed)
    };
    for_each_point(client, sweep, row).await?;
    writer.flush().map_err(|error| failed(error.into()))
}

pub(super) async fn as_json<W: Write>(
    client: &mut Client,
    sweep: &str,
    out: &mut W,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut array = JsonArray::new(out);
    for_each_point(client, sweep, |point| array.push(&point).map_err(failed)).await?;
    array.end().map_err(failed)
}
