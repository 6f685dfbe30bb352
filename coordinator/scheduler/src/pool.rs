//! Pools: workers that something outside (an autoscaler) starts when trials wait and ends when they have nothing to do. A
//! pool is declared in the configuration, so trials that no connected worker fits wait while a declared pool fits them.
//!
//! A trial that waits counts for one pool: the first in the order of the configuration that fits it and may have more
//! workers. So one trial never asks two pools for a slot.

use std::collections::BTreeMap;

use crate::Scheduler;
use crate::id::{PoolName, SweepId};
use crate::session::{Session, SlotUse};
use crate::sweep::Sweep;

/// A kind of worker that may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The name with which its workers register.
    pub name: PoolName,
    /// Slots of each of its workers.
    pub slots: u32,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Memory of each slot; `None` where it is not known, and then everything fits.
    pub memory_bytes: Option<u64>,
    /// The most workers that it may have; `None` for any number.
    pub max_workers: Option<u32>,
}

/// A pool as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolView {
    pub name: PoolName,
    /// Slots that trials that wait would take in it.
    pub queued_slots: u64,
    /// Slots of its workers that run a trial or are still stopping one.
    pub busy_slots: u64,
    /// Connected workers of the pool.
    pub workers: u64,
}

impl Pool {
    fn fits(&self, memory_bytes: u64) -> bool {
        self.memory_bytes.is_none_or(|offered| offered >= memory_bytes)
    }
}

impl Scheduler {
    /// The declared pools, in their order.
    pub fn pools(&self) -> Vec<PoolView> {
        let mut views: Vec<PoolView> = self.config.pools.iter().map(|pool| self.connected_of(pool)).collect();
        if views.is_empty() {
            return views;
        }
        let room = |(pool, view): (&Pool, &PoolView)| {
            let most = pool.max_workers.map(|most| u64::from(most).saturating_mul(u64::from(pool.slots)));
            most.map_or(u64::MAX, |most| most.saturating_sub(view.busy_slots))
        };
        let mut rooms: Vec<u64> = self.config.pools.iter().zip(&views).map(room).collect();
        for sweep in self.sweeps.values() {
            let fitting = self.pools_with_data(sweep);
            for (memory_bytes, trials) in sweep.demand() {
                let fits = |index: &&usize| self.config.pools.get(**index).is_some_and(|pool| pool.fits(memory_bytes));
                let mut left = trials;
                for index in fitting.iter().filter(fits) {
                    let Some((room, view)) = rooms.get_mut(*index).zip(views.get_mut(*index)) else { continue };
                    let taken = left.min(*room);
                    *room -= taken;
                    view.queued_slots += taken;
                    left -= taken;
                }
                // Trials for which all pools together have no room wait for the first pool.
                if let Some(view) = fitting.iter().find(fits).and_then(|index| views.get_mut(*index)) {
                    view.queued_slots += left;
                }
            }
        }
        views
    }

    /// The pool whose workers a sweep waits for, if no worker that is connected fits it.
    pub fn awaited_pool(&self, id: SweepId) -> Option<&PoolName> {
        let sweep = self.sweeps.get(&id)?;
        self.lack(sweep)?;
        self.pool_for(sweep).map(|pool| &pool.name)
    }

    /// The first pool that may have more workers and that fits waiting trials of a sweep.
    pub(crate) fn pool_for(&self, sweep: &Sweep) -> Option<&Pool> {
        let least = sweep.demand().into_keys().next()?;
        let pools = self.pools_with_data(sweep).into_iter().filter_map(|index| self.config.pools.get(index));
        pools.filter(|pool| pool.fits(least)).find(|pool| {
            let connected = self.of_pool(&pool.name).count();
            pool.max_workers.is_none_or(|most| connected < most as usize)
        })
    }

    /// The places of pools none of whose workers lacks the data of a sweep.
    fn pools_with_data(&self, sweep: &Sweep) -> Vec<usize> {
        let lacks = |session: &Session| session.unfit_data(&sweep.spec.dataset, sweep.pin).is_some();
        let pools = self.config.pools.iter().enumerate();
        pools.filter(|(_, pool)| !self.of_pool(&pool.name).any(lacks)).map(|(index, _)| index).collect()
    }

    fn connected_of(&self, pool: &Pool) -> PoolView {
        let busy = |session: &Session| session.slots.iter().filter(|slot| slot.use_ != SlotUse::Free).count() as u64;
        let busy_slots = self.of_pool(&pool.name).map(busy).sum();
        let workers = self.of_pool(&pool.name).count() as u64;
        PoolView { name: pool.name.clone(), queued_slots: 0, busy_slots, workers }
    }

    fn of_pool<'a>(&'a self, name: &'a PoolName) -> impl Iterator<Item = &'a Session> {
        self.sessions.values().filter(move |session| !session.left && session.pool.as_ref() == Some(name))
    }
}

impl Sweep {
    /// The memory that trials need which could be started now, or once the data are settled, and how many need it.
    pub(crate) fn demand(&self) -> BTreeMap<u64, u64> {
        let mut demand = BTreeMap::new();
        // The allowance is unknown before the data are pinned.
        if self.spec.paused || self.stopping.is_some() {
            return demand;
        }
        if self.pin.is_none() {
            return self.unbound.clone();
        }
        if self.held_back().is_some() {
            for entry in self.startable() {
                *demand.entry(entry.memory_bytes).or_default() += 1;
            }
            return demand;
        }
        let mut left = self.spec.allowance.unwrap_or(u64::MAX);
        for (memory_bytes, trials) in self.queue.memory() {
            let taken = trials.min(left);
            left -= taken;
            if taken > 0 {
                *demand.entry(memory_bytes).or_default() += taken;
            }
        }
        demand
    }
}
