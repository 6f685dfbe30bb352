//! A trial whose trainers are killed, or asked to exit, gives the same result as an uninterrupted one.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sweep_spec::Configuration;
use sweep_spec::protocol::{KeepWeights, Monitor, Schedule};
use sweep_spec::trainer::{EXIT_LEFT, Train};

use crate::trainer::{Trainer, line, train};

/// More than all interrupted attempts report, read or unread: 14, and three times the capacity of the pipe.
const EPOCHS: u32 = 80;

/// Batch normalisation, dropout, and a schedule that acts.
fn trial(folder: &Path) -> Train {
    let mut request = train(folder, EPOCHS);
    let Configuration::Cnn(cnn) = &mut request.trial.configuration else { panic!() };
    (cnn.dropout, cnn.max_pool) = (0.25, true);
    request.trial.protocol.batch_size = 8;
    request.trial.protocol.keep_weights = KeepWeights::All;
    request.trial.protocol.schedule = Schedule::ReduceOnPlateau {
        monitor: Monitor::ValAccuracy,
        factor: 0.5,
        patience: 2,
        min_delta: 0.0001,
        cooldown: 0,
        min_learning_rate: 1e-6,
    };
    request.trial_id = request.trial.id().unwrap();
    request.artifact_folder = Some(folder.join("artifacts").to_string_lossy().into_owned());
    request
}

/// The output of a complete attempt and its weights, without the parts that may differ: times, attempt, memory.
fn answer(mut trainer: Trainer, request: &Train) -> Value {
    trainer.stdin = None;
    let mut events = trainer.read_remaining();
    assert_eq!(trainer.status(), Some(0));
    assert_eq!(events.last().unwrap()["event"], "finished");
    events.retain(|event| event["event"] == "epoch" || event["event"] == "finished");
    let weights = fs::read(Path::new(request.artifact_folder.as_ref().unwrap()).join("weights.safetensors")).unwrap();
    let mut answer = json!({ "events": events, "weights": blake3::hash(&weights).to_hex().to_string() });
    forget_times(&mut answer);
    answer
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["attempt", "seconds", "images_per_second", "peak_memory_bytes", "paused_seconds"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The result of an uninterrupted trainer without checkpoints.
fn straight() -> Value {
    let folder = tempfile::tempdir().unwrap();
    let request = trial(folder.path());
    let mut trainer = Trainer::start();
    trainer.say(&line(&request));
    let answer = answer(trainer, &request);
    let rates: Vec<_> =
        answer["events"].as_array().unwrap().iter().filter_map(|event| event["learning_rate"].as_f64()).collect();
    assert_eq!(rates.len(), EPOCHS as usize);
    assert!(rates[EPOCHS as usize - 1] < rates[0], "the schedule fired: {rates:?}");
    answer
}

/// Starts a trainer for the next attempt, and reads the epochs that it repeats.
fn next(request: &mut Train, said: &mut Vec<Value>) -> Trainer {
    request.attempt += 1;
    let mut trainer = Trainer::start();
    trainer.say(&line(request));
    let started = trainer.read_event();
    assert_eq!(started["event"], "started");
    let first = started["first_epoch"].as_u64().unwrap() as usize;
    assert!(said.is_empty() || first > 1, "it goes on from a checkpoint");
    let mut again = Vec::new();
    for epoch in 1..first {
        let mut event = trainer.read_event();
        assert_eq!((&event["event"], &event["epoch"]), (&json!("epoch"), &json!(epoch)));
        event["attempt"].take();
        again.push(event);
    }
    let known = again.len().min(said.len());
    assert_eq!(again[..known], said[..known], "epochs are said again as they were, times and all");
    *said = again;
    trainer
}

/// Reads `count` more epochs, and the checkpoint after the last of them if `every` is 1.
fn read_epochs(trainer: &mut Trainer, count: usize, said: &mut Vec<Value>) {
    let wanted = said.len() + count;
    while said.len() < wanted {
        let mut event = trainer.read_event();
        if event["event"] == "epoch" {
            event["attempt"].take();
            said.push(event);
        } else {
            assert_eq!(event["event"], "checkpoint");
        }
    }
}

/// The result of a trial whose trainers are stopped one after the other by `end`.
fn disturbed(every: u32, end: impl Fn(&mut Trainer)) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut request = trial(folder.path());
    request.checkpoint_folder = Some(folder.path().join("checkpoints-0").to_string_lossy().into_owned());
    request.checkpoint_every = every;
    let mut said = Vec::new();
    for (attempt, epochs) in [5, 3, 6].into_iter().enumerate() {
        let mut trainer = next(&mut request, &mut said);
        read_epochs(&mut trainer, epochs, &mut said);
        end(&mut trainer);
        // The next attempt runs elsewhere, with a copy of the files.
        let copy = folder.path().join(format!("checkpoints-{}", attempt + 1));
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(request.checkpoint_folder.unwrap()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        request.checkpoint_folder = Some(copy.to_string_lossy().into_owned());
    }
    request.attempt += 1;
    let mut trainer = Trainer::start();
    trainer.say(&line(&request));
    assert!(trainer.read_event()["first_epoch"].as_u64() > Some(1));
    answer(trainer, &request)
}

#[test]
fn a_trial_whose_trainers_are_killed_gives_the_bits_of_one_that_ran_through() {
    let kill = |trainer: &mut Trainer| {
        trainer.child.kill().unwrap();
        trainer.child.wait().unwrap();
    };
    assert_eq!(disturbed(1, kill), straight());
    assert_eq!(disturbed(2, kill), straight());
}

#[test]
fn a_trial_whose_trainers_are_asked_to_leave_gives_the_bits_of_one_that_ran_through() {
    let leave = |trainer: &mut Trainer| {
        trainer.terminate();
        let last = trainer.read_remaining().pop().unwrap();
        assert_eq!(trainer.child.wait().unwrap().code(), Some(EXIT_LEFT));
        assert_eq!(last["event"], "checkpoint", "what it leaves is said");
        assert!(fs::metadata(last["path"].as_str().unwrap()).unwrap().is_file());
    };
    for every in [1, 100] {
        assert_eq!(disturbed(every, leave), straight(), "every {every}");
    }
}
