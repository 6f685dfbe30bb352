//! Backpressure on useless requests: reports on expired leases, points that are already stored, invalid messages, polls that
//! replace polls. Each is answered, but with a growing delay, so that one faulty program costs the others little. Useful
//! requests are never delayed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

/// Useless requests of a connection without a delay: after a network partition a worker repeats many reports.
const FREE: f64 = 256.0;
/// Useless requests that are forgotten per second.
const FORGOTTEN_PER_SECOND: f64 = 16.0;
/// Additional delay for each further request.
const STEP: Duration = Duration::from_millis(5);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// The most remembered connections.
const MAX_PEERS: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Debt {
    calls: f64,
    at: Instant,
    logged: bool,
}

impl Debt {
    fn left(self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.calls - passed * FORGOTTEN_PER_SECOND).max(0.0)
    }
}

/// The useless requests of each connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backpressure(Arc<Mutex<HashMap<SocketAddr, Debt>>>);

impl Backpressure {
    /// Counts a useless request from `peer`, and waits for its delay.
    pub(crate) async fn delay(&self, peer: Option<SocketAddr>) {
        // A caller without an address is in this process.
        let Some(peer) = peer else { return };
        let wait = self.charge(peer, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn charge(&self, peer: SocketAddr, now: Instant) -> Duration {
        let mut debts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if debts.len() >= MAX_PEERS && !debts.contains_key(&peer) {
            debts.retain(|_, debt| debt.left(now) > FREE);
            if debts.len() >= MAX_PEERS {
                // The table is full of busy connections: every further one gets the longest delay.
                return LONGEST_DELAY;
            }
        }
        let debt = debts.entry(peer).or_insert(Debt { calls: 0.0, at: now, logged: false });
        let calls = debt.left(now) + 1.0;
        *debt = Debt { calls, at: now, logged: debt.logged && calls > FREE };
        if calls <= FREE {
            return Duration::ZERO;
        }
        if !debt.logged {
            debt.logged = true;
            warn!(%peer, "a caller keeps sending useless requests: its answers are delayed");
        }
        // Requests beyond the longest delay are not counted, so that a caller that recovers is soon answered at once.
        let most = FREE + LONGEST_DELAY.as_secs_f64() / STEP.as_secs_f64();
        debt.calls = calls.min(most);
        STEP.mul_f64(debt.calls - FREE).min(LONGEST_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn whoever_goes_on_waits_longer_and_whoever_stops_is_forgiven() {
        let (backpressure, start) = (Backpressure::default(), Instant::now());
        let waits: Vec<_> = (0..1000).map(|_| backpressure.charge(peer(1), start)).collect();
        assert!(waits[..FREE as usize].iter().all(Duration::is_zero));
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits[999], LONGEST_DELAY);
        assert!(backpressure.charge(peer(2), start).is_zero(), "another is not punished for it");
        let later = start + Duration::from_secs(60);
        assert!(backpressure.charge(peer(1), later).is_zero());
    }

    #[test]
    fn a_caller_that_is_wrong_now_and_then_is_never_slowed() {
        let (backpressure, start) = (Backpressure::default(), Instant::now());
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            assert!((0..10).all(|_| backpressure.charge(peer(1), now).is_zero()), "second {second}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (backpressure, start) = (Backpressure::default(), Instant::now());
        for port in 0..2 * MAX_PEERS {
            backpressure.charge(peer(port as u16), start);
        }
        assert!(backpressure.0.lock().unwrap().len() <= MAX_PEERS);
    }
}
