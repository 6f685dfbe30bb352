//! Patience with callers whose calls change nothing: words about leases that no longer hold, points that are stored,
//! messages that make no sense, polls on top of polls. Each is answered, but whoever goes on is answered later and later,
//! so that one program that has lost its way costs the others little. Calls that are of use are never slowed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

/// Calls in vain that nobody holds against a connection: after a partition a worker says much again.
const FREE: f64 = 256.0;
/// How many are forgotten a second.
const FORGOTTEN_PER_SECOND: f64 = 16.0;
/// By how much each further one makes its answer wait, and the longest wait.
const STEP: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(1);
/// Connections that are remembered.
const MAX_PEERS: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Debt {
    calls: f64,
    at: Instant,
    said: bool,
}

impl Debt {
    fn left(self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.calls - passed * FORGOTTEN_PER_SECOND).max(0.0)
    }
}

/// What is held against each connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backpressure(Arc<Mutex<HashMap<SocketAddr, Debt>>>);

impl Backpressure {
    /// Waits as long as a call in vain from `peer` is to wait for its answer.
    pub(crate) async fn lose(&self, peer: Option<SocketAddr>) {
        // Whoever has no address is in this process.
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
                // So many at once are not told apart any more.
                return LONGEST;
            }
        }
        let debt = debts.entry(peer).or_insert(Debt { calls: 0.0, at: now, said: false });
        let calls = debt.left(now) + 1.0;
        *debt = Debt { calls, at: now, said: debt.said && calls > FREE };
        if calls <= FREE {
            return Duration::ZERO;
        }
        if !debt.said {
            debt.said = true;
            warn!(%peer, "a caller keeps sending useless requests: its answers are delayed");
        }
        // What is owed beyond the longest wait is not remembered, so that whoever comes to reason is not punished for long.
        let most = FREE + LONGEST.as_secs_f64() / STEP.as_secs_f64();
        debt.calls = calls.min(most);
        STEP.mul_f64(debt.calls - FREE).min(LONGEST)
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
        assert_eq!(waits[999], LONGEST);
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
