//! A bad network between a worker and its coordinator: it ends no running trial, and no late result is accepted next to
//! another.

use std::time::Duration;

use rustix::process::Signal;
use sweep_tests::fleet::Process;
use sweep_tests::proxy::{Proxy, Way};
use sweep_tests::scripted::Script;

use super::env::{EVENT_TIMEOUT, Env};

const BOTH: [Way; 2] = [Way::There, Way::Back];

/// A lease that a test can wait out, and one that outlasts every test; in milliseconds.
const SHORT: u64 = 1000;
const LONG: u64 = 600_000;

/// An attempt of the sweep was given up.
const EXPIRED: &str =
    "SELECT COUNT(*) FROM sweep_trials t JOIN attempts a ON a.trial = t.trial WHERE t.sweep = ?1 AND a.state = 4";

/// Trials with a result.
const SOME: &str = "SELECT COUNT(*) >= 4 FROM sweep_trials t JOIN rounds r ON r.trial = t.trial
    WHERE t.sweep = ?1 AND r.state = 1";

/// A coordinator whose first attempts wait at a gate, and a worker `w1` behind a proxy.
struct Cut {
    env: Env,
    proxy: Proxy,
    _worker: Process,
}

impl Cut {
    async fn new(gated: bool, lease_ttl_ms: u64) -> Self {
        // Processes work in the fleet's folder.
        let script = Script { epoch_ms: 5, gate: gated.then(|| "gate".into()), ..Script::default() };
        let env = Env::with(&script, |fleet| {
            // Who waits at the gate says nothing.
            fleet.coordinator_key("lease_ttl_ms", lease_ttl_ms.into()).worker_key("trainer_silence_seconds", 600.into())
        });
        let proxy = Proxy::start(env.address).await.unwrap();
        let worker = env.fleet.worker("w1", proxy.address()).unwrap();
        Self { env, proxy, _worker: worker }
    }

    fn open_gate(&self) {
        std::fs::write(self.env.path("gate"), "").unwrap();
    }

    /// Cuts `w1` off for longer than its lease.
    async fn cut_off(&self, sweep: u64, ways: &[Way]) {
        self.proxy.stall(ways);
        self.env.stored(sweep, EXPIRED).await;
    }
}

#[tokio::test]
async fn a_worker_that_was_cut_off_goes_on_and_is_adopted() {
    let cut = Cut::new(true, SHORT).await;
    let sweep = cut.env.submit(1).await;
    cut.env.running(sweep).await;
    cut.cut_off(sweep, &BOTH).await;
    cut.proxy.heal();
    cut.env.running(sweep).await;
    cut.open_gate();
    cut.env.ended(sweep).await;
    let count = cut.env.exactly_once(sweep, 1).await;
    assert_eq!(count.attempts, 1, "nothing was computed twice: {count:?}");
}

#[tokio::test]
async fn what_a_worker_finished_while_it_was_cut_off_is_not_computed_again() {
    let cut = Cut::new(true, SHORT).await;
    let sweep = cut.env.submit(1).await;
    cut.env.running(sweep).await;
    cut.cut_off(sweep, &BOTH).await;
    cut.open_gate();
    // Its trainer has ended when another could begin: the worker keeps what it cannot hand in.
    cut.env.journaled("ended").await;
    cut.proxy.heal();
    cut.env.ended(sweep).await;
    let count = cut.env.exactly_once(sweep, 1).await;
    assert_eq!(count.attempts, 1, "nothing was computed twice: {count:?}");
}

#[tokio::test]
async fn a_late_result_is_not_accepted_beside_another() {
    for ways in [&BOTH[..], &[Way::There], &[Way::Back]] {
        let cut = Cut::new(true, SHORT).await;
        let sweep = cut.env.submit(1).await;
        assert_eq!(cut.env.running(sweep).await, "w1");
        cut.cut_off(sweep, ways).await;
        let second = cut.env.worker("w2");
        cut.env.ended(sweep).await;
        cut.open_gate();
        second.signal(Signal::TERM);
        assert_eq!(second.wait(EVENT_TIMEOUT).unwrap().code(), Some(0));
        cut.proxy.heal();
        // When it has done another, it has said all that it had to say of the first.
        let next = cut.env.submit(2).await;
        cut.env.ended(next).await;
        let count = cut.env.exactly_once(sweep, 1).await;
        let endings = [count.endings["expired"], count.endings["succeeded"], count.attempts];
        assert_eq!(endings, [1, 1, 2], "{ways:?}: {count:?}");
    }
}

/// Runs a sweep with `disturb` in the middle; no attempt is lost.
async fn undisturbed(lease_ttl_ms: u64, disturb: impl AsyncFnOnce(&Proxy)) {
    const TRIALS: u32 = 12;
    let cut = Cut::new(false, lease_ttl_ms).await;
    let sweep = cut.env.submit(TRIALS).await;
    cut.env.stored(sweep, SOME).await;
    disturb(&cut.proxy).await;
    cut.env.ended(sweep).await;
    let count = cut.env.exactly_once(sweep, TRIALS.into()).await;
    assert_eq!(count.attempts_max, 1, "{count:?}");
}

#[tokio::test]
async fn a_delay_on_everything_only_slows() {
    undisturbed(LONG, async |proxy| proxy.delay(Duration::from_millis(300))).await;
}

#[tokio::test]
async fn connections_that_are_reset_are_made_again() {
    undisturbed(LONG, async |proxy| {
        for _ in 0..10 {
            proxy.reset();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_coordinator_that_refuses_for_a_while_is_waited_for() {
    undisturbed(LONG, async |proxy| {
        proxy.refuse();
        proxy.reset();
        tokio::time::sleep(Duration::from_secs(1)).await;
        proxy.heal();
    })
    .await;
}

#[tokio::test]
async fn connections_that_are_half_closed_are_made_again() {
    undisturbed(LONG, async |proxy| {
        for way in [Way::There, Way::Back] {
            proxy.half_close(way);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_times_out_cancels_no_trial() {
    // Calls are given up after ten seconds and a third of the lease.
    let cut = Cut::new(true, 15_000).await;
    let sweep = cut.env.submit(1).await;
    cut.env.running(sweep).await;
    cut.proxy.stall(&[Way::Back]);
    cut.env.logged("w1", "cannot reach the coordinator, training continues").await;
    cut.proxy.heal();
    cut.open_gate();
    cut.env.ended(sweep).await;
    let count = cut.env.exactly_once(sweep, 1).await;
    assert_eq!(count.attempts, 1, "{count:?}");
}
