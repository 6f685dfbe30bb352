//! The task that describes data sets, one at a time, with its own trainer: a long trial in a slot must not delay the
//! start of another sweep.

use bytes::Bytes;
use sweep_spec::trainer::{Command, Describe, Described, Event, Failed};
use sweep_spec::{Dataset, FailureClass};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::protocol::consistency;
use crate::slot::SlotEvent;
use crate::trainer::{self, name_of};
use crate::trainer_process::{TrainerProcess, failed};

/// A data set to describe.
pub(crate) struct Task {
    /// Echoed in the answer.
    pub(crate) key: Bytes,
    pub(crate) dataset: Dataset,
}

/// Runs until `end` is cancelled.
pub(crate) async fn run(mut process: TrainerProcess, mut tasks: mpsc::Receiver<Task>, end: CancellationToken) {
    loop {
        let task = tokio::select! {
            biased;
            () = end.cancelled() => break,
            task = tasks.recv() => task,
            () = process.watch_idle() => continue,
        };
        let Some(Task { key, dataset }) = task else { break };
        let answer = tokio::select! {
            biased;
            () = end.cancelled() => break,
            answer = describe(&mut process, dataset, &end) => answer,
        };
        if answer.is_err() {
            process.interrupt().await;
        }
        // The agent has ended, so no task needs the answer.
        drop(process.shared.events.send(SlotEvent::Described { key, answer }).await);
    }
    process.interrupt().await;
}

async fn describe(
    process: &mut TrainerProcess,
    dataset: Dataset,
    end: &CancellationToken,
) -> Result<Described, Failed> {
    let (folders, silence) = (process.shared.folders.clone(), process.shared.silence);
    let leaving = || Failed { class: FailureClass::Machine, reason: "the worker is shutting down".to_owned() };
    let trainer = process.ready(end).await.map_err(|failed| failed.unwrap_or_else(leaving))?;
    let command = Command::Describe(Describe { dataset: dataset.clone(), folders });
    trainer.send(&command).await.map_err(|error| failed(&error))?;
    match trainer.event_within(silence, "the description of a data set").await.map_err(|error| failed(&error))? {
        Event::Described(described) => match consistency::described(&described, &dataset) {
            Ok(()) => Ok(described),
            Err(what) => Err(failed(&trainer::Error::Protocol { what: format!("`described`: {what}") })),
        },
        Event::Failed(failed) => Err(failed),
        other => {
            let what = format!("`{}` is not an answer to `describe`", name_of(&other));
            Err(failed(&trainer::Error::Protocol { what }))
        }
    }
}
