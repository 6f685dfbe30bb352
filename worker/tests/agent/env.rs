//! A test environment: a worker with its folders, a scripted trainer, and a test coordinator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sweep_proto::v1::{Assignment, Lease, PollResponse, Setting, TextList, setting};
use sweep_spec::dataset::{Classes, Dataset, Source};
use sweep_spec::settings::{Scalar, flatten};
use sweep_spec::{Cnn, Configuration, Protocol, TRAINER_SEMANTICS, Trial};
use sweep_worker::config::Slots;
use sweep_worker::{Config, Handle};
use tokio_util::sync::CancellationToken;

use crate::coordinator::{Coordinator, Server, TEST_TIMEOUT};

/// Epochs of every trial in these tests.
pub(crate) const EPOCHS: u32 = 3;

/// A trial that waits at the gate `gate` after its first epoch.
pub(crate) const GATED: &str = "started; epoch 1; wait_here gate; epoch 2; epoch 3; finished";

/// The common part of every scripted trainer: its output functions, and the loop over its commands.
const SCRIPT: &str = r#"
echo $$ >> "$DIR/starts"
say() { printf '%s\n' "$1"; }
hello() { say '{"event":"hello","protocol":1,"semantics":'$SEMANTICS',"trainer":"scripted 1"}'; }
devices() { say '{"event":"devices","devices":[{"name":"cpu","description":"a cpu"}],"cuda_unavailable":"no driver"}'; }
D=0000000000000000000000000000000000000000000000000000000000000000
DATA='"digest":"'$D'","classes":["a","b"],"channels":3,"train_images":64,"test_images":2'
described() { say '{"event":"described",'"$DATA"'}'; }
started_at() { say '{"event":"started",'"$ECHO"',"device":"cpu","params":73474,"first_epoch":'$1',"data":{'"$DATA"'}}'; }
started() { started_at 1; }
numbers() { N='"epoch":'$1',"train_loss":1.5,"train_accuracy":0.5,"val_loss":1.25,"val_accuracy":0.5,"learning_rate":0.001,"seconds":0.5,"images_per_second":128.0'; }
epoch() { numbers "$1"; say '{"event":"epoch",'"$ECHO"','"$N"'}'; }
finished() {
  numbers 3
  say '{"event":"finished",'"$ECHO"',"outcome":"converged","last":{'"$N"'},"best":{'"$N"'},"validation":{"labels":[0,1],"predicted":[0,0],"confidence":[0.5,0.75],"confusion":[1,0,1,0]},"provenance":{"params":73474,"images_per_second":128.0,"seconds":1.5,"peak_memory_bytes":1000,"data_digest":"'$D'","split_digest":"'$D'","device":"cpu","device_name":"a cpu","instruction_set":"none","trainer":"scripted 1","threads":1}}'
}
# Leaves a checkpoint after epoch $1.
checkpoint() {
  file=$checkpoints/epoch-00000$1.checkpoint
  echo "state after epoch $1" > "$file.tmp"; mv "$file.tmp" "$file"
  say '{"event":"checkpoint",'"$ECHO"',"epoch":'$1',"path":"'"$file"'"}'
}
failed() { say '{"event":"failed","class":"'"$1"'","reason":"'"$2"'"}'; }
# Waits until the test lets it go on.
wait_here() { read -r _ < "$DIR/$1"; }
whole() { started; epoch 1; epoch 2; epoch 3; finished; }
hello
while read -r line; do
  case $line in
    *'"command":"devices"'*) devices ;;
    *'"command":"describe"'*) on_describe ;;
    *'"command":"train"'*)
      id=${line#*\"trial_id\":\"}; id=${id%%\"*}
      attempt=${line#*\"attempt\":}; attempt=${attempt%%,*}
      folder=${line#*\"artifact_folder\":\"}; folder=${folder%%\"*}
      checkpoints=${line#*\"checkpoint_folder\":\"}; checkpoints=${checkpoints%%\"*}
      ECHO='"trial_id":"'$id'","attempt":'$attempt
      on_train ;;
  esac
done
"#;

pub(crate) struct Env {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) coordinator: Coordinator,
    server: Option<Server>,
    pub(crate) config: Config,
    pub(crate) shutdown: CancellationToken,
}

impl Env {
    /// A worker whose trainer runs the shell code `on_train` for each trial.
    pub(crate) fn new(on_train: &str) -> Self {
        Self::with_script(&format!("on_train() {{ {on_train}\n}}\non_describe() {{ described; }}\n{SCRIPT}"))
    }

    /// The same with other shell code for `describe`.
    pub(crate) fn describing(on_describe: &str) -> Self {
        Self::with_script(&format!("on_train() {{ whole; }}\non_describe() {{ {on_describe}\n}}\n{SCRIPT}"))
    }

    pub(crate) fn with_script(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trainer.sh");
        let beginning = format!("DIR='{}'\nSEMANTICS={TRAINER_SEMANTICS}\n", folder.path().display());
        std::fs::write(&path, format!("{beginning}{script}")).unwrap();
        let coordinator = Coordinator::new();
        let server = Server::start(&coordinator, 0);
        let config = Config {
            coordinator: vec![format!("http://{}", server.address)],
            name: "w1".to_owned(),
            slots: Slots::Count(1),
            data_roots: vec![folder.path().to_owned()],
            state_dir: Some(folder.path().join("state")),
            cache_dir: Some(folder.path().join("cache")),
            trainer_command: vec!["/bin/sh".to_owned(), path.to_str().unwrap().to_owned()],
            listen_http: None,
            // Enough for a trainer that exits on request, even on a busy machine.
            trainer_grace: TEST_TIMEOUT,
            retry_max: Duration::from_millis(100),
            ..Config::default()
        };
        Self { folder, coordinator, server: Some(server), config, shutdown: CancellationToken::new() }
    }

    pub(crate) async fn start(&self) -> Handle {
        let handle = sweep_worker::start(self.config.clone(), Vec::new(), &self.shutdown).await.unwrap();
        self.coordinator.until("a registration", |state| (!state.registrations.is_empty()).then_some(())).await;
        handle
    }

    /// Starts a worker and trains a trial up to the gate `gate`, where `GATED` waits.
    pub(crate) async fn start_and_train_to_the_gate(&self) -> (Handle, Gate, Lease) {
        let gate = self.gate("gate");
        let worker = self.start().await;
        let lease = self.assign(1);
        self.coordinator.points(&lease, 1).await;
        (worker, gate, lease)
    }

    /// Cuts every connection; the coordinator keeps its state, except sessions.
    pub(crate) fn kill_coordinator(&mut self) -> u16 {
        let port = self.server.as_ref().unwrap().address.port();
        self.server = None;
        self.coordinator.forget_session();
        port
    }

    pub(crate) fn restart_coordinator(&mut self, port: u16) {
        self.server = Some(Server::start(&self.coordinator, port));
    }

    /// A gate at which the trainer waits with `wait_here`.
    pub(crate) fn gate(&self, name: &str) -> Gate {
        let path = self.folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        Gate(path)
    }

    /// Process ids that the trainers wrote to a file, oldest first.
    pub(crate) fn pids(&self, file: &str) -> Vec<u32> {
        let text = std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(|line| line.trim().parse().unwrap()).collect()
    }

    /// Assigns the trial of `seed` as the first attempt on slot 0.
    pub(crate) fn assign(&self, seed: u64) -> Lease {
        let (lease, assignment) = assignment(seed);
        self.coordinator.say(PollResponse { start: vec![assignment], ..PollResponse::default() });
        lease
    }
}

pub(crate) struct Gate(PathBuf);

impl Gate {
    /// Opens the gate once the trainer has reached it.
    pub(crate) async fn open(&self) {
        let path = self.0.clone();
        let opened = tokio::task::spawn_blocking(move || std::fs::write(path, "go\n").unwrap());
        tokio::time::timeout(TEST_TIMEOUT, opened).await.expect("the trainer never came to the gate").unwrap();
    }
}

pub(crate) fn trial(seed: u64) -> Trial {
    let dataset = Dataset {
        source: Source::SyntheticScenes { seed: 1, train_images: 64, test_images: 2 },
        image_size: 32,
        channels: 3,
        classes: Classes::Count(2),
        digest: None,
    };
    let protocol = Protocol { epochs: EPOCHS, ..Protocol::default() };
    Trial::new(Configuration::Cnn(Cnn::default()), seed, protocol, dataset)
}

pub(crate) fn assignment(seed: u64) -> (Lease, Assignment) {
    assignment_of(&trial(seed))
}

pub(crate) fn assignment_of(trial: &Trial) -> (Lease, Assignment) {
    let trial_id = trial.id().unwrap().as_bytes().to_vec().into();
    let lease = Lease { trial_id, round: 1, attempt: 1 };
    let settings = settings(trial);
    (lease.clone(), Assignment { lease: Some(lease), slot: 0, settings, predicted_seconds: 0.0 })
}

pub(crate) fn settings<T: serde::Serialize>(value: &T) -> Vec<Setting> {
    let one = |setting: sweep_spec::settings::Setting| {
        let value = match setting.value {
            Scalar::Bool(value) => setting::Value::Boolean(value),
            Scalar::Integer(value) => setting::Value::Integer(value),
            Scalar::Float(value) => setting::Value::Number(value),
            Scalar::Text(value) => setting::Value::Text(value),
            Scalar::Texts(texts) => setting::Value::Texts(TextList { texts }),
        };
        Setting { path: setting.path, value: Some(value) }
    };
    flatten(value).unwrap().into_iter().map(one).collect()
}

/// Whether a process is running; a zombie is not.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}

/// Waits until `what` is true, for conditions without an event: files and metrics.
pub(crate) async fn eventually(awaited: &str, what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, waiting).await.unwrap_or_else(|_| panic!("{awaited} never came"));
}
