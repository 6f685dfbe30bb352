//! Random bytes for the real programs: they continue, or end with a documented code, and never panic. The crate
//! `hostile` tests the details.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures::StreamExt;
use rustix::process::Signal;
use sweep_spec::dataset::Source;
use sweep_spec::protocol::{Monitor, Schedule};
use sweep_spec::trainer::{Command, Folders, Train};
use sweep_spec::{Classes, Cnn, Configuration, Dataset, Protocol, Trial, TrialId};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::env::{Env, root, study};
use super::hostile_bytes::{Kind, Mutator, corpus};
use super::random::Random;

/// A call with random bytes that has no answer after this time is abandoned.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// In the order of `sweep_coordinator::untrusted::request`.
const METHODS: [&str; 22] = [
    "WorkerService/Register",
    "WorkerService/Poll",
    "WorkerService/Describe",
    "WorkerService/Report",
    "WorkerService/Finish",
    "WorkerService/PutArtifact",
    "SweepService/Submit",
    "SweepService/SetWorkerService",
    "SweepService/ListAudit",
    "SweepService/ListTrials",
    "SweepService/GetSweep",
    "SweepService/WatchSweep",
    "SweepService/GetLeaderboard",
    "SweepService/GetTrial",
    "SweepService/ExplainTrial",
    "SweepService/CancelSweep",
    "SweepService/PauseSweep",
    "SweepService/SetPriority",
    "SweepService/RetrySweep",
    "SweepService/ExportPoints",
    "SweepService/ListArtifacts",
    "SweepService/GetArtifact",
];

/// The corpus of a target, and `count` mutations of it.
fn hostile(target: &str, kind: Kind, count: u64) -> Vec<Vec<u8>> {
    let corpus = corpus(target).expect("the corpus is there");
    let mut all: Vec<Vec<u8>> = corpus.iter().map(|(_, bytes)| bytes.clone()).collect();
    all.extend((0..count).map(|seed| Mutator::new(&corpus, kind, seed).next_bytes()));
    all
}

#[track_caller]
fn calm(what: &str, log: &str) {
    assert!(!log.contains("panicked"), "{what} panicked:\n{log}");
}

#[test]
fn a_spec_is_planned_or_refused_whatever_it_says() {
    let env = Env::new();
    let mut codes = std::collections::BTreeMap::new();
    for bytes in hostile("spec", Kind::Text, 60) {
        std::fs::write(env.path("spec.yaml"), &bytes).unwrap();
        let ran = env.command(["plan", "spec.yaml"]).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        calm("sweepctl plan", &said);
        let code = ran.status.code();
        assert!(matches!(code, Some(0 | 2)), "{code:?} for {:?}: {said}", String::from_utf8_lossy(&bytes));
        *codes.entry(code).or_insert(0) += 1;
    }
    assert_eq!(codes.len(), 2, "some are plans and some are not: {codes:?}");
}

/// Messages as the bytes that they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Sends one message to the method that its first byte selects, and returns the code of the call.
async fn call(channel: tonic::transport::Channel, bytes: Vec<u8>) -> tonic::Code {
    let Some((method, message)) = bytes.split_first() else { return tonic::Code::Ok };
    let path = format!("/sweep.v1.{}", METHODS[usize::from(*method) % METHODS.len()]);
    let path = path.parse().expect("a path");
    let message = Bytes::copy_from_slice(message);
    let mut client = tonic::client::Grpc::new(channel);
    let called = async {
        client.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        let request = tonic::Request::new(futures::stream::iter([message]));
        let mut answers = client.streaming(request, path, Raw).await?.into_inner();
        answers.message().await
    };
    match tokio::time::timeout(CALL_TIMEOUT, called).await {
        Ok(Ok(_)) => tonic::Code::Ok,
        Ok(Err(status)) => status.code(),
        Err(_) => tonic::Code::DeadlineExceeded,
    }
}

#[test]
fn a_coordinator_answers_whatever_bytes_it_is_sent() {
    let env = Env::new();
    let coordinator = env.coordinator().with("--lease-ttl-ms", "600").start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = env.address();
    let mut codes = std::collections::BTreeMap::new();
    for piece in hostile("request", Kind::Message, 1500).chunks(200) {
        let ended: Vec<_> = runtime.block_on(async {
            // Another connection each time: whoever says so much in vain is slowed.
            let channel = tonic::transport::Endpoint::from_shared(address.clone()).unwrap().connect().await.unwrap();
            let calls = piece.iter().map(|bytes| call(channel.clone(), bytes.clone()));
            futures::stream::iter(calls).buffer_unordered(16).collect().await
        });
        for code in ended {
            *codes.entry(format!("{code:?}")).or_insert(0) += 1;
        }
    }
    // Neither does it crash nor does it take the blame for what others sent.
    for ours in ["Unknown", "Unavailable", "DataLoss", "DeadlineExceeded"] {
        assert!(!codes.contains_key(ours), "{codes:?}\n{}", env.log("coordinator"));
    }
    assert!(codes.contains_key("Ok") && codes.contains_key("InvalidArgument"), "{codes:?}");
    send_noise(address.trim_start_matches("http://"));
    env.sweepctl(["list"]).expect_code(0);
    coordinator.signal(Signal::TERM);
    assert_eq!(coordinator.wait().code(), Some(0));
    calm("the coordinator", &env.log("coordinator"));
}

/// Bytes that are no HTTP/2, or begin as if they were.
fn send_noise(address: &str) {
    let mut random = Random::new(7);
    for round in 0..60 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let noise: Vec<u8> = (0..random.below(3000)).map(|_| random.below(256) as u8).collect();
        let preface: &[u8] = if round % 2 == 0 { b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" } else { b"" };
        // It may have closed the connection already.
        let _ = stream.write_all(preface).and_then(|()| stream.write_all(&noise));
        let _ = stream.read(&mut [0; 64]);
    }
}

#[test]
fn a_damaged_store_is_refused_with_words_or_opened() {
    let whole = std::fs::read(root().join("coordinator/store/tests/data/store-1.db")).unwrap();
    let (mut opened, mut refused) = (0, 0);
    for seed in 0..16 {
        let env = Env::new();
        let mut random = Random::new(seed);
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(40) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.below(256) as u8;
        }
        if random.below(4) == 0 {
            bytes.truncate(random.below(bytes.len() as u64) as usize);
        }
        std::fs::write(env.path("sweep.db"), &bytes).unwrap();
        let mut words =
            vec!["coordinator", "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--store", "sweep.db"];
        if seed % 2 == 1 {
            words.push("--accept-loss");
        }
        let mut process = env.start("coordinator", &mut env.command(&words));
        match process.line() {
            Some(line) => {
                assert!(line.starts_with("ready "), "{line}");
                opened += 1;
                process.signal(Signal::TERM);
                assert_eq!(process.wait().code(), Some(0), "seed {seed}\n{}", env.log("coordinator"));
            }
            None => {
                refused += 1;
                assert_eq!(process.wait().code(), Some(1), "seed {seed}\n{}", env.log("coordinator"));
                let log = env.log("coordinator");
                assert!(log.contains("error: "), "seed {seed}: {log}");
            }
        }
        calm("the coordinator", &env.log("coordinator"));
    }
    assert!(opened + refused == 16 && refused > 0, "{opened} opened, {refused} refused");
}

/// The trial of `worker/trainer/tests/data/format-1-semantics-3.checkpoint`.
fn stored_trial(folder: &str) -> Train {
    let source = Source::SyntheticScenes { seed: 5, train_images: 40, test_images: 16 };
    let dataset = Dataset { source, image_size: 8, channels: 3, classes: Classes::Count(8), digest: None };
    let schedule = Schedule::ReduceOnPlateau {
        monitor: Monitor::ValLoss,
        factor: 0.5,
        patience: 2,
        min_delta: 0.1,
        cooldown: 0,
        min_learning_rate: 0.0,
    };
    let cnn = Cnn {
        conv_layers: 1,
        filters: 2,
        kernel_size: 3,
        dense_layers: 1,
        dense_units: 4,
        batch_norm: true,
        max_pool: true,
        dropout: 0.25,
    };
    let protocol = Protocol { epochs: 6, batch_size: 8, schedule, ..Protocol::default() };
    Train {
        trial_id: TrialId::of(b"test"),
        attempt: 1,
        trial: Trial::new(Configuration::Cnn(cnn), 1, protocol, dataset),
        device: "cpu".into(),
        folders: Folders { data_root: folder.into(), more_data_roots: Vec::new(), cache: format!("{folder}/cache") },
        checkpoint_folder: Some(format!("{folder}/checkpoints")),
        checkpoint_every: 1,
        artifact_folder: None,
    }
}

#[test]
fn a_damaged_checkpoint_costs_a_trainer_time_and_nothing_else() {
    for (round, bytes) in hostile("checkpoint", Kind::Bytes, 10).into_iter().enumerate() {
        let env = Env::new();
        let folder = env.path("checkpoints");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("epoch-000003-step-000002.checkpoint"), &bytes).unwrap();
        std::fs::write(folder.join("epoch-000002.checkpoint"), b"sweepchk").unwrap();
        let train = stored_trial(env.path("").to_str().unwrap());
        let line = serde_json::to_string(&Command::Train(Box::new(train))).unwrap();
        let mut command = env.command(["trainer"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{line}").unwrap();
        let output = child.wait_with_output().unwrap();
        let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        calm("the trainer", &log);
        assert_eq!(output.status.code(), Some(0), "round {round}: {log}");
        assert!(said.lines().last().is_some_and(|line| line.contains("\"finished\"")), "round {round}: {said}\n{log}");
    }
}

#[test]
fn a_worker_starts_with_whatever_its_journals_say() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let trial = "ab".repeat(32);
    let journals = hostile("journal", Kind::Bytes, 40);
    for (attempt, bytes) in (1..).zip(&journals) {
        let folder = env.path(&format!("w1.state/outbox/{trial}-1-{attempt}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("journal"), bytes).unwrap();
    }
    let worker = env.worker("w1").start();
    env.until_log("w1", "registered");
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), Some(0));
    let log = env.log("w1");
    calm("the worker", &log);
    assert!(log.contains("moving it aside"), "{log}");
    calm("the coordinator", &env.log("coordinator"));
}

/// A trainer that answers requests, and `train` with one file after the other; `{...}` are replaced.
const TRAINER: &str = r#"#!/bin/sh
export LC_ALL=C
echo '{"event":"hello","protocol":1,"semantics":{semantics},"trainer":"hostile 1"}'
while read -r line; do
    case "$line" in
    *'"command":"devices"'*)
        echo '{"event":"devices","devices":[{"name":"cpu","description":"none"}]}' ;;
    *'"command":"describe"'*)
        echo '{"event":"described","digest":"{zeros}","classes":["a","b","c","d","e","f","g","h"],"channels":1,"train_images":32,"test_images":16}' ;;
    *)
        id=$(printf '%s' "$line" | sed 's/.*"trial_id":"\([0-9a-f]*\)".*/\1/')
        attempt=$(printf '%s' "$line" | sed 's/.*"attempt":\([0-9]*\).*/\1/')
        number=1
        while ! mkdir "{folder}/taken-$number" 2>/dev/null; do number=$((number + 1)); done
        sed "s/{asked}/$id/g; s/\"attempt\":1,/\"attempt\":$attempt,/g" "{folder}/said-$number"
        exit 1 ;;
    esac
done
"#;

#[test]
fn a_worker_outlives_whatever_its_trainers_say() {
    let env = Env::new();
    // A trial that ran out of memory, by its trainer's word, waits for a larger slot; here there is none.
    let coordinator = env.coordinator().with("--retry-backoff-ms", "1").with("--unplaceable-grace-ms", "500");
    // Here trials fail alike, and every one of them has to be tried.
    let _coordinator = coordinator.with("--suspend-after", "0").with("--hold-back-after", "0").start();
    let folder = env.path("");
    let lines = hostile("trainer_output", Kind::Text, 80);
    for (number, bytes) in (1..=500).zip(lines.iter().cycle()) {
        std::fs::write(folder.join(format!("said-{number}")), bytes).unwrap();
    }
    let script = TRAINER
        .replace("{semantics}", &sweep_spec::TRAINER_SEMANTICS.to_string())
        .replace("{zeros}", &"0".repeat(64))
        .replace("{asked}", &sweep_worker::untrusted::asked().unwrap().trial_id.to_string())
        .replace("{folder}", folder.to_str().unwrap());
    let script = env.file("trainer.sh", &script);
    let address = env.address();
    let trainer = format!("sh {script}");
    let mut command =
        env.command(["worker", "--listen-http", "off", "--name", "w1", "--slots", "2", "--data-root", "."]);
    command.args(["--coordinator", &address, "--state-dir", "w1.state", "--trainer-command", &trainer]);
    let worker = env.start("w1", &mut command);
    let seeds: Vec<u32> = (0..20).collect();
    let spec = env.file("study.yaml", &study("hostile", 3, &[2], &seeds));
    let mut watch = env.watch(env.submit(&spec));
    let ended = watch.until_sweep("it ended", |sweep| sweep["state"] != "running");
    assert!(ended["counts"]["failed"].as_u64() > Some(0), "{ended}");
    env.sweepctl(["workers"]).expect_code(0);
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), Some(0));
    calm("the worker", &env.log("w1"));
    calm("the coordinator", &env.log("coordinator"));
}
