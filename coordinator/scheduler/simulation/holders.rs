//! The worker that rightfully has each name, derived from the messages to the coordinator and their times: a worker
//! that was heard of within its lease, or that has not had time to reconnect since the coordinator's restart.

use std::collections::BTreeMap;

use sweep_scheduler::event::Instance;
use sweep_scheduler::{Timestamp, WorkerName};

#[derive(Debug, Clone, Copy)]
struct Holder {
    folder: u64,
    /// It is alive as far as anybody can know until then; it has left where there is none.
    until: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(crate) struct Holders(BTreeMap<String, Holder>);

impl Holders {
    /// After a restart of the coordinator: names are reserved for the workers in the store.
    pub(crate) fn returning(names: &BTreeMap<WorkerName, (Instance, bool)>, until: Timestamp) -> Self {
        let holder = |(name, (instance, held)): (&WorkerName, &(Instance, bool))| {
            (name.0.clone(), Holder { folder: instance.folder, until: held.then_some(until) })
        };
        Self(names.iter().map(holder).collect())
    }

    /// A worker registered, and was refused or not.
    ///
    /// # Errors
    /// It took the name of a live worker, or was refused although no other worker is alive.
    pub(crate) fn registers(
        &mut self,
        (now, until): (Timestamp, Timestamp),
        name: &str,
        instance: Instance,
        refused: bool,
    ) -> Result<(), String> {
        let alive = self.0.get(name).filter(|holder| holder.until.is_some_and(|until| until > now));
        match alive {
            Some(holder) if !refused && holder.folder != instance.folder => {
                return Err(format!("{name} was taken from a worker that is alive: {holder:?} by {instance:?}"));
            }
            None if refused => return Err(format!("{name} was refused to {instance:?}, and is free")),
            Some(_) | None => {}
        }
        if !refused {
            self.0.insert(name.to_owned(), Holder { folder: instance.folder, until: Some(until) });
        }
        Ok(())
    }

    /// The holder of a name polled.
    pub(crate) fn polls(&mut self, name: &str, until: Timestamp, leaves: bool) {
        if let Some(holder) = self.0.get_mut(name) {
            holder.until = (!leaves).then_some(until);
        }
    }
}
