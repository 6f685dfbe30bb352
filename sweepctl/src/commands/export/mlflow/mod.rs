//! Exports runs to an MLflow server: one per ended trial, with its settings, its curves, and tags that identify it.
//! Complete runs are not sent again; the run of an interrupted export is replaced.

mod batches;
mod server;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use sweep_proto::v1::GetSweepRequest;

use self::batches::{Sweep, batches, tags};
use self::server::{Error, Server};
use super::curves::{self, Curve};
use crate::client::{self, Client};
use crate::failure::Failure;

/// The result of an export.
#[derive(Debug, Default, Serialize)]
pub(super) struct Written {
    pub(super) experiment: String,
    pub(super) experiment_id: String,
    pub(super) runs: u64,
    pub(super) epochs: u64,
    /// Runs that existed already.
    pub(super) known: u64,
    /// Trials that have not ended.
    pub(super) left_out: u64,
}

#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) url: &'a str,
    /// The sweep's name if it is `None`.
    pub(super) experiment: Option<&'a str>,
}

pub(super) async fn export(client: &mut Client, sweep: &str, target: &Target<'_>) -> Result<Written, Failure> {
    let server = Arc::new(Server::new(target.url)?);
    let answer = client.get_sweep(GetSweepRequest { sweep: client::reference(sweep) }).await?.into_inner();
    let status = sweep_shapes::expect(answer.sweep, "sweep")?;
    let number = status.id.to_string();
    let about = Arc::new(Sweep { id: status.id, name: status.name });
    let experiment = target.experiment.unwrap_or(&about.name).to_owned();
    let asked = experiment.clone();
    let experiment_id = blocking(&server, move |server| find_or_make(server, &asked)).await?;
    let mut written = Written { experiment, experiment_id: experiment_id.clone(), ..Written::default() };
    // By number, because the name could refer to another sweep a moment later.
    let not_begun = curves::for_each(client, &number, async |curve| {
        if !curve.has_ended() {
            written.left_out += 1;
            return Ok(());
        }
        let epochs = curve.points.len() as u64;
        let (about, experiment_id) = (Arc::clone(&about), experiment_id.clone());
        match blocking(&server, move |server| log(server, &experiment_id, &about, &curve)).await? {
            Logged::Anew => {
                written.runs += 1;
                written.epochs += epochs;
            }
            Logged::Before => written.known += 1,
        }
        Ok(())
    })
    .await?;
    written.left_out += not_begun;
    Ok(written)
}

/// Runs a blocking request on another thread.
async fn blocking<T: Send + 'static>(
    server: &Arc<Server>,
    ask: impl FnOnce(&Server) -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    let asked = Arc::clone(server);
    let done = tokio::task::spawn_blocking(move || ask(&asked)).await;
    done.map_err(|error| Failure::internal("the export failed").because(error))?.map_err(|error| server.failure(error))
}

fn find_or_make(server: &Server, name: &str) -> Result<String, Error> {
    let found = match server.get("experiments/get-by-name", "experiment_name", name) {
        Err(error) if error.is_absent() => {
            return text(&server.post("experiments/create", &json!({ "name": name }))?, "/experiment_id");
        }
        found => found?,
    };
    text(&found, "/experiment/experiment_id")
}

enum Logged {
    Anew,
    Before,
}

fn log(server: &Server, experiment_id: &str, sweep: &Sweep, curve: &Curve) -> Result<Logged, Error> {
    if was_logged(server, experiment_id, curve)? {
        return Ok(Logged::Before);
    }
    let begun = curve.begun_unix_ms.max(0);
    let run = json!({
        "experiment_id": experiment_id,
        "run_name": format!("{} seed {}", curve.trial.configuration, curve.trial.seed),
        "start_time": begun,
        "tags": tags(curve, sweep),
    });
    let run_id = text(&server.post("runs/create", &run)?, "/run/info/run_id")?;
    for (field, entries) in batches(curve) {
        server.post("runs/log-batch", &json!({ "run_id": run_id, field: entries }))?;
    }
    let status = match curve.trial.state {
        "succeeded" => "FINISHED",
        "failed" => "FAILED",
        _ => "KILLED",
    };
    let ended = curve.ended_unix_ms.unwrap_or(begun);
    server.post("runs/update", &json!({ "run_id": run_id, "status": status, "end_time": ended }))?;
    Ok(Logged::Anew)
}

/// Looks for the run of this attempt. The end of a run is written last, so a run without one is incomplete and is
/// deleted.
fn was_logged(server: &Server, experiment_id: &str, curve: &Curve) -> Result<bool, Error> {
    let (id, attempt) = (&curve.trial.trial_id, curve.attempt);
    let filter = format!("tags.\"sweep.trial_id\" = '{id}' and tags.\"sweep.attempt\" = '{attempt}'");
    let question = json!({ "experiment_ids": [experiment_id], "filter": filter, "max_results": 100 });
    let answer = server.post("runs/search", &question)?;
    let mut logged = false;
    for run in answer["runs"].as_array().into_iter().flatten() {
        match text(run, "/info/status")?.as_str() {
            "FINISHED" | "FAILED" | "KILLED" => logged = true,
            _ => drop(server.post("runs/delete", &json!({ "run_id": text(run, "/info/run_id")? }))?),
        }
    }
    Ok(logged)
}

fn text(answer: &Value, place: &str) -> Result<String, Error> {
    answer.pointer(place).and_then(Value::as_str).map(str::to_owned).ok_or(Error::Unreadable)
}
