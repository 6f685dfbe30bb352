//! Sessions of workers, as the workers know them: an unguessable random number instead of the engine's counter, with the
//! token and the certificate that opened the session. To any other caller the session is unknown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sweep_scheduler::SessionId;

use super::keyring::Identity;
use crate::engine::Error;

/// From this many sessions on, registering removes the ended ones.
const MANY: usize = 1024;

#[derive(Debug, Clone)]
struct Opened {
    session: SessionId,
    worker: String,
    identity: Identity,
}

#[derive(Debug, Default)]
struct Table {
    opened: HashMap<u64, Opened>,
    /// The newest session of each worker.
    workers: HashMap<String, u64>,
}

/// The sessions of one term.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<Table>>);

impl Sessions {
    /// Adds a session, and returns the number for its worker.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub(crate) fn open(&self, worker: &str, session: SessionId, identity: Identity) -> Result<u64, Error> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = loop {
            let handle = getrandom::u64().map_err(|error| Error::Internal(error.to_string()))?;
            // 0 means no session in a message.
            if handle != 0 && !table.opened.contains_key(&handle) {
                break handle;
            }
        };
        if let Some(before) = table.workers.insert(worker.to_owned(), handle) {
            table.opened.remove(&before);
        }
        table.opened.insert(handle, Opened { session, worker: worker.to_owned(), identity });
        Ok(handle)
    }

    /// The engine's number of a session, and its worker.
    ///
    /// # Errors
    /// There is no such session, or another caller opened it.
    pub(crate) fn find(&self, handle: u64, identity: &Identity) -> Result<(SessionId, String), Error> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = table.opened.get(&handle).filter(|opened| opened.identity == *identity);
        opened.map(|opened| (opened.session, opened.worker.clone())).ok_or(Error::UnknownSession)
    }

    /// The newest session of a worker, if a caller with another identity opened it.
    pub(crate) fn of_another(&self, worker: &str, identity: &Identity) -> Option<SessionId> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = table.opened.get(table.workers.get(worker)?)?;
        (opened.identity != *identity).then_some(opened.session)
    }

    /// Whether there are so many sessions that the ended ones should be removed.
    pub(crate) fn are_many(&self) -> bool {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.opened.len() > MANY && table.opened.len().is_power_of_two()
    }

    /// Forgets the sessions that are not live.
    pub(crate) fn keep(&self, lives: impl Fn(SessionId) -> bool) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.opened.retain(|_, opened| lives(opened.session));
        let Table { opened, workers } = &mut *table;
        workers.retain(|_, handle| opened.contains_key(handle));
    }
}

#[cfg(test)]
mod tests {
    use super::super::keyring::{Given, Presented};
    use super::super::{Keyring, Permission, Role, Secret};
    use super::*;

    fn identity() -> Identity {
        let (keyring, secret) = (Keyring::new(false), Secret::generate().unwrap());
        keyring.give(vec![Given { role: Role::Worker, digest: secret.digest() }], 0);
        let presented = Presented { secret: Some(&secret), certificate: None };
        keyring.admit(presented, Permission::Role(Role::Worker), 0).unwrap().caller.identity
    }

    #[test]
    fn a_session_is_found_by_whoever_opened_it_and_by_nobody_else() {
        let (sessions, mine, other) = (Sessions::default(), identity(), identity());
        let handle = sessions.open("w1", SessionId(7), mine.clone()).unwrap();
        assert_eq!(sessions.find(handle, &mine).unwrap(), (SessionId(7), "w1".to_owned()));
        assert!(matches!(sessions.find(handle, &other), Err(Error::UnknownSession)));
        for guess in [0, 1, 7, handle ^ 1] {
            assert!(sessions.find(guess, &mine).is_err(), "{guess}");
        }
        assert_eq!(sessions.of_another("w1", &other), Some(SessionId(7)));
        assert_eq!((sessions.of_another("w1", &mine), sessions.of_another("w2", &mine)), (None, None));
    }

    #[test]
    fn a_worker_has_one_session_and_ended_ones_are_forgotten() {
        let (sessions, mine) = (Sessions::default(), identity());
        let first = sessions.open("w1", SessionId(1), mine.clone()).unwrap();
        let second = sessions.open("w1", SessionId(2), mine.clone()).unwrap();
        assert!(sessions.find(first, &mine).is_err() && sessions.find(second, &mine).is_ok());
        let third = sessions.open("w2", SessionId(3), mine.clone()).unwrap();
        sessions.keep(|session| session == SessionId(2));
        assert!(sessions.find(third, &mine).is_err() && sessions.find(second, &mine).is_ok());
        assert_eq!(sessions.0.lock().unwrap().workers.len(), 1);
    }
}
