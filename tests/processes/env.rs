//! A small fleet in a temporary folder: `Env::new()`, then `env.coordinator().start()`,
//! `env.worker("w1").slots(2).start()` and `env.sweepctl([...])`. It waits for output of processes, never for time. On
//! drop it kills its processes, and prints their logs if the test has failed.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A test that takes longer hangs: everything is killed, so that the test fails with a message.
const TEST_TIMEOUT: Duration = Duration::from_secs(600);

/// The fleet's folder, and who is in it.
pub(crate) struct Env {
    folder: TempDir,
    address: RefCell<Option<String>>,
    living: Arc<Mutex<Vec<Pid>>>,
    _watchdog: Sender<()>,
}

impl Env {
    pub(crate) fn new() -> Self {
        let living: Arc<Mutex<Vec<Pid>>> = Arc::default();
        let (watchdog, end) = channel::<()>();
        let watched = Arc::clone(&living);
        std::thread::spawn(move || {
            if end.recv_timeout(TEST_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("the test hangs: its processes are killed");
                for pid in watched.lock().expect("no panic holds it").iter() {
                    kill_process(*pid, Signal::KILL).ok();
                }
            }
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, address: RefCell::default(), living, _watchdog: watchdog }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The address of the fleet's coordinator.
    pub(crate) fn address(&self) -> String {
        self.address.borrow().clone().expect("the coordinator comes first")
    }

    /// For a coordinator that `coordinator()` did not start.
    pub(crate) fn set_address(&self, address: &str) {
        *self.address.borrow_mut() = Some(address.to_owned());
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the folder can be written");
        path.to_str().expect("the path is text").to_owned()
    }

    /// `sweepctl` with this folder as its home, and this fleet's coordinator as its own.
    pub(crate) fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sweepctl"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SWEEP_")) {
            command.env_remove(name);
        }
        command.env("XDG_CACHE_HOME", self.path("cache")).env("XDG_STATE_HOME", self.path("state"));
        command.env("NO_COLOR", "1").env("SWEEP_TEST_FOLDER", self.folder.path());
        if let Some(address) = self.address.borrow().as_ref() {
            command.env("SWEEP_COORDINATOR", address);
        }
        command
    }

    /// Runs `sweepctl` to its end.
    pub(crate) fn sweepctl<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Ran {
        let output = self.command(arguments).output().expect("sweepctl starts");
        let text = |bytes| String::from_utf8(bytes).expect("it writes text");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts `sweepctl`; its stdout is ours, its stderr goes to `NAME.log`.
    pub(crate) fn start(&self, name: &str, command: &mut Command) -> Process {
        let log = File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).expect("a log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("sweepctl starts");
        self.living.lock().expect("no panic holds it").push(Pid::from_child(&child));
        let lines = BufReader::new(child.stdout.take().expect("its stdout is ours")).lines();
        Process { name: name.to_owned(), child, lines, living: Arc::clone(&self.living) }
    }

    /// A coordinator on free ports of loopback.
    pub(crate) fn coordinator(&self) -> CoordinatorBuilder<'_> {
        let words = ["coordinator", "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--store", "sweep.db"];
        CoordinatorBuilder { env: self, words: words.map(str::to_owned).to_vec() }
    }

    /// A worker of this fleet's coordinator.
    pub(crate) fn worker(&self, name: &str) -> WorkerBuilder<'_> {
        WorkerBuilder { env: self, name: name.to_owned(), slots: 1 }
    }

    /// Submits a spec and gives the sweep's number.
    pub(crate) fn submit(&self, spec: &str) -> u64 {
        let ran = self.sweepctl(["submit", spec, "--output", "json"]).expect_code(0);
        ran.json()["sweep"]["id"].as_u64().expect("a number")
    }

    pub(crate) fn watch(&self, sweep: u64) -> Process {
        self.start("watch", &mut self.command(["watch", &sweep.to_string(), "--output", "json"]))
    }

    /// The stderr of a process.
    pub(crate) fn log(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(&format!("{name}.log"))).unwrap_or_default()).into_owned()
    }

    /// Returns once a process has written `words` to stderr.
    #[track_caller]
    pub(crate) fn until_log(&self, name: &str, words: &str) {
        let begun = std::time::Instant::now();
        while !self.log(name).contains(words) {
            assert!(begun.elapsed() < TEST_TIMEOUT, "{name} never said {words:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The command lines of this fleet's live processes.
    pub(crate) fn living(&self) -> Vec<String> {
        self.processes().into_iter().map(|(_, line)| line).collect()
    }

    /// Freezes every process of this fleet whose command line has `words`; there must be one.
    pub(crate) fn freeze(&self, words: &str) {
        let found: Vec<Pid> =
            self.processes().iter().filter(|(_, line)| line.contains(words)).map(|(pid, _)| *pid).collect();
        assert!(!found.is_empty(), "no process has {words:?} in its command line: {:?}", self.living());
        for pid in found {
            kill_process(pid, Signal::STOP).expect("it lives");
        }
    }

    fn processes(&self) -> Vec<(Pid, String)> {
        let mark = format!("SWEEP_TEST_FOLDER={}", self.folder.path().display());
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
        let folder = self.folder.path().canonicalize().expect("the folder is there");
        let started = self.living.lock().expect("no panic holds it").clone();
        let pid = |path: &Path| path.file_name()?.to_str()?.parse().ok().and_then(Pid::from_raw);
        // A trainer's environment does not have the mark, and only root may read that of a worker or its folder.
        let ours = |path: &PathBuf| {
            let environment = std::fs::read(path.join("environ")).unwrap_or_default();
            pid(path).is_some_and(|pid| started.contains(&pid))
                || std::fs::read_link(path.join("cwd")).is_ok_and(|at| at == folder)
                || environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let line = |path: PathBuf| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        let known = processes.filter(ours).filter_map(|path| Some((pid(&path)?, line(path))));
        known.filter(|(_, line)| !line.is_empty()).collect()
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let files = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in files.filter(|path| path.extension() == Some(OsStr::new("log"))) {
            eprintln!("----- {} -----\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    living: Arc<Mutex<Vec<Pid>>>,
}

impl Process {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it lives");
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        // A full pipe must not keep it from ending.
        while self.lines.next().is_some() {}
        self.child.wait().expect("it is ours")
    }

    /// The next line of its stdout; none where it has ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        self.lines.next().and_then(Result::ok)
    }

    /// The next line of its stdout for which `wanted` gives something.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
        loop {
            let Some(Ok(line)) = self.lines.next() else {
                panic!("{} ended before {what}", self.name);
            };
            if let Some(found) = wanted(&line) {
                return found;
            }
        }
    }

    /// Waits until the watched sweep is as `wanted`, and gives its status.
    #[track_caller]
    pub(crate) fn until_sweep(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until(what, |line| {
            let event: Value = serde_json::from_str(line).expect("an event is JSON");
            wanted(&event["sweep"]).then(|| event["sweep"].clone())
        })
    }

    fn end(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        let pid = self.pid();
        self.living.lock().expect("no panic holds it").retain(|other| *other != pid);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A coordinator to be.
pub(crate) struct CoordinatorBuilder<'a> {
    env: &'a Env,
    words: Vec<String>,
}

impl CoordinatorBuilder<'_> {
    /// Another value for a flag.
    pub(crate) fn with(mut self, flag: &str, value: &str) -> Self {
        match self.words.iter().position(|word| word == flag) {
            Some(place) => self.words[place + 1] = value.to_owned(),
            None => self.words.extend([flag.to_owned(), value.to_owned()]),
        }
        self
    }

    /// Starts it and waits until it answers. It becomes the fleet's.
    pub(crate) fn start(self) -> Process {
        let mut process = self.env.start("coordinator", &mut self.env.command(&self.words));
        let address = process.until("it was ready", |line| {
            let rest = line.strip_prefix("ready grpc=")?;
            rest.split(' ').next().map(|address| format!("http://{address}"))
        });
        *self.env.address.borrow_mut() = Some(address);
        process
    }

    /// Starts it and waits for its end.
    pub(crate) fn run(self) -> Ran {
        self.env.sweepctl(&self.words)
    }
}

pub(crate) struct WorkerBuilder<'a> {
    env: &'a Env,
    name: String,
    slots: u32,
}

impl WorkerBuilder<'_> {
    pub(crate) fn slots(self, slots: u32) -> Self {
        Self { slots, ..self }
    }

    /// Starts it without waiting for its registration.
    pub(crate) fn start(self) -> Process {
        let address = self.env.address();
        let slots = self.slots.to_string();
        let state = self.env.path(&format!("{}.state", self.name));
        let mut command = self.env.command(["worker", "--listen-http", "off", "--data-root", ".", "--slots", &slots]);
        command.args(["--name", &self.name, "--coordinator", &address]).arg("--state-dir").arg(state);
        self.env.start(&self.name, &mut command)
    }
}

/// A study of `levels` configurations that train for `epochs` epochs on 32 drawn images of 8×8.
pub(crate) fn study(name: &str, epochs: u32, levels: &[u32], seeds: &[u32]) -> String {
    format!(
        "version: 1
name: {name}
dataset: {{ kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }}
protocol: {{ epochs: {epochs}, batch_size: 16 }}
seeds: {seeds:?}
baseline: {{ family: cnn, conv_layers: 1, filters: 2, kernel_size: 3, dense_layers: 1, dense_units: 4 }}
stages: [ {{ name: width, vary: {{ filters: {levels:?} }} }} ]
"
    )
}

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
