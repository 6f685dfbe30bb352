//! Chooses the sweep that gets the next slot: by priority, then by user, then among the user's sweeps. The user with
//! fewer slots goes first, however many sweeps they have. Among the sweeps of one user, the sweep with fewer slots for
//! its weight goes first.
//!
//! No sweep starves. Each sweep counts the starts of other sweeps in slots that it could have used. When it has counted
//! too many, it goes next, whatever its priority. The limit grows with the number of waiting sweeps, so that all such
//! turns together take at most one start in `starvation_limit`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::Scheduler;
use crate::bug::Bug;
use crate::id::{SessionId, SweepId};

/// The sweeps that have a trial to start, while free slots are filled.
#[derive(Debug, Default)]
pub(crate) struct Line {
    sweeps: Vec<Waiting>,
    users: Vec<User>,
}

/// A sweep that waits for a slot.
#[derive(Debug)]
struct Waiting {
    id: SweepId,
    user: usize,
    priority: i32,
    weight: u64,
    running: u64,
    /// Starts of others, since its own last one, in slots that it could have had.
    passed: u64,
}

/// A user with sweeps among them.
#[derive(Debug, Default)]
struct User {
    /// Slots of all of their sweeps.
    running: u64,
    /// When one of their sweeps last got a slot, as a number of starts.
    served: u64,
    /// How many of their sweeps wait.
    waiting: u64,
}

impl Line {
    /// The sweeps that could use a slot, in the order of their claim. `fits` decides whether a sweep could use it.
    pub(crate) fn in_order(&self, fits: impl Fn(SweepId) -> bool, limit: u64) -> Vec<SweepId> {
        let mut found: Vec<&Waiting> = self.sweeps.iter().filter(|sweep| fits(sweep.id)).collect();
        // The sweep that is overdue for longest goes first; sweeps that are not overdue come last.
        found.sort_by_key(|sweep| (Reverse(self.overdue(sweep, limit).map_or(0, |by| by + 1)), self.claim(sweep)));
        found.into_iter().map(|sweep| sweep.id).collect()
    }

    /// The key by which sweeps are ordered.
    fn claim(&self, sweep: &Waiting) -> (Reverse<i32>, u64, u64, u64, SweepId) {
        let user = self.users.get(sweep.user);
        let (running, served) = user.map_or((0, 0), |user| (user.running, user.served));
        let share = sweep.running.saturating_mul(1_000_000) / sweep.weight.max(1);
        (Reverse(sweep.priority), running, served, share, sweep.id)
    }

    /// By how many starts a sweep has been passed over more often than it may be.
    fn overdue(&self, sweep: &Waiting, limit: u64) -> Option<u64> {
        if limit == 0 {
            return None;
        }
        let own = self.users.get(sweep.user).map_or(1, |user| user.waiting);
        let most = limit.saturating_mul(self.users.len() as u64).saturating_mul(own);
        sweep.passed.checked_sub(most)
    }
}

impl Scheduler {
    /// The sweeps that have a trial to start now.
    pub(crate) fn line(&self) -> Line {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut users: Vec<User> = Vec::new();
        let mut sweeps = Vec::new();
        let ready = self.sweeps.values().filter(|sweep| sweep.is_ready());
        for sweep in ready {
            let user = *numbers.entry(sweep.spec.owner.as_str()).or_insert_with(|| {
                users.push(User::default());
                users.len() - 1
            });
            if let Some(user) = users.get_mut(user) {
                user.waiting += 1;
            }
            sweeps.push(Waiting {
                id: sweep.spec.id,
                user,
                priority: sweep.spec.priority,
                weight: u64::from(sweep.spec.weight),
                running: sweep.totals.running,
                passed: sweep.passed,
            });
        }
        // All sweeps of a user count, including those without waiting trials.
        for sweep in self.sweeps.values() {
            let user = numbers.get(sweep.spec.owner.as_str()).and_then(|user| users.get_mut(*user));
            if let Some(user) = user {
                user.running += sweep.totals.running;
                user.served = user.served.max(sweep.served);
            }
        }
        Line { sweeps, users }
    }

    /// Takes notice of a start on a slot: those who wait in the line, and could have had it, were passed over.
    pub(crate) fn note_start(&mut self, line: &Line, (session, slot): (SessionId, u32)) {
        let passed: Vec<SweepId> =
            line.sweeps.iter().map(|sweep| sweep.id).filter(|id| self.could_use(*id, session, slot)).collect();
        for id in passed {
            // The start of this sweep has set its count to zero.
            if let Some(sweep) = self.sweeps.get_mut(&id).filter(|sweep| sweep.served != self.starts) {
                sweep.passed += 1;
            }
        }
    }

    /// Whether a slot has the data and the memory for something of a sweep that waits.
    pub(crate) fn could_use(&self, id: SweepId, session: SessionId, slot: u32) -> bool {
        let Some(sweep) = self.sweeps.get(&id).filter(|sweep| sweep.is_ready()) else { return false };
        let Some(session) = self.sessions.get(&session) else { return false };
        let offer = session.slots.get(slot as usize).map(|slot| &slot.offer);
        let (Some(offer), Some(pin), Some(least)) = (offer, sweep.pin, sweep.least_memory()) else { return false };
        session.has(&sweep.spec.dataset, pin) && offer.fits(least)
    }

    /// After how many starts of others a sweep goes next; 0 for never.
    pub(crate) fn starvation_limit(&self) -> u64 {
        if self.has(Bug::Starvation) { 0 } else { u64::from(self.config.starvation_limit) }
    }
}
