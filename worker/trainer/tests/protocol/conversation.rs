//! Tests of the trainer's messages and of its exit.

use std::io::Write;

use serde_json::json;
use sweep_spec::Configuration;
use sweep_spec::dataset::Source;
use sweep_spec::trainer::EXIT_LEFT;

use crate::trainer::{Trainer, line, spawn, train};

#[test]
fn a_trainer_answers_one_trial_after_the_other() {
    let cache = tempfile::tempdir().unwrap();
    let mut request = train(cache.path(), 2);
    request.trial.protocol.keep_weights = sweep_spec::protocol::KeepWeights::All;
    let mut trainer = Trainer::start();
    trainer.say(r#"{"command":"devices"}"#);
    assert_eq!(trainer.read_event()["devices"][0]["name"], "cpu");
    let describe = json!({ "command": "describe", "dataset": request.trial.dataset, "folders": request.folders });
    trainer.say(&describe.to_string());
    let described = trainer.read_event();
    assert_eq!((&described["event"], &described["train_images"]), (&json!("described"), &json!(32)));
    for _ in 0..2 {
        trainer.say(&line(&request));
        let started = trainer.read_event();
        assert_eq!((&started["event"], &started["attempt"]), (&json!("started"), &json!(3)));
        assert_eq!(started["data"]["digest"], described["digest"]);
        for epoch in 1..=2 {
            let heard = trainer.read_event();
            assert_eq!((&heard["event"], &heard["epoch"]), (&json!("epoch"), &json!(epoch)));
        }
        let finished = trainer.read_event();
        assert_eq!((&finished["event"], &finished["outcome"]), (&json!("finished"), &json!("converged")));
        assert_eq!(finished["validation"]["labels"].as_array().unwrap().len(), 16);
        assert!(finished["provenance"]["peak_memory_bytes"].as_u64().unwrap() > 1_000_000);
    }
    for file in ["weights.safetensors", "thumbnails.png"] {
        assert!(cache.path().join("artifacts").join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let file = std::fs::read(cache.path().join("artifacts/weights.safetensors")).unwrap();
    let weights = safetensors::SafeTensors::deserialize(&file).unwrap();
    assert!(weights.tensor("conv1.weight").is_ok() && weights.tensor("output.bias").is_ok(), "{:?}", weights.names());
    assert_eq!(trainer.status(), Some(0));
}

#[test]
fn nothing_that_is_said_breaks_the_trainer() {
    let cache = tempfile::tempdir().unwrap();
    let mut absurd = train(cache.path(), 1);
    let Configuration::Cnn(cnn) = &mut absurd.trial.configuration else { panic!() };
    cnn.dense_units = u32::MAX;
    let mut trainer = Trainer::start();
    let lines = ["x", "{}", "[]", r#"{"command":"dance"}"#, r#"{"command":"train"}"#, "\u{fffd}", &"[".repeat(100_000)];
    for line in lines.into_iter().chain([line(&absurd).as_str()]) {
        trainer.say(line);
        let failed = trainer.read_event();
        assert_eq!((&failed["event"], &failed["class"]), (&json!("failed"), &json!("spec")), "{failed}");
        assert!(!failed["reason"].as_str().unwrap().is_empty());
    }
    trainer.say(r#"{"command":"devices"}"#);
    assert_eq!(trainer.read_event()["event"], "devices");
    assert_eq!(trainer.status(), Some(0));
}

/// Commands with bytes changed, doubled, cut and swapped, and random bytes: each line has one answer, and never a
/// crash.
#[test]
fn lines_that_nobody_would_write_have_an_answer() {
    let cache = tempfile::tempdir().unwrap();
    let mut request = train(cache.path(), 1);
    // Lines that are still commands then fail for lack of data, so that each line is answered at once.
    request.trial.dataset.source = Source::ImageFolder { path: "absent".into(), test_split: None };
    let command = line(&request).into_bytes();
    let mut trainer = Trainer::start();
    // A linear congruential generator: the lines are the same in each run.
    let mut seed = 1_u64;
    let mut below = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit
    };
    for number in 0..2000 {
        let mut bytes =
            if number % 4 == 0 { (0..below(200)).map(|_| below(256) as u8).collect() } else { command.clone() };
        for _ in 0..=below(4) {
            let at = below(bytes.len().max(1));
            match below(4) {
                0 => bytes.truncate(at),
                1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = below(256) as u8),
                2 => bytes.extend_from_within(at..),
                _ => bytes.rotate_left(at),
            }
        }
        bytes.retain(|byte| *byte != b'\n');
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        trainer.say_bytes(&bytes);
        let failed = trainer.read_event();
        let told = String::from_utf8_lossy(&bytes);
        assert_eq!(failed["event"], "failed", "{number}: {told}");
        assert_ne!(failed["class"], "trainer", "{number}: {failed} to {told}");
    }
    assert_eq!(trainer.status(), Some(0));
}

#[test]
fn sigterm_ends_it_with_75_idle_and_at_work() {
    let cache = tempfile::tempdir().unwrap();
    for at_work in [false, true] {
        let mut trainer = Trainer::start();
        if at_work {
            trainer.say(&line(&train(cache.path(), 1_000_000)));
            assert_eq!(trainer.read_event()["event"], "started");
            assert_eq!(trainer.read_event()["event"], "epoch");
        }
        trainer.terminate();
        assert_eq!(trainer.child.wait().unwrap().code(), Some(EXIT_LEFT), "at work: {at_work}");
    }
}

#[test]
fn a_trial_is_trained_to_its_end_when_the_input_ends_first() {
    let cache = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::start();
    trainer.say(&line(&train(cache.path(), 1)));
    trainer.stdin = None;
    for event in ["started", "epoch", "finished"] {
        assert_eq!(trainer.read_event()["event"], event);
    }
    assert_eq!(trainer.status(), Some(0));
}

#[test]
fn a_trainer_leaves_when_nobody_listens() {
    let cache = tempfile::tempdir().unwrap();
    let mut child = spawn();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    // The trainer may exit before the line arrives; the pipe is then closed.
    let _ = writeln!(stdin, "{}", line(&train(cache.path(), 1_000_000)));
    assert_eq!(child.wait().unwrap().code(), Some(EXIT_LEFT));
}
