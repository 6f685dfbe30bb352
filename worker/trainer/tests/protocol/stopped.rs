//! A trainer that is suspended and continues.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sweep_spec::dataset::Source;
use sweep_spec::running::{LEAST_GAP, TICK};

use crate::trainer::{Trainer, line, train};

#[test]
fn time_in_which_a_trainer_was_stopped_is_in_no_number_but_its_own() {
    let cache = tempfile::tempdir().unwrap();
    let mut request = train(cache.path(), 2);
    request.trial.dataset.source = Source::SyntheticScenes { seed: 1, train_images: 4000, test_images: 16 };
    request.trial_id = request.trial.id().unwrap();
    let mut trainer = Trainer::start();
    let began = Instant::now();
    trainer.say(&line(&request));
    assert_eq!(trainer.read_event()["event"], "started");
    let process = Pid::from_child(&trainer.child);
    let stopped = Instant::now();
    kill_process(process, Signal::STOP).unwrap();
    // The length of the gap matters here, so there is no event to wait for.
    sleep(LEAST_GAP + Duration::from_secs(1));
    let stood = stopped.elapsed().as_secs_f64();
    kill_process(process, Signal::CONT).unwrap();
    let mut trained = 0.0;
    let finished = loop {
        let event = trainer.read_event();
        match event["event"].as_str() {
            Some("epoch") => trained += event["seconds"].as_f64().unwrap(),
            Some("finished") => break event,
            _ => panic!("{event}"),
        }
    };
    let whole = began.elapsed().as_secs_f64();
    let paused = finished["paused_seconds"].as_f64().unwrap();
    assert!(paused >= stood - TICK.as_secs_f64(), "paused for {paused} s of {stood} s");
    assert!(trained + paused <= whole, "{trained} s of training and {paused} s of standing still in {whole} s");
    let seconds = finished["provenance"]["seconds"].as_f64().unwrap();
    assert!((seconds - trained).abs() < 1e-9, "{seconds} {trained}");
    assert_eq!(trainer.status(), Some(0));
}
