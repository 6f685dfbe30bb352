//! One computation for concurrent callers with the same key: the others wait for it, and then read its result from the
//! cache.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type Under<K> = Arc<Mutex<HashMap<K, Arc<AsyncMutex<()>>>>>;

/// The running computations, by key.
#[derive(Clone)]
pub(crate) struct SingleFlight<K>(Under<K>);

/// The right to compute the value of a key. When it is dropped, the next caller gets the right.
pub(crate) struct Flight<K: Eq + Hash> {
    under: Under<K>,
    key: K,
    turn: Option<OwnedMutexGuard<()>>,
}

impl<K> Default for SingleFlight<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Copy + Eq + Hash> SingleFlight<K> {
    /// Waits until no other caller computes this key.
    pub(crate) async fn enter(&self, key: K) -> Flight<K> {
        let turn = self.0.lock().map(|mut under| Arc::clone(under.entry(key).or_default())).unwrap_or_default();
        // Created before the wait, so that a caller that stops waiting also removes its entry.
        let mut flight = Flight { under: Arc::clone(&self.0), key, turn: None };
        flight.turn = Some(turn.lock_owned().await);
        flight
    }

    /// Whether a caller computes this key.
    pub(crate) fn is_in_flight(&self, key: &K) -> bool {
        self.0.lock().is_ok_and(|under| under.contains_key(key))
    }
}

impl<K: Eq + Hash> Drop for Flight<K> {
    fn drop(&mut self) {
        let Ok(mut under) = self.under.lock() else { return };
        self.turn = None;
        // Waiting callers have a reference too.
        if under.get(&self.key).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            under.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_asks_meanwhile_waits_and_nothing_is_left_behind() {
        let flights: SingleFlight<u32> = SingleFlight::default();
        let (computing, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut asked = tokio::task::JoinSet::new();
        for index in 0..20 {
            let (flights, computing, most) = (flights.clone(), Arc::clone(&computing), Arc::clone(&most));
            asked.spawn(async move {
                let _flight = flights.enter(index % 2).await;
                most.fetch_max(computing.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                computing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        while asked.join_next().await.is_some() {}
        assert!(most.load(Ordering::SeqCst) <= 2, "one for each of two keys");
        // A caller that stops waiting leaves no entry either.
        let held = flights.enter(0).await;
        assert!(flights.enter(0).now_or_never().is_none());
        drop(held);
        assert!(!flights.is_in_flight(&0) && !flights.is_in_flight(&1));
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
