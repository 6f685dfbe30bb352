//! The program as an agent sees it: lines in, lines out, and how it leaves.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use sweep_spec::dataset::Source;
use sweep_spec::trainer::{EXIT_LEFT, Folders, PROTOCOL, Train};
use sweep_spec::{Classes, Cnn, Configuration, Dataset, Protocol, TRAINER_SEMANTICS, Trial};

struct Trainer {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Trainer {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sweep-trainer"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut trainer = Self { child, stdin, stdout };
        let hello = trainer.hear();
        assert_eq!(hello["event"], "hello");
        assert_eq!((&hello["protocol"], &hello["semantics"]), (&json!(PROTOCOL), &json!(TRAINER_SEMANTICS)));
        trainer
    }

    fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).and_then(|()| stdin.write_all(b"\n")).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn status(mut self) -> Option<i32> {
        self.stdin = None;
        self.child.wait().unwrap().code()
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn train(cache: &std::path::Path, epochs: u32) -> Train {
    let dataset = Dataset {
        source: Source::SyntheticScenes { seed: 1, train_images: 32, test_images: 16 },
        image_size: 12,
        channels: 3,
        classes: Classes::Count(8),
        digest: None,
    };
    let cnn = Cnn { filters: 4, kernel_size: 3, dense_units: 8, batch_norm: true, ..Cnn::default() };
    let protocol = Protocol { epochs, batch_size: 16, ..Protocol::default() };
    let trial = Trial::new(Configuration::Cnn(cnn), 0, protocol, dataset);
    let cache = cache.to_string_lossy().into_owned();
    Train {
        trial_id: trial.id().unwrap(),
        attempt: 3,
        trial,
        device: "cpu".into(),
        folders: Folders { data_root: cache.clone(), cache: cache.clone() },
        checkpoint_folder: None,
        checkpoint_every: 1,
        artifact_folder: Some(format!("{cache}/artifacts")),
    }
}

fn line(train: &Train) -> String {
    serde_json::to_string(&sweep_spec::trainer::Command::Train(Box::new(train.clone()))).unwrap()
}

#[test]
fn a_trainer_answers_one_trial_after_the_other() {
    let cache = tempfile::tempdir().unwrap();
    let mut request = train(cache.path(), 2);
    request.trial.protocol.keep_weights = sweep_spec::protocol::KeepWeights::All;
    let mut trainer = Trainer::start();
    trainer.say(r#"{"command":"devices"}"#);
    assert_eq!(trainer.hear()["devices"][0]["name"], "cpu");
    let describe = json!({ "command": "describe", "dataset": request.trial.dataset, "folders": request.folders });
    trainer.say(&describe.to_string());
    let described = trainer.hear();
    assert_eq!((&described["event"], &described["train_images"]), (&json!("described"), &json!(32)));
    for _ in 0..2 {
        trainer.say(&line(&request));
        let started = trainer.hear();
        assert_eq!((&started["event"], &started["attempt"]), (&json!("started"), &json!(3)));
        assert_eq!(started["data"]["digest"], described["digest"]);
        for epoch in 1..=2 {
            let heard = trainer.hear();
            assert_eq!((&heard["event"], &heard["epoch"]), (&json!("epoch"), &json!(epoch)));
        }
        let finished = trainer.hear();
        assert_eq!((&finished["event"], &finished["outcome"]), (&json!("finished"), &json!("converged")));
        assert_eq!(finished["validation"]["labels"].as_array().unwrap().len(), 16);
        assert!(finished["provenance"]["peak_memory_bytes"].as_u64().unwrap() > 1_000_000);
    }
    for file in ["weights.bin", "thumbnails.png"] {
        assert!(cache.path().join("artifacts").join(file).metadata().unwrap().len() > 0, "{file}");
    }
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
        let failed = trainer.hear();
        assert_eq!((&failed["event"], &failed["class"]), (&json!("failed"), &json!("spec")), "{failed}");
        assert!(!failed["reason"].as_str().unwrap().is_empty());
    }
    trainer.say(r#"{"command":"devices"}"#);
    assert_eq!(trainer.hear()["event"], "devices");
    assert_eq!(trainer.status(), Some(0));
}

#[test]
fn sigterm_ends_it_with_75_idle_and_at_work() {
    let cache = tempfile::tempdir().unwrap();
    for at_work in [false, true] {
        let mut trainer = Trainer::start();
        if at_work {
            trainer.say(&line(&train(cache.path(), 1_000_000)));
            assert_eq!(trainer.hear()["event"], "started");
            assert_eq!(trainer.hear()["event"], "epoch");
        }
        let pid = rustix::process::Pid::from_child(&trainer.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
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
        assert_eq!(trainer.hear()["event"], event);
    }
    assert_eq!(trainer.status(), Some(0));
}

#[test]
fn a_trainer_leaves_when_nobody_listens() {
    let cache = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sweep-trainer"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    // It may be gone before the line arrives: then the pipe is closed, which is what this is about.
    let _ = writeln!(stdin, "{}", line(&train(cache.path(), 1_000_000)));
    assert_eq!(child.wait().unwrap().code(), Some(EXIT_LEFT));
}
