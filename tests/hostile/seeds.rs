//! Writes the committed corpus: one good example of every input, and a few bad ones. To rewrite it: `cargo test -p
//! sweep-tests --test hostile -- --ignored`. Findings of fuzzing are added to it.

use std::path::Path;

use prost::Message;
use serde_json::{Value, json};
use sweep_proto::v1;
use sweep_spec::settings::{self, Scalar};
use sweep_spec::{Digest, TRAINER_SEMANTICS};
use sweep_tests::hostile::folder;
use sweep_worker::untrusted::{EPOCHS, asked};

fn write(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(folder(target)).unwrap();
    std::fs::write(folder(target).join(name), bytes).unwrap();
}

fn lease() -> Option<v1::Lease> {
    let trial_id = asked().unwrap().trial_id.as_bytes().to_vec().into();
    Some(v1::Lease { trial_id, round: 1, attempt: 1 })
}

fn numbers(epoch: u32) -> Option<v1::EpochMetrics> {
    Some(v1::EpochMetrics {
        epoch,
        train_loss: 1.5,
        train_accuracy: 0.5,
        val_loss: 1.25,
        val_accuracy: 0.625,
        learning_rate: 0.001,
        seconds: 0.5,
        images_per_second: 128.0,
    })
}

fn digest() -> bytes::Bytes {
    Digest::of(b"x").as_bytes().to_vec().into()
}

fn result() -> v1::TrialResult {
    v1::TrialResult {
        outcome: v1::Outcome::Converged.into(),
        last: numbers(EPOCHS),
        best: numbers(1),
        validation: Some(said()),
        provenance: Some(v1::Provenance {
            params: 10,
            data_digest: digest(),
            split_digest: digest(),
            device: "cpu".into(),
            trainer: "x 1".into(),
            threads: 1,
            ..Default::default()
        }),
        test: Some(v1::Tested { epoch: EPOCHS, loss: 1.0, accuracy: 0.5 }),
        test_predictions: Some(said()),
    }
}

fn said() -> v1::Validation {
    v1::Validation {
        labels: vec![0, 1, 1, 0],
        predicted: vec![0, 1, 0, 0],
        confidence: vec![0.9, 0.8, 0.7, 0.6],
        confusion: vec![2, 0, 1, 1],
    }
}

fn finish(ending: v1::finish_request::Ending) -> v1::FinishRequest {
    v1::FinishRequest {
        session: 1,
        lease: lease(),
        last_sequence: EPOCHS.into(),
        phases: Some(v1::AttemptPhases { start_seconds: 0.5, run_seconds: 2.0, paused_seconds: 0.0 }),
        log_tail: "the end\n".into(),
        ending: Some(ending),
    }
}

fn header() -> v1::ArtifactHeader {
    v1::ArtifactHeader {
        session: 1,
        kind: v1::ArtifactKind::Log.into(),
        lease: lease(),
        data_digest: digest(),
        size_bytes: 3,
        digest: digest(),
    }
}

#[test]
#[ignore = "writes the corpus that the other tests read"]
fn write_the_corpus() {
    specs();
    trainer_output();
    requests();
    answers();
    stored();
    journals();
    let whole = include_bytes!("../../worker/trainer/tests/data/format-1-semantics-3.checkpoint");
    write("checkpoint", "whole", whole);
    write("checkpoint", "cut", &whole[..whole.len() / 2]);
    write("checkpoint", "head", &whole[..12]);
}

fn specs() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for name in ["ablation", "fashion", "greedy", "quickstart", "scenes_small"] {
        write("spec", name, std::fs::read(root.join(format!("sweeps/{name}.yaml"))).unwrap());
    }
    write("spec", "wrong", include_bytes!("../specs/wrong.yaml"));
    let tiny = include_str!("../specs/tiny.yaml");
    write("spec", "overridden", format!("{tiny}\n--set\nprotocol.epochs=2\nstages[0].name=other\nseeds=[1, 2]\n"));
    write(
        "spec",
        "laughs",
        "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
        c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: [*d, *d, *d, *d, *d, *d]\n",
    );
    write("spec", "deep", "[".repeat(5000));
    write("spec", "itself", "name: &x [*x]\n");
    write("spec", "large", format!("{tiny}extra: []\n").replace("seeds:", "seeds: 1000000 #"));
    write("spec", "nothing", "");
}

fn trainer_output() {
    let train = asked().unwrap();
    let about = |mut event: Value| {
        event["trial_id"] = json!(train.trial_id);
        event["attempt"] = json!(train.attempt);
        event.to_string()
    };
    let metrics = |epoch: u32| {
        json!({"epoch": epoch, "train_loss": 1.5, "train_accuracy": 0.5, "val_loss": 1.25, "val_accuracy": 0.75,
               "learning_rate": 0.001, "seconds": 0.5, "images_per_second": 128.0})
    };
    let zeros = "0".repeat(64);
    let data = json!({"digest": zeros, "classes": ["a", "b"], "channels": 1, "train_images": 8, "test_images": 4});
    let started = about(json!({"event": "started", "device": "cpu", "params": 70274, "first_epoch": 1, "data": data}));
    let epoch = |number: u32| {
        let mut event = metrics(number);
        event["event"] = json!("epoch");
        about(event)
    };
    let checkpoint = about(json!({"event": "checkpoint", "epoch": 1, "path": "/c/epoch-000001.checkpoint"}));
    let finished = about(
        json!({"event": "finished", "outcome": "converged", "last": metrics(EPOCHS), "best": metrics(2),
        "validation": {"labels": [0, 1, 1, 0], "predicted": [0, 1, 0, 0], "confidence": [0.9, 0.8, 0.7, 0.6],
                       "confusion": [2, 0, 1, 1]},
        "provenance": {"params": 70274, "images_per_second": 1.0, "seconds": 1.0, "peak_memory_bytes": 1, "data_digest": zeros,
                       "split_digest": zeros, "device": "cpu", "device_name": "x", "instruction_set": "x", "trainer": "x 1",
                       "threads": 1}}),
    );
    let lines = [started.clone(), epoch(1), checkpoint, epoch(2), epoch(3), finished];
    write("trainer_output", "whole", lines.join("\n") + "\n");
    let failed = json!({"event": "failed", "class": "out_of_memory", "reason": "8 GiB are not enough"}).to_string();
    write("trainer_output", "failed", format!("{started}\n{failed}\n"));
    write("trainer_output", "not-a-number", format!("{started}\n{}\n", epoch(1).replace("1.5", "NaN")));
    write("trainer_output", "half", &started[..started.len() / 2]);
    write("trainer_output", "log", "Epoch 1/100 [=====>....] 37%\r\n");
    write("trainer_output", "deep", format!("{}\n", "[".repeat(100_000 / 8)));
    write("trainer_output", "twice", format!("{started}\n{started}\n"));
    write(
        "trainer_output",
        "huge",
        format!("{started}\n{}\n", epoch(1).replace("\"epoch\":1", "\"epoch\":4294967296")),
    );
}

/// Numbers as `sweep_coordinator::untrusted::request` gives them.
fn requests() {
    let request = |method: u8, name: &str, message: &dyn Fn() -> Vec<u8>| {
        write("request", name, [vec![method], message()].concat());
    };
    let sweep = || Some(v1::SweepReference { text: "1".into() });
    let user = || String::from("ann");
    let trial = || String::from("0123456789ab");
    request(0, "register", &|| {
        v1::RegisterRequest {
            worker: "w1".into(),
            version: "0.1.0".into(),
            trainer_semantics: TRAINER_SEMANTICS,
            slots: vec![v1::Slot { index: 0, device: "cpu".into(), device_name: "x".into(), memory_bytes: 1 << 30 }],
            labels: vec![v1::Label { key: "zone".into(), value: "a".into() }],
            live_attempts: vec![v1::LiveAttempt { lease: lease(), slot: 0 }],
            host: "h".into(),
            instance: vec![1, 2, 3].into(),
            ..v1::RegisterRequest::default()
        }
        .encode_to_vec()
    });
    request(1, "poll", &|| {
        v1::PollRequest { session: 1, held: lease().into_iter().collect(), draining: false, seen: 3 }.encode_to_vec()
    });
    request(2, "describe", &|| {
        let description = v1::DataDescription {
            digest: digest(),
            classes: vec!["a".into()],
            channels: 1,
            train_images: 8,
            test_images: 4,
        };
        let answer = Some(v1::describe_request::Answer::Description(description));
        v1::DescribeRequest { session: 1, dataset_key: digest(), answer }.encode_to_vec()
    });
    request(3, "report", &|| {
        let point = |sequence: u32| v1::Point { lease: lease(), sequence: sequence.into(), metrics: numbers(sequence) };
        v1::ReportRequest { session: 1, points: (1..=EPOCHS).map(point).collect() }.encode_to_vec()
    });
    use v1::finish_request::Ending;
    request(4, "finish-result", &|| finish(Ending::Result(result())).encode_to_vec());
    let failure = v1::Failure { class: v1::FailureClass::Trainer.into(), reason: "it crashed".into() };
    request(4, "finish-failure", &|| finish(Ending::Failure(failure.clone())).encode_to_vec());
    request(4, "finish-lost", &|| finish(Ending::Lost(v1::Lost { reason: "power".into() })).encode_to_vec());
    use v1::put_artifact_request::Part;
    request(5, "artifact", &|| v1::PutArtifactRequest { part: Some(Part::Header(header())) }.encode_to_vec());
    request(5, "chunk", &|| v1::PutArtifactRequest { part: Some(Part::Chunk(vec![7; 9].into())) }.encode_to_vec());
    request(6, "submit", &|| {
        let pair = v1::Override { key: "protocol.epochs".into(), value: "2".into() };
        let spec = include_bytes!("../specs/tiny.yaml").to_vec().into();
        v1::SubmitRequest { spec, overrides: vec![pair], user: user(), ..Default::default() }.encode_to_vec()
    });
    request(7, "service", &|| {
        let service = v1::WorkerServiceState::Suspended.into();
        v1::SetWorkerServiceRequest { worker: "w1".into(), service, reason: "dust".into(), user: user() }
            .encode_to_vec()
    });
    request(8, "audit", &|| {
        v1::ListAuditRequest { sweep: sweep(), worker: "w1".into(), trial: trial(), since_unix_ms: 1, limit: 5 }
            .encode_to_vec()
    });
    request(9, "trials", &|| {
        let states = vec![v1::TrialState::Failed.into()];
        let (configuration, seed) = ("filters=8".to_owned(), Some(3));
        let page_token = "3.1".to_owned();
        v1::ListTrialsRequest { sweep: sweep(), page_token, page_size: 10, states, configuration, seed }.encode_to_vec()
    });
    request(10, "get-sweep", &|| v1::GetSweepRequest { sweep: sweep() }.encode_to_vec());
    request(11, "watch", &|| v1::WatchSweepRequest { sweep: sweep() }.encode_to_vec());
    request(12, "leaderboard", &|| {
        v1::GetLeaderboardRequest { sweep: sweep(), metric: "ratio".into(), limit: 3 }.encode_to_vec()
    });
    request(13, "get-trial", &|| v1::GetTrialRequest { trial: trial() }.encode_to_vec());
    request(14, "explain", &|| v1::ExplainTrialRequest { trial: trial() }.encode_to_vec());
    request(15, "cancel", &|| v1::CancelSweepRequest { sweep: sweep(), user: user() }.encode_to_vec());
    request(16, "pause", &|| v1::PauseSweepRequest { sweep: sweep(), paused: true, user: user() }.encode_to_vec());
    request(17, "priority", &|| v1::SetPriorityRequest { sweep: sweep(), priority: -3, user: user() }.encode_to_vec());
    request(18, "retry", &|| v1::RetrySweepRequest { sweep: sweep(), user: user() }.encode_to_vec());
    request(19, "export", &|| v1::ExportPointsRequest { sweep: sweep() }.encode_to_vec());
    request(20, "artifacts", &|| v1::ListArtifactsRequest { sweep: sweep() }.encode_to_vec());
    request(21, "get-artifact", &|| v1::GetArtifactRequest { digest: digest() }.encode_to_vec());
}

fn answers() {
    let answer = |kind: u8, name: &str, message: Vec<u8>| write("answer", name, [vec![kind], message].concat());
    let stop: Vec<v1::Lease> = lease().into_iter().collect();
    let registered = v1::RegisterResponse {
        session: 1,
        lease_ttl_ms: 3000,
        poll_wait_ms: 1000,
        stop: stop.clone(),
        coordinator_version: env!("CARGO_PKG_VERSION").into(),
        out_of_service: String::new(),
        max_artifact_bytes: 1 << 20,
    };
    answer(0, "registered", registered.encode_to_vec());
    let setting = |setting: settings::Setting| {
        use v1::setting::Value;
        let value = match setting.value {
            Scalar::Bool(value) => Value::Boolean(value),
            Scalar::Integer(value) => Value::Integer(value),
            Scalar::Float(value) => Value::Number(value),
            Scalar::Text(value) => Value::Text(value),
            Scalar::Texts(texts) => Value::Texts(v1::TextList { texts }),
        };
        v1::Setting { path: setting.path, value: Some(value) }
    };
    let trial = asked().unwrap().trial;
    let flat = |list: Vec<settings::Setting>| list.into_iter().map(setting).collect::<Vec<_>>();
    let start = v1::Assignment {
        lease: lease(),
        slot: 0,
        settings: flat(settings::flatten(&trial).unwrap()),
        predicted_seconds: 1.0,
    };
    let describe =
        v1::DescribeTask { dataset_key: digest(), settings: flat(settings::flatten(&trial.dataset).unwrap()) };
    let polled = v1::PollResponse {
        start: vec![start],
        stop: stop.clone(),
        describe: vec![describe],
        number: 7,
        ..Default::default()
    };
    answer(1, "polled", polled.encode_to_vec());
    answer(2, "reported", v1::ReportResponse { stop }.encode_to_vec());
    let verdict = v1::FinishVerdict::PointsMissing.into();
    answer(3, "finished", v1::FinishResponse { verdict, stored_sequence: 2 }.encode_to_vec());
}

/// Numbers as `content` of the SQLite store gives them.
fn stored() {
    let content = |kind: u8, name: &str, bytes: Vec<u8>| write("stored", name, [vec![kind], bytes].concat());
    let trial = asked().unwrap().trial;
    content(0, "validation", said().encode_to_vec());
    content(1, "configuration", serde_json::to_vec(&trial.configuration).unwrap());
    content(2, "overrides", br#"[["protocol.epochs","2"]]"#.to_vec());
    content(3, "slots", br#"[{"device":"cpu","device_name":"x","memory_bytes":1}]"#.to_vec());
    let question = json!({"dataset": trial.dataset, "protocol": trial.protocol, "semantics": trial.semantics});
    content(4, "question", question.to_string().into_bytes());
    content(5, "acknowledged", [b"SWEEPACK".as_slice(), &[7, 0, 0, 0, 0, 0, 0, 0], &[1; 8]].concat());
    content(6, "digest", digest().to_vec());
    content(7, "code", [&[2][..], &1_i64.to_le_bytes()].concat());
}

fn journals() {
    let point = |sequence: u32| v1::Point { lease: lease(), sequence: sequence.into(), metrics: numbers(sequence) };
    let ending = finish(v1::finish_request::Ending::Result(result()));
    let mut payloads = vec![[vec![1], v1::LiveAttempt { lease: lease(), slot: 0 }.encode_to_vec()].concat()];
    payloads.extend((1..=EPOCHS).map(|sequence| [vec![2], point(sequence).encode_to_vec()].concat()));
    payloads.push([vec![4], header().encode_to_vec()].concat());
    payloads.push([vec![5], ending.encode_to_vec()].concat());
    let stopping = [vec![3], v1::Stopped { reason: "leaving".into() }.encode_to_vec()].concat();
    write("journal", "ended", journal(&payloads));
    write("journal", "stopping", journal(&[&payloads[..2], std::slice::from_ref(&stopping)].concat()));
    let ended = journal(&payloads);
    write("journal", "half", &ended[..ended.len() - 20]);
    write("records", "ended", records(&payloads));
    write("records", "stopping", records(&[&payloads[..3], &[stopping]].concat()));
    payloads.swap(1, 2);
    write("records", "out-of-order", records(&payloads));
}

/// A journal with these payloads, in the format of `worker/src/outbox/record.rs`.
fn journal(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"SWEEPBX1".to_vec();
    for payload in payloads {
        let place = bytes.len() as u64;
        let mut header = (payload.len() as u32).to_le_bytes().to_vec();
        header.extend(&Digest::of(payload).as_bytes()[..8]);
        let own = Digest::of(&[header.as_slice(), &place.to_le_bytes()].concat());
        header.extend(&own.as_bytes()[..4]);
        bytes.extend(header);
        bytes.extend(payload);
    }
    bytes
}

fn records(payloads: &[Vec<u8>]) -> Vec<u8> {
    let framed = |payload: &Vec<u8>| [(payload.len() as u16).to_le_bytes().as_slice(), payload].concat();
    payloads.iter().flat_map(framed).collect()
}
