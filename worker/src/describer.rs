//! The task that looks at data sets, one at a time, with a trainer of its own: a slot that trains for days must not keep
//! another sweep from beginning.

use bytes::Bytes;
use sweep_spec::trainer::{Command, Describe, Described, Event, Failed};
use sweep_spec::{Dataset, FailureClass};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::conversation::agreement;
use crate::seat::{Seat, failed};
use crate::slot::SlotEvent;
use crate::trainer::{self, name_of};

/// A data set to be looked at.
pub(crate) struct Task {
    /// Echoed.
    pub(crate) key: Bytes,
    pub(crate) dataset: Dataset,
}

/// Works until `end`.
pub(crate) async fn run(mut seat: Seat, mut tasks: mpsc::Receiver<Task>, end: CancellationToken) {
    loop {
        let task = tokio::select! {
            biased;
            () = end.cancelled() => break,
            task = tasks.recv() => task,
            () = seat.watch_idle() => continue,
        };
        let Some(Task { key, dataset }) = task else { break };
        let answer = tokio::select! {
            biased;
            () = end.cancelled() => break,
            answer = describe(&mut seat, dataset, &end) => answer,
        };
        if answer.is_err() {
            seat.interrupt().await;
        }
        // Without an agent there is nobody left to tell.
        drop(seat.place.events.send(SlotEvent::Described { key, answer }).await);
    }
    seat.interrupt().await;
}

async fn describe(seat: &mut Seat, dataset: Dataset, end: &CancellationToken) -> Result<Described, Failed> {
    let (folders, silence) = (seat.place.folders.clone(), seat.place.silence);
    let leaving = || Failed { class: FailureClass::Machine, reason: "the worker is leaving".to_owned() };
    let trainer = seat.ready(end).await.map_err(|failed| failed.unwrap_or_else(leaving))?;
    let command = Command::Describe(Describe { dataset: dataset.clone(), folders });
    trainer.send(&command).await.map_err(|error| failed(&error))?;
    match trainer.event_within(silence, "the description of a data set").await.map_err(|error| failed(&error))? {
        Event::Described(described) => match agreement::described(&described, &dataset) {
            Ok(()) => Ok(described),
            Err(what) => Err(failed(&trainer::Error::Protocol { what: format!("`described`: {what}") })),
        },
        Event::Failed(failed) => Err(failed),
        other => {
            let what = format!("`{}` is no answer to `describe`", name_of(&other));
            Err(failed(&trainer::Error::Protocol { what }))
        }
    }
}
