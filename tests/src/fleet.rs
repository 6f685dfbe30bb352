//! Coordinator and workers as real processes in one folder. All of them are the program `chaos`, which starts itself in
//! each role, so only it has to be built. Nothing is trained.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};

use crate::scripted::Script;

/// Marks every process of a fleet except trainers, whose environment comes from their worker.
const MARK: &str = "SWEEP_TEST_FOLDER";

/// The interval between checks for the end of a process, where it cannot be awaited.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a process.
    #[error("the fleet cannot work in {folder}")]
    Io {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The coordinator ended, or printed something else.
    #[error("the coordinator did not say where it listens but {line:?}; its log is in {folder}")]
    NotReady {
        line: String,
        /// The folder of its log.
        folder: PathBuf,
    },
    /// A process did not end.
    #[error("{name} does not end")]
    Stays { name: String },
}

/// The folder and the ways of a fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    folder: PathBuf,
    program: PathBuf,
    coordinator: Map<String, Value>,
    worker: Map<String, Value>,
}

impl Fleet {
    /// A fleet in `folder` whose trainers follow `script`; `program` is `chaos`. Leases and timeouts are short.
    pub fn new(program: &Path, folder: &Path, script: &Script) -> Self {
        let mut trainer = vec![program.display().to_string(), "trainer".to_owned()];
        trainer.extend(script.words());
        trainer.push(format!("--journal={}", folder.join("journal").display()));
        let coordinator = json!({
            "listen_http": "127.0.0.1:0",
            "store": folder.join("sweep.db"),
            "lease_ttl_ms": 2000,
            "restart_grace_ms": 4000,
            "retry_backoff_ms": 50,
            "max_failures": 5,
            // Workers are killed so often that a trial may lose several by chance, and misbehave by script.
            "max_losses": 12,
            "suspend_after": 0,
        });
        let worker = json!({
            "trainer_command": trainer,
            "listen_http": "off",
            "data_root": folder,
            "slots": 2,
            "trainer_silence_seconds": 3,
            "trainer_grace_seconds": 0.5,
            "retry_max_seconds": 1,
            "shutdown_seconds": 10,
        });
        let map = |value| if let Value::Object(map) = value { map } else { Map::new() };
        Self {
            folder: folder.to_owned(),
            program: program.to_owned(),
            coordinator: map(coordinator),
            worker: map(worker),
        }
    }

    /// Another value for a key of the coordinator's configuration.
    pub fn coordinator_key(mut self, key: &str, value: Value) -> Self {
        self.coordinator.insert(key.to_owned(), value);
        self
    }

    /// Another value for a key of every worker's configuration.
    pub fn worker_key(mut self, key: &str, value: Value) -> Self {
        self.worker.insert(key.to_owned(), value);
        self
    }

    /// The file of its store.
    pub fn store(&self) -> PathBuf {
        let named = self.coordinator.get("store").and_then(Value::as_str);
        named.map_or_else(|| self.folder.join("sweep.db"), PathBuf::from)
    }

    /// The file in which trainers note the attempts that they begin.
    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// The stderr of a process.
    pub fn log(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder.join(format!("{name}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts a coordinator and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn coordinator(&self, listen: SocketAddr) -> Result<(Process, SocketAddr), Error> {
        let mut keys = self.coordinator.clone();
        keys.insert("listen".to_owned(), json!(listen.to_string()));
        let mut process = self.start(&[], "coordinator", &keys)?;
        let mut line = String::new();
        if let Some(stdout) = process.child.stdout.take() {
            let mut lines = BufReader::new(stdout);
            lines.read_line(&mut line).map_err(|source| self.io(source))?;
        }
        let words = line.strip_prefix("ready grpc=").and_then(|rest| rest.split(' ').next());
        let not_ready = || Error::NotReady { line: line.clone(), folder: self.folder.clone() };
        let address = words.and_then(|word| word.parse().ok()).ok_or_else(not_ready)?;
        Ok((process, address))
    }

    /// Starts a worker of the coordinator at `address`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn worker(&self, name: &str, address: SocketAddr) -> Result<Process, Error> {
        self.worker_within(&[], name, address)
    }

    /// The same, started by other words, such as `ip netns exec NAME`, that end as the worker.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn worker_within(&self, words: &[&str], name: &str, address: SocketAddr) -> Result<Process, Error> {
        self.start(words, name, &self.worker_keys(name, name, address))
    }

    /// Starts a worker under a name that others may have too; its log and its folders are called `files`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn worker_named(&self, files: &str, name: &str, address: SocketAddr) -> Result<Process, Error> {
        self.start(&[], files, &self.worker_keys(files, name, address))
    }

    fn worker_keys(&self, files: &str, name: &str, address: SocketAddr) -> Map<String, Value> {
        let mut keys = self.worker.clone();
        keys.insert("coordinator".to_owned(), json!([format!("http://{address}")]));
        keys.insert("name".to_owned(), json!(name));
        keys.insert("state_dir".to_owned(), json!(self.folder.join(format!("{files}.state"))));
        keys.insert("cache_dir".to_owned(), json!(self.folder.join(format!("{files}.cache"))));
        keys
    }

    fn start(&self, words: &[&str], name: &str, keys: &Map<String, Value>) -> Result<Process, Error> {
        let what = if name == "coordinator" { "coordinator" } else { "worker" };
        // JSON is YAML.
        let config = self.folder.join(format!("{name}.yaml"));
        std::fs::write(&config, Value::Object(keys.clone()).to_string()).map_err(|source| self.io(source))?;
        let log = self.folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).map_err(|source| self.io(source))?;
        let program = self.program.as_os_str();
        let mut line = words.iter().map(OsStr::new).chain([program, OsStr::new(what)]);
        let mut command = Command::new(line.next().unwrap_or(program));
        command.args(line).arg("--config").arg(config).current_dir(&self.folder);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SWEEP_")) {
            command.env_remove(name);
        }
        command.env(MARK, &self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let child = command.spawn().map_err(|source| self.io(source))?;
        Ok(Process { name: name.to_owned(), child })
    }

    /// The number of this fleet's live processes.
    pub fn living(&self) -> usize {
        let mark = format!("{MARK}={}", self.folder.display());
        let folder = std::fs::canonicalize(&self.folder).ok();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ours = |path: PathBuf| {
            if std::fs::read_link(path.join("cwd")).is_ok_and(|at| Some(at) == folder) {
                return true;
            }
            let environment = std::fs::read(path.join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        processes.filter(|entry| ours(entry.path())).count()
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io { folder: self.folder.clone(), source }
    }
}

/// A process of a fleet; it is killed when this goes.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Sends a signal. One to a process that has ended goes nowhere.
    pub fn signal(&self, signal: Signal) {
        // It is not reaped yet, so its number is nobody else's.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// It has not ended within `limit`; then it is killed.
    pub fn wait(mut self, limit: Duration) -> Result<ExitStatus, Error> {
        let by = Instant::now() + limit;
        while Instant::now() < by {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            std::thread::sleep(LOOK);
        }
        Err(Error::Stays { name: self.name.clone() })
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
