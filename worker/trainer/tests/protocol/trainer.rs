//! A trainer process for tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use sweep_spec::dataset::Source;
use sweep_spec::trainer::{Folders, PROTOCOL, Train};
use sweep_spec::{Classes, Cnn, Configuration, Dataset, Protocol, TRAINER_SEMANTICS, Trial};

/// The output that a trainer can write without a reader: about a dozen epochs.
const PIPE_BYTES: usize = 4096;
/// The output that is read at once.
const READ_BYTES: usize = 1024;

/// A trainer process, killed when it is dropped.
pub(crate) struct Trainer {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// Starts a trainer process, which the caller has to stop.
pub(crate) fn spawn() -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sweep-trainer"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

impl Trainer {
    pub(crate) fn start() -> Self {
        let mut child = spawn();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().unwrap();
        // A trainer without a reader soon blocks, so that a slow test still meets it in the middle of a trial.
        rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_BYTES).unwrap();
        let stdout = BufReader::with_capacity(READ_BYTES, stdout);
        let mut trainer = Self { child, stdin, stdout };
        let hello = trainer.read_event();
        assert_eq!(hello["event"], "hello");
        assert_eq!((&hello["protocol"], &hello["semantics"]), (&json!(PROTOCOL), &json!(TRAINER_SEMANTICS)));
        trainer
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.say_bytes(line.as_bytes());
    }

    pub(crate) fn say_bytes(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line).and_then(|()| stdin.write_all(b"\n")).unwrap();
    }

    pub(crate) fn read_event(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// The remaining output, until all writers have closed the pipe.
    pub(crate) fn read_remaining(&mut self) -> Vec<Value> {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Closes its stdin, and waits for its exit status.
    pub(crate) fn status(mut self) -> Option<i32> {
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

/// A small trial with all its files in `cache`.
pub(crate) fn train(cache: &std::path::Path, epochs: u32) -> Train {
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
        folders: Folders { data_root: cache.clone(), more_data_roots: Vec::new(), cache: cache.clone() },
        checkpoint_folder: None,
        checkpoint_every: 1,
        artifact_folder: Some(format!("{cache}/artifacts")),
    }
}

pub(crate) fn line(train: &Train) -> String {
    serde_json::to_string(&sweep_spec::trainer::Command::Train(Box::new(train.clone()))).unwrap()
}
