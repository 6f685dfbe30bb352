//! Correct conversations, and every way in which a trainer may break one.

use serde_json::{Value, json};
use sweep_spec::dataset::{Classes, Dataset, Source};
use sweep_spec::protocol::{Holdout, Report};
use sweep_spec::trainer::Folders;
use sweep_spec::{Cnn, Configuration, Protocol, Trial};

use super::*;
use crate::machine::testing::Random;

const EPOCHS: u32 = 4;

fn train() -> Train {
    let dataset = Dataset {
        source: Source::SyntheticScenes { seed: 1, train_images: 64, test_images: 2 },
        image_size: 32,
        channels: 3,
        classes: Classes::Count(2),
        digest: None,
    };
    let protocol = Protocol { epochs: EPOCHS, ..Protocol::default() };
    let trial = Trial::new(Configuration::Cnn(Cnn::default()), 7, protocol, dataset);
    Train {
        trial_id: trial.id().unwrap(),
        attempt: 3,
        trial,
        device: "cpu".to_owned(),
        folders: Folders { data_root: "/".to_owned(), more_data_roots: Vec::new(), cache: "/".to_owned() },
        checkpoint_folder: None,
        checkpoint_every: 1,
        artifact_folder: None,
    }
}

fn numbers(epoch: u32) -> Value {
    json!({"epoch": epoch, "train_loss": 1.5, "train_accuracy": 0.5, "val_loss": 1.25, "val_accuracy": 0.5,
           "learning_rate": 0.001, "seconds": 0.5, "images_per_second": 128.0})
}

/// The lines of an attempt that resumes at `first_epoch`.
fn lines(train: &Train, first_epoch: u32) -> Vec<String> {
    let zeros = "0".repeat(64);
    let data = json!({"digest": zeros, "classes": ["a", "b"], "channels": 3, "train_images": 64, "test_images": 2});
    let said = |mut event: Value| {
        event["trial_id"] = json!(train.trial_id);
        event["attempt"] = json!(train.attempt);
        event.to_string()
    };
    let mut lines = vec![said(
        json!({"event": "started", "device": "cpu", "params": 73474, "first_epoch": first_epoch, "data": data}),
    )];
    for epoch in 1..=EPOCHS {
        let mut event = numbers(epoch);
        event["event"] = json!("epoch");
        lines.push(said(event));
        lines.push(said(
            json!({"event": "checkpoint", "epoch": epoch, "path": format!("/c/epoch-{epoch:06}.checkpoint")}),
        ));
    }
    lines.push(said(json!({
        "event": "finished", "outcome": "converged", "last": numbers(EPOCHS), "best": numbers(1),
        "validation": {"labels": [0, 1], "predicted": [0, 0], "confidence": [0.5, 0.75], "confusion": [1, 0, 1, 0]},
        "provenance": {"params": 73474, "images_per_second": 128.0, "seconds": 1.5, "peak_memory_bytes": 1000,
                       "data_digest": zeros, "split_digest": zeros, "device": "cpu", "device_name": "a cpu",
                       "instruction_set": "none", "trainer": "scripted 1", "threads": 1},
    })));
    lines
}

fn event(line: &str) -> Event {
    serde_json::from_str(line).unwrap()
}

/// The epochs that the lines report, and the outcome of the first invalid line.
fn check_lines(train: &Train, lines: &[String]) -> (Vec<u32>, Result<Option<Step>, String>) {
    let mut checker = Checker::new(train);
    let mut epochs = Vec::new();
    for line in lines {
        match serde_json::from_str(line).map_err(|error| error.to_string()).and_then(|event| checker.take(event)) {
            Ok(Step::Point(metrics)) => epochs.push(metrics.epoch),
            Ok(step @ (Step::Finished(_) | Step::Failed(_))) => return (epochs, Ok(Some(step))),
            Ok(Step::Started | Step::Checkpoint) => {}
            Err(what) => return (epochs, Err(what)),
        }
    }
    (epochs, Ok(None))
}

#[test]
fn every_attempt_says_its_whole_series_wherever_it_begins() {
    let train = train();
    for first_epoch in [1, 3, EPOCHS + 1] {
        let (epochs, end) = check_lines(&train, &lines(&train, first_epoch));
        assert_eq!(epochs, [1, 2, 3, 4]);
        assert!(matches!(end, Ok(Some(Step::Finished(_)))), "{end:?}");
    }
    let mut resumed = lines(&train, 3);
    // Without the epochs of its checkpoint.
    resumed.drain(1..5);
    let (epochs, end) = check_lines(&train, &resumed);
    assert_eq!((epochs, end), (Vec::new(), Err("`epoch` 3 was sent, but 1 of 4 was expected".to_owned())));
}

#[test]
fn a_result_without_all_of_its_epochs_is_none() {
    let train = train();
    let mut lines = lines(&train, 1);
    lines.drain(5..lines.len() - 1);
    assert_eq!(check_lines(&train, &lines).1, Err("`finished` as converged, but epoch 3 of 4 was expected".to_owned()));
}

#[test]
fn what_is_said_of_the_test_part_has_to_make_sense() {
    let mut train = train();
    train.trial.protocol.holdout = Some(Holdout { fraction: 0.25, seed: 1 });
    let predictions =
        json!({"labels": [0, 1], "predicted": [1, 0], "confidence": [0.5, 0.5], "confusion": [0, 1, 1, 0]});
    let good = json!({"epoch": EPOCHS, "loss": 1.5, "accuracy": 0.0, "predictions": predictions});
    let checked = |test: &Value| {
        let mut lines = lines(&train, 1);
        let mut finished: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
        finished["test"] = test.clone();
        lines.push(finished.to_string());
        check_lines(&train, &lines).1
    };
    let Ok(Some(Step::Finished(finished))) = checked(&good) else { panic!() };
    let message = crate::wire::result(*finished, &agent());
    assert_eq!(message.test.map(|test| (test.epoch, test.loss)), Some((EPOCHS, 1.5)));
    assert_eq!(message.test_predictions.unwrap().predicted, [1, 0]);
    let one = json!({"labels": [0], "predicted": [1], "confidence": [0.5], "confusion": [0, 1, 0, 0]});
    let other = json!({"labels": [0, 1], "predicted": [1, 2], "confidence": [0.5, 0.5], "confusion": [0, 1, 1, 0]});
    let uneven = json!({"labels": [0, 1], "predicted": [1], "confidence": [0.5, 0.5], "confusion": [0, 1, 1, 0]});
    for (key, bad) in [
        ("epoch", json!(0)),
        ("epoch", json!(EPOCHS + 1)),
        ("epoch", json!(1)),
        ("accuracy", json!(1.5)),
        ("accuracy", json!(0.5)),
        ("predictions", one),
        ("predictions", other),
        ("predictions", uneven),
    ] {
        let mut test = good.clone();
        test[key] = bad.clone();
        assert!(checked(&test).is_err(), "{key} {bad}");
    }
}

fn agent() -> sweep_proto::v1::RegisterRequest {
    let (worker, version, host) = ("w1".to_owned(), "0.1.0".to_owned(), "a-host".to_owned());
    sweep_proto::v1::RegisterRequest { worker, version, host, ..Default::default() }
}

#[test]
fn a_trainer_speaks_of_its_device_and_not_of_who_it_runs_for() {
    let train = train();
    let mut lines = lines(&train, 1);
    let mut finished: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
    let driver = format!("nvidia 1.2\u{7}{}", "x".repeat(5000));
    finished["provenance"]["origin"] = json!({"driver": driver, "worker": "forged", "sweep": 7, "revision": "forged"});
    lines.push(finished.to_string());
    let Ok(Some(Step::Finished(finished))) = check_lines(&train, &lines).1 else { panic!() };
    let origin = crate::wire::result(*finished, &agent()).provenance.unwrap().origin.unwrap();
    assert!(
        origin.driver.starts_with("nvidia 1.2x") && origin.driver.len() == 1000,
        "cut, and nothing acts on a terminal"
    );
    assert_eq!((origin.worker.as_str(), origin.host.as_str()), ("w1", "a-host"));
    assert!(origin.worker_version.starts_with("0.1.0"));
    assert_eq!((origin.sweep, origin.revision.as_str()), (0, ""));
}

#[test]
fn neither_epochs_nor_checkpoints_come_without_end() {
    let train = train();
    let all = lines(&train, 1);
    let mut checker = Checker::new(&train);
    all[..9].iter().for_each(|line| drop(checker.take(event(line)).unwrap()));
    assert!(checker.take(event(&all[7])).unwrap_err().contains("5 of 4 was expected"));
    let taken = (0..1000).take_while(|_| checker.take(event(&all[8])).is_ok()).count();
    assert_eq!(taken, (EPOCHS as usize + 1) * 16 - EPOCHS as usize);
}

#[test]
fn numbers_that_are_none_are_refused() {
    let train = train();
    let lines = lines(&train, 1);
    for bad in ["NaN", "null", "1e999", "-Infinity", "\"1.5\"", "[1.5]"] {
        let line = lines[1].replace("\"train_loss\":1.5", &format!("\"train_loss\":{bad}"));
        assert_ne!(line, lines[1]);
        assert!(serde_json::from_str::<Event>(&line).is_err(), "{bad}");
    }
}

#[test]
fn mutated_lines_never_say_more_than_a_trial_has() {
    let train = train();
    let good = lines(&train, 1);
    let words =
        ["event", "epoch", "attempt", "null", "-1", "1e400", "[[[[", "4294967296", "\\u0000", "\"", "{}", "trial_id"];
    for seed in 0..4000 {
        let mut random = Random::new(seed);
        let mut lines = good.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(lines.len() as u64) as usize;
            let other = random.below(lines.len() as u64) as usize;
            match random.below(5) {
                0 => lines.swap(at, other),
                1 => drop(lines.remove(at)),
                2 => lines.insert(at, good[other.min(good.len() - 1)].clone()),
                3 => {
                    let mut bytes = std::mem::take(&mut lines[at]).into_bytes();
                    if !bytes.is_empty() {
                        let place = random.below(bytes.len() as u64) as usize;
                        bytes[place] = random.below(256) as u8;
                    }
                    lines[at] = String::from_utf8_lossy(&bytes).into_owned();
                }
                _ => {
                    let mut place = random.below(lines[at].len() as u64 + 1) as usize;
                    while !lines[at].is_char_boundary(place) {
                        place -= 1;
                    }
                    lines[at].insert_str(place, words[random.below(words.len() as u64) as usize]);
                }
            }
            if lines.is_empty() {
                break;
            }
        }
        let (epochs, end) = check_lines(&train, &lines);
        assert!((1..).zip(&epochs).all(|(expected, epoch)| expected == *epoch), "seed {seed}: {epochs:?}");
        if matches!(end, Ok(Some(Step::Finished(_)))) {
            assert_eq!(epochs.len(), EPOCHS as usize, "seed {seed}");
        }
    }
}

/// The verdict on an attempt whose line `at` has other values at these places.
fn with(train: &Train, at: usize, changes: &[(&str, Value)]) -> Result<Option<Step>, String> {
    let mut lines = lines(train, 1);
    let mut event: Value = serde_json::from_str(&lines[at]).unwrap();
    for (pointer, value) in changes {
        *event.pointer_mut(pointer).unwrap() = value.clone();
    }
    lines[at] = event.to_string();
    check_lines(train, &lines).1
}

/// The index of the line `finished`.
const FINISHED: usize = 1 + 2 * EPOCHS as usize;

#[test]
fn an_accuracy_that_the_confusion_matrix_does_not_have_is_refused() {
    let train = train();
    let all = |share: f64| {
        let mut lines = lines(&train, 1);
        for line in &mut lines {
            *line = line.replace("\"val_accuracy\":0.5", &format!("\"val_accuracy\":{share}"));
        }
        check_lines(&train, &lines).1
    };
    assert!(matches!(all(0.5), Ok(Some(Step::Finished(_)))));
    assert!(matches!(all(f64::from(0.500_01_f32)), Ok(Some(Step::Finished(_)))), "a number may be rounded");
    assert_eq!(
        all(0.99).unwrap_err(),
        "`finished` reports val_accuracy 0.99 of epoch 4, but its confusion matrix has 1 of 2 images correct, which is 0.5"
    );
    let confused = with(&train, FINISHED, &[("/validation/confusion", json!([1, 0, 0, 1]))]).unwrap_err();
    assert_eq!(confused, "`confusion` has 0 images of class 1 predicted as 0; the lists have 1");
}

#[test]
fn each_value_that_has_to_agree_with_another_is_held_against_it() {
    let train = train();
    let ones = "1".repeat(64);
    let cases: Vec<(usize, &str, Value, &str)> = vec![
        (0, "/data/classes", json!(["a"]), "the data have 1 classes; the spec declares 2"),
        (0, "/data/channels", json!(1), "the data have 1 channels; the spec declares 3"),
        (0, "/data/test_images", json!(3), "64 training and 3 test images"),
        (0, "/params", json!(73_475), "73475 parameters; the configuration has 73474"),
        (0, "/device", json!("cuda:0"), "reports device cuda:0; the trial was assigned cpu"),
        (1, "/val_accuracy", json!(1.5), "`epoch` 1 has val_accuracy 1.5"),
        (1, "/train_accuracy", json!(-0.1), "`epoch` 1 has train_accuracy -0.1"),
        (1, "/train_loss", json!(-1.0), "`epoch` 1 has train_loss -1"),
        (1, "/seconds", json!(-1.0), "`epoch` 1 has seconds -1"),
        (1, "/learning_rate", json!(0.5), "has learning_rate 0.5; the protocol begins with 0.001"),
        (FINISHED, "/last/val_loss", json!(0.5), "`last` has val_loss 0.5 for epoch 4; `epoch` 4 reported 1.25"),
        (
            FINISHED,
            "/best/train_accuracy",
            json!(0.9),
            "`best` has train_accuracy 0.9 for epoch 1; `epoch` 1 reported 0.5",
        ),
        (FINISHED, "/best/epoch", json!(9), "`best` is epoch 9, which was not sent"),
        (FINISHED, "/provenance/params", json!(10), "reports 10 parameters; `started` reported 73474"),
        (
            FINISHED,
            "/provenance/data_digest",
            json!(ones),
            "reports data 111111111111; `started` reported 000000000000",
        ),
        (FINISHED, "/provenance/device", json!("cuda:1"), "reports device cuda:1; `started` reported cpu"),
        (FINISHED, "/provenance/seconds", json!(-2.0), "reports -2 seconds"),
        (FINISHED, "/validation/confidence", json!([0.5, 7.5]), "a confidence of 7.5"),
        (FINISHED, "/outcome", json!("diverged"), "the outcome diverged, but all 4 epochs have finite numbers"),
    ];
    for (at, place, value, sentence) in cases {
        let error = with(&train, at, &[(place, value)]).unwrap_err();
        assert!(error.contains(sentence), "{place}: {error}");
    }
    let short = json!({"labels": [0], "predicted": [0], "confidence": [0.5], "confusion": [1, 0, 0, 0]});
    let error = with(&train, FINISHED, &[("/validation", short)]).unwrap_err();
    assert_eq!(error, "`validation` has 1 images; the test part, which validates, has 2");
    let test = json!({"epoch": 4, "loss": 1.0, "accuracy": 0.5, "predictions": {
        "labels": [0, 1], "predicted": [0, 0], "confidence": [0.5, 0.5], "confusion": [1, 0, 1, 0]}});
    let mut lines = lines(&train, 1);
    let mut finished: Value = serde_json::from_str(&lines[FINISHED]).unwrap();
    finished["test"] = test;
    lines[FINISHED] = finished.to_string();
    assert_eq!(check_lines(&train, &lines).1.unwrap_err(), "`finished` has a `test`, but the protocol has no holdout");
}

#[test]
fn the_best_epoch_is_the_best_of_those_that_were_said() {
    let mut train = train();
    let better = with(&train, 5, &[("/val_accuracy", json!(0.75))]).unwrap_err();
    assert_eq!(better, "`best` is epoch 1 with val_accuracy 0.5; epoch 3 has 0.75");
    // The predictions belong to the epoch that the protocol reports.
    train.trial.protocol.report = Report::Best;
    let mut lines = lines(&train, 1);
    let mut finished: Value = serde_json::from_str(&lines[FINISHED]).unwrap();
    lines[5] = lines[5].replace("\"val_accuracy\":0.5", "\"val_accuracy\":1.0");
    finished["best"] = numbers(3);
    finished["best"]["val_accuracy"] = json!(1.0);
    lines[FINISHED] = finished.to_string();
    let error = check_lines(&train, &lines).1.unwrap_err();
    assert!(error.contains("val_accuracy 1 of epoch 3") && error.contains("1 of 2 images correct"), "{error}");
}

#[test]
fn a_trial_that_diverged_says_what_came_before() {
    let train = train();
    let mut lines = lines(&train, 1);
    let mut finished: Value = serde_json::from_str(&lines[FINISHED]).unwrap();
    finished["outcome"] = json!("diverged");
    lines.drain(5..);
    let checked = |finished: &Value| {
        let mut lines = lines.clone();
        lines.push(finished.to_string());
        check_lines(&train, &lines).1
    };
    let error = checked(&finished).unwrap_err();
    assert_eq!(error, "`last` is epoch 4; the last `epoch` was 2");
    finished["last"] = numbers(2);
    assert!(matches!(checked(&finished), Ok(Some(Step::Finished(_)))));
    finished["last"] = Value::Null;
    assert_eq!(checked(&finished).unwrap_err(), "`finished` has no `last`, but `epoch` 2 was sent");
    lines.drain(1..);
    for absent in ["last", "best", "validation"] {
        finished[absent] = Value::Null;
    }
    lines.push(finished.to_string());
    assert!(matches!(check_lines(&train, &lines).1, Ok(Some(Step::Finished(_)))), "it diverged in its first epoch");
}
