//! Which content a sweep is pinned to when workers do not agree.

use sweep_scheduler::effect::SweepEnd;
use sweep_scheduler::event::{Ending, NewSweep};
use sweep_scheduler::{Effect, Event, SessionId};
use sweep_spec::retry::Changes;
use sweep_spec::{Digest, FailureClass, Outcome};

use crate::env::{self, Env, config, lease};

const WRONG: &[u8] = b"what nobody else has";

fn right() -> Digest {
    env::data()
}

fn says(env: &mut Env, session: u64, digest: Digest) -> Vec<Effect> {
    let answer = Ok(digest);
    env.apply(Event::Described { session: SessionId(session), dataset: env::dataset(), answer })
}

fn pin(env: &Env, id: u64) -> Option<Digest> {
    env.scheduler.sweep(env::sweep(id)).and_then(|sweep| sweep.pin)
}

fn nothing_of(env: &Env, id: u64) -> Vec<String> {
    env.scheduler.leaves_out(env::sweep(id)).into_iter().map(|one| one.worker.0).collect()
}

/// Workers of one slot, and a sweep of two trials; the first worker describes wrong content.
fn misled(workers: u64) -> Env {
    let mut env = Env::new(config());
    for session in 1..=workers {
        env.worker(session, &format!("w{session}"), 1);
    }
    env.submit(1, &[&[(10, 5), (11, 5)]]);
    says(&mut env, 1, Digest::of(WRONG));
    assert_eq!(pin(&env, 1), Some(Digest::of(WRONG)), "nothing waits for a second word");
    assert_eq!(env.running(1), [lease(10, 1, 1)]);
    env
}

#[test]
fn one_wrong_word_gives_way_to_two_that_agree() {
    let mut env = misled(3);
    says(&mut env, 2, right());
    assert_eq!((pin(&env, 1), nothing_of(&env, 1)), (Some(Digest::of(WRONG)), vec!["w2".to_owned()]));
    let effects = says(&mut env, 3, right());
    assert!(effects.contains(&Effect::DataPinned { sweep: env::sweep(1), digest: right() }));
    assert!(effects.contains(&Effect::AttemptEnded { lease: lease(10, 1, 1), ending: Ending::Stopped }));
    assert_eq!(nothing_of(&env, 1), ["w1"], "now it is the one that gets nothing");
    let (two, three) = (env.only_running(2), env.only_running(3));
    assert_eq!((two.round, three.round), (2, 2), "the rounds began anew");
    env.succeed(2, two);
    let ended = env.succeed(3, three);
    assert!(ended.contains(&Effect::SweepEnded { sweep: env::sweep(1), end: SweepEnd::Succeeded }), "{ended:?}");
}

#[test]
fn a_worker_that_fails_for_its_data_has_no_word_about_them_any_more() {
    let mut env = misled(2);
    says(&mut env, 2, right());
    assert_eq!(pin(&env, 1), Some(Digest::of(WRONG)), "one word against one");
    // It trains on what it truly has.
    let running = env.only_running(1);
    env.succeed(1, running);
    assert_eq!(pin(&env, 1), Some(right()));
    assert_eq!(env.running(2).len(), 1);
    let asked = env.scheduler.poll_answer(SessionId(1), &[]).unwrap().describe;
    assert_eq!(asked, [env::dataset()], "it is asked again");
    says(&mut env, 1, Digest::of(b"something else"));
    assert_eq!((pin(&env, 1), nothing_of(&env, 1)), (Some(right()), vec!["w1".to_owned()]));
}

#[test]
fn content_that_only_a_departed_worker_read_is_not_waited_for() {
    let mut env = misled(2);
    says(&mut env, 2, right());
    env.now = env.now.plus(config().lease_ttl_ms - 1);
    env.poll(2);
    let effects = env.pass(1);
    assert!(effects.contains(&Effect::DataPinned { sweep: env::sweep(1), digest: right() }), "{effects:?}");
    assert_eq!(env.running(2).len(), 1);
}

#[test]
fn a_worker_that_can_train_nothing_has_no_word() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 0).worker(2, "w2", 1);
    env.submit(1, &[&[(10, 5)]]);
    says(&mut env, 1, Digest::of(WRONG));
    says(&mut env, 2, right());
    assert_eq!((pin(&env, 1), env.running(2).len()), (Some(right()), 1));
}

#[test]
fn a_result_confirms_a_pin_for_every_sweep_that_has_it() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1);
    env.submit(1, &[&[(10, 9)]]);
    env.submit(2, &[&[(11, 5), (12, 5)]]);
    says(&mut env, 1, right());
    let first = env.only_running(1);
    env.succeed(1, first);
    assert_eq!(pin(&env, 1), None, "it has ended, and its result is known to the other all the same");
    for session in 2..=4 {
        env.worker(session, &format!("w{session}"), 1);
        says(&mut env, session, Digest::of(WRONG));
    }
    assert_eq!((pin(&env, 2), nothing_of(&env, 2)), (Some(right()), ["w2", "w3", "w4"].map(str::to_owned).to_vec()));
}

#[test]
fn a_pin_that_was_asked_for_stays() {
    let mut env = Env::new(config());
    let new = NewSweep {
        id: env::sweep(1),
        priority: 0,
        weight: 1,
        owner: String::new(),
        paused: false,
        retry: Changes::new(),
        dataset: env::dataset(),
        pin: Some(right()),
        settled: true,
        stages: 1,
        fresh: false,
        reproduces: false,
        allowance: None,
    };
    env.apply(Event::SubmitSweep(new));
    env.apply(Event::OpenStage { sweep: env::sweep(1), stage: 0, trials: vec![env::wanted(10, 5)] });
    for session in 1..=3 {
        env.worker(session, &format!("w{session}"), 1);
        says(&mut env, session, Digest::of(WRONG));
    }
    assert_eq!((pin(&env, 1), nothing_of(&env, 1).len()), (Some(right()), 3));
}

#[test]
fn sweeps_that_share_trials_change_together() {
    let mut env = Env::new(config());
    for session in 1..=3 {
        env.worker(session, &format!("w{session}"), 1);
    }
    env.submit(1, &[&[(10, 5), (11, 5)]]);
    env.submit(2, &[&[(11, 5), (12, 5)]]);
    says(&mut env, 1, Digest::of(WRONG));
    says(&mut env, 2, right());
    says(&mut env, 3, right());
    assert_eq!((pin(&env, 1), pin(&env, 2)), (Some(right()), Some(right())));
    env.restart();
    assert_eq!((pin(&env, 1), pin(&env, 2)), (Some(right()), Some(right())));
}

#[test]
fn a_sweep_that_goes_on_after_its_end_follows_the_workers_of_now() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1);
    env.submit(1, &[&[(10, 5)]]);
    says(&mut env, 1, Digest::of(WRONG));
    while let Some(lease) = env.running(1).first().copied() {
        env.fail(1, lease, FailureClass::Spec);
    }
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
    env.submit(2, &[&[(11, 5)]]);
    for session in 2..=3 {
        env.worker(session, &format!("w{session}"), 1);
        says(&mut env, session, right());
    }
    env.retry(1);
    assert_eq!((pin(&env, 1), pin(&env, 2)), (Some(right()), Some(right())));
}

#[test]
fn workers_that_never_agree_with_themselves_do_not_keep_a_sweep_from_its_end() {
    let mut env = Env::new(config());
    env.submit(1, &[&[(10, 5)]]);
    let mut pins = 0;
    for number in 0_u64..40 {
        env.worker(1 + number, "liar", 1);
        let effects = says(&mut env, 1 + number, Digest::of(&number.to_le_bytes()));
        pins += effects.iter().filter(|effect| matches!(effect, Effect::DataPinned { .. })).count();
    }
    assert_eq!(pins, 1 + 8);
}

#[test]
fn an_answer_that_was_not_asked_for_changes_nothing() {
    let mut env = misled(1);
    let effects = says(&mut env, 1, right());
    assert_eq!(effects, [Effect::Ignored(sweep_scheduler::Ignored::Repeated)]);
    let running = env.only_running(1);
    let ending = Ending::Succeeded { outcome: Outcome::Converged, data_digest: Digest::of(WRONG) };
    let ended = env.apply(Event::Finish { session: SessionId(1), lease: running, ending: ending.clone() });
    assert!(ended.contains(&Effect::AttemptEnded { lease: running, ending }), "alone, its word is all that there is");
}
