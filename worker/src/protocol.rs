//! The events that a trainer may send in answer to `train`, and their order. Pure: takes events and returns their
//! meaning.

pub(crate) mod consistency;

use sweep_spec::Outcome;
use sweep_spec::trainer::{EpochMetrics, Event, Failed, Finished, Train, Validation};

use crate::trainer::name_of;
use consistency::Reported;

/// Checkpoint events that a trainer may send per epoch; more break the protocol.
const CHECKPOINTS_PER_EPOCH: u64 = 16;

/// The meaning of an event for the attempt.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Started,
    Point(EpochMetrics),
    Checkpoint,
    /// The result.
    Finished(Box<Finished>),
    /// The trainer reports a failure.
    Failed(Failed),
}

/// Checks the events of one attempt.
pub(crate) struct Checker<'a> {
    train: &'a Train,
    /// `None` before `started`. A resumed attempt reports the epochs of its checkpoint too.
    next_epoch: Option<u32>,
    /// The reported values; `None` before `started`.
    said: Option<Reported>,
    checkpoints: u64,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(train: &'a Train) -> Self {
        Self { train, next_epoch: None, said: None, checkpoints: 0 }
    }

    /// Returns the meaning of `event`, or how it breaks the protocol.
    pub(crate) fn take(&mut self, event: Event) -> Result<Step, String> {
        let name = name_of(&event);
        if let Some((trial, attempt)) = echo(&event)
            && (trial != self.train.trial_id || attempt != self.train.attempt)
        {
            return Err(format!(
                "`{name}` is about attempt {attempt} of trial {}, which was not requested",
                trial.short()
            ));
        }
        match event {
            Event::Failed(failed) => Ok(Step::Failed(failed)),
            Event::Started(started) if self.next_epoch.is_none() => {
                let epochs = self.train.trial.protocol.epochs;
                if started.first_epoch == 0 || u64::from(started.first_epoch) > u64::from(epochs) + 1 {
                    return Err(format!("`started` has first_epoch {} of {epochs}", started.first_epoch));
                }
                self.said = Some(Reported::new(started, self.train)?);
                self.next_epoch = Some(1);
                Ok(Step::Started)
            }
            Event::Epoch(epoch) => self.epoch(epoch.metrics),
            Event::Checkpoint(_) if self.next_epoch.is_some() => self.checkpoint(),
            Event::Finished(finished) if self.next_epoch.is_some() => {
                let epochs = self.train.trial.protocol.epochs;
                check(&finished, epochs, self.train.trial.dataset.classes.count())?;
                if let Some(next) = self.next_epoch.filter(|next| *next <= epochs)
                    && finished.outcome == Outcome::Converged
                {
                    return Err(format!("`finished` as converged, but epoch {next} of {epochs} was expected"));
                }
                self.said.as_ref().map_or(Ok(()), |said| said.check(&finished, self.train))?;
                Ok(Step::Finished(finished))
            }
            Event::Started(_) => Err("`started` was sent twice".to_owned()),
            Event::Checkpoint(_) | Event::Finished(_) => Err(format!("`{name}` was sent before `started`")),
            Event::Hello(_) | Event::Devices(_) | Event::Described(_) => {
                Err(format!("`{name}` is not an answer to `train`"))
            }
        }
    }

    fn checkpoint(&mut self) -> Result<Step, String> {
        let most = (u64::from(self.train.trial.protocol.epochs) + 1) * CHECKPOINTS_PER_EPOCH;
        self.checkpoints += 1;
        if self.checkpoints > most {
            return Err(format!("`checkpoint` was sent more than {most} times"));
        }
        Ok(Step::Checkpoint)
    }

    fn epoch(&mut self, metrics: EpochMetrics) -> Result<Step, String> {
        let epochs = self.train.trial.protocol.epochs;
        match self.next_epoch {
            None => Err("`epoch` was sent before `started`".to_owned()),
            Some(next) if metrics.epoch == next && next <= epochs => {
                self.said.as_mut().map_or(Ok(()), |said| said.epoch(metrics, self.train))?;
                self.next_epoch = next.checked_add(1);
                Ok(Step::Point(metrics))
            }
            Some(next) => Err(format!("`epoch` {} was sent, but {next} of {epochs} was expected", metrics.epoch)),
        }
    }
}

fn echo(event: &Event) -> Option<(sweep_spec::TrialId, u32)> {
    match event {
        Event::Started(event) => Some((event.trial_id, event.attempt)),
        Event::Epoch(event) => Some((event.trial_id, event.attempt)),
        Event::Checkpoint(event) => Some((event.trial_id, event.attempt)),
        Event::Finished(event) => Some((event.trial_id, event.attempt)),
        Event::Hello(_) | Event::Devices(_) | Event::Described(_) | Event::Failed(_) => None,
    }
}

fn check(finished: &Finished, epochs: u32, classes: u32) -> Result<(), String> {
    if finished.outcome == Outcome::Converged {
        match finished.last {
            Some(last) if last.epoch == epochs => {}
            Some(last) => return Err(format!("`finished` as converged after epoch {} of {epochs}", last.epoch)),
            None => return Err("`finished` as converged without `last`".to_owned()),
        }
        if finished.best.is_none() {
            return Err("`finished` as converged without `best`".to_owned());
        }
    }
    let said = finished.test.as_ref().map(|test| (&test.predictions, "test"));
    let mut said = said.into_iter().chain(finished.validation.as_ref().map(|validation| (validation, "validation")));
    if let Some(test) = &finished.test
        && (test.epoch == 0 || test.epoch > epochs || !(0.0..=1.0).contains(&test.accuracy))
    {
        return Err(format!("`finished` has a `test` of epoch {} with accuracy {}", test.epoch, test.accuracy));
    }
    said.try_for_each(|(said, part)| check_validation(said, part, classes))
}

fn check_validation(validation: &Validation, part: &str, classes: u32) -> Result<(), String> {
    let images = validation.labels.len();
    if validation.predicted.len() != images || validation.confidence.len() != images {
        return Err(format!("`finished` has lists of different lengths in `{part}`"));
    }
    if validation.confusion.len() as u64 != u64::from(classes) * u64::from(classes) {
        let count = validation.confusion.len();
        return Err(format!(
            "`finished` has {count} numbers in `confusion`; {classes} classes need {classes} × {classes}"
        ));
    }
    let known = |class: &u16| u32::from(*class) < classes;
    if !validation.labels.iter().all(known) || !validation.predicted.iter().all(known) {
        return Err(format!("`finished` names a class beyond the {classes} of the data set"));
    }
    let is_probability = |value: &&f32| (0.0..=1.001).contains(*value);
    if let Some(value) = validation.confidence.iter().find(|value| !is_probability(value)) {
        return Err(format!("`finished` has a confidence of {value}, which is not a probability"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
