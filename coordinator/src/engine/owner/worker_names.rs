//! Names of workers: their holders, and the refusal of a second worker with the same name.

use sweep_scheduler::WorkerName;
use sweep_scheduler::event::Instance;
use sweep_store::write::NameRow;
use tracing::{info, warn};

use crate::engine::error::Error;
use crate::engine::messages::worker::Register;
use crate::engine::name_held::NameHeld;
use crate::engine::owner::driver::Driver;
use crate::unix_ms;

impl Driver {
    /// Checks whether a worker may take its name.
    pub(crate) fn name_for(&self, request: &Register) -> Result<(), Error> {
        let (now, worker) = (self.now(), WorkerName(request.worker.clone()));
        let Some(holder) = self.scheduler.holder(now, &worker, request.instance) else { return Ok(()) };
        let session = holder.session.and_then(|session| self.live.sessions.get(&session));
        let known = self.live.names.get(&request.worker);
        let held = NameHeld {
            worker: request.worker.clone(),
            host: known.map(|row| row.host.clone()).unwrap_or_default(),
            address: known.map(|row| row.address.clone()).unwrap_or_default(),
            since_ms: known.map_or(0, |row| row.since_ms),
            heard_ms: session.map_or(0, |session| session.seen_ms),
            free_in_ms: holder.until.0.saturating_sub(now.0),
        };
        let (host, address) = (&request.host, &request.address);
        warn!(worker_id = request.worker, host, address, reason = %held, "a worker was refused");
        Err(Error::NameHeld(Box::new(held)))
    }

    /// Records that a worker takes its name.
    pub(crate) fn remember_name(&mut self, request: &Register) {
        let (known, instance) = (self.live.names.get(&request.worker), request.instance);
        let since = known.filter(|row| row.held && row.instance == instance).map(|row| row.since_ms);
        let row = NameRow {
            worker: request.worker.clone(),
            instance,
            held: true,
            host: request.host.clone(),
            address: request.address.clone(),
            since_ms: since.unwrap_or_else(unix_ms),
        };
        self.live.names.insert(request.worker.clone(), row);
    }

    pub(crate) fn name_taken(&mut self, worker: &str, instance: Instance) {
        self.name_changed(worker, instance, true);
    }

    pub(crate) fn name_freed(&mut self, worker: &str) {
        info!(worker_id = worker, "a worker's name is free");
        let Some(row) = self.live.names.get(worker) else { return };
        self.name_changed(worker, row.instance, false);
    }

    fn name_changed(&mut self, worker: &str, instance: Instance, held: bool) {
        let Some(row) = self.live.names.get_mut(worker) else { return };
        (row.instance, row.held) = (instance, held);
        let row = row.clone();
        self.batch.commit.names.push(row);
    }
}
