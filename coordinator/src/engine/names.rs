//! Names that workers hold: what is remembered of the holders, and what a worker is answered that wants a name of another.

use std::fmt;

use sweep_scheduler::WorkerName;
use sweep_scheduler::event::Instance;
use sweep_shapes::text::{ago, duration};
use sweep_store::write::NameRow;
use tracing::{info, warn};

use super::Error;
use super::command::Register;
use super::driver::Driver;
use crate::unix_ms;

/// A worker was refused, because another one holds its name and is alive as far as the coordinator can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameHeld {
    /// The name.
    pub worker: String,
    /// The machine of the worker that holds it; empty where that is not known.
    pub host: String,
    /// From where that worker connected; empty where that is not known.
    pub address: String,
    /// When it took the name; 0 where that is not known.
    pub since_ms: i64,
    /// When it was last heard of; 0 where it has not come back since the coordinator's restart.
    pub heard_ms: i64,
    /// The name is free after this time, unless that worker is heard of before.
    pub free_in_ms: u64,
}

impl fmt::Display for NameHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "another worker has the name `{}`", self.worker)?;
        if !self.host.is_empty() {
            write!(f, ": it runs on host {}", self.host)?;
        }
        if !self.address.is_empty() {
            write!(f, ", connected from {}", self.address)?;
        }
        if self.since_ms > 0 {
            write!(f, ", took the name {}", ago(self.since_ms))?;
        }
        match self.heard_ms {
            0 => write!(f, ", and has not reconnected since this coordinator started")?,
            heard => write!(f, ", and last polled {}", ago(heard))?,
        }
        let free = duration(self.free_in_ms.div_ceil(1000) as f64);
        write!(
            f,
            "; give this worker another --name, or stop the other worker; if the other worker no longer runs, its name \
            becomes free in {free}"
        )
    }
}

impl Driver {
    /// Whether a worker may have the name that it gives itself.
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

    /// What is remembered of a worker that is about to take its name.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> NameHeld {
        NameHeld {
            worker: "gpu1".into(),
            host: "node7".into(),
            address: "10.0.0.5:50432".into(),
            since_ms: unix_ms() - 200_000,
            heard_ms: unix_ms() - 2_000,
            free_in_ms: 27_200,
        }
    }

    #[test]
    fn a_refusal_says_who_holds_the_name_since_when_and_what_to_do() {
        assert_eq!(
            held().to_string(),
            "another worker has the name `gpu1`: it runs on host node7, connected from 10.0.0.5:50432, took the name \
             3 min 20 s ago, and last polled 2 s ago; give this worker another --name, or stop the other worker; if the \
             other worker no longer runs, its name becomes free in 28 s"
        );
        let unknown = NameHeld { host: String::new(), address: String::new(), since_ms: 0, heard_ms: 0, ..held() };
        assert!(unknown.to_string().starts_with(
            "another worker has the name `gpu1`, and has not reconnected since this coordinator started; give"
        ));
    }
}
