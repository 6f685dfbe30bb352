//! Requests CUDA on a machine without an NVIDIA driver, in a build with CUDA and in one without: the result is an
//! error, never a panic.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sweep_spec::dataset::Source;
use sweep_spec::trainer::{Folders, Train};
use sweep_spec::{Classes, Cnn, Configuration, Dataset, Protocol, Trial};

/// The program's answers to these commands, without its hello, and its log.
fn talk(commands: &[Value]) -> (Vec<Value>, String) {
    let mut trainer = Command::new(env!("CARGO_BIN_EXE_sweep-trainer"))
        .env("RUST_LOG", "info")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = trainer.stdin.take().unwrap();
    for command in commands {
        writeln!(stdin, "{command}").unwrap();
    }
    drop(stdin);
    let output = trainer.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    let events = said.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    (events, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn train(device: &str, cache: &Path) -> Value {
    let dataset = Dataset {
        source: Source::SyntheticScenes { seed: 1, train_images: 16, test_images: 8 },
        image_size: 8,
        channels: 3,
        classes: Classes::Count(8),
        digest: None,
    };
    let cnn = Cnn { filters: 2, kernel_size: 3, dense_units: 4, batch_norm: true, ..Cnn::default() };
    let protocol = Protocol { epochs: 1, batch_size: 8, ..Protocol::default() };
    let trial = Trial::new(Configuration::Cnn(cnn), 0, protocol, dataset);
    let cache = cache.to_string_lossy().into_owned();
    let request = Train {
        trial_id: trial.id().unwrap(),
        attempt: 1,
        trial,
        device: device.to_owned(),
        folders: Folders { data_root: cache.clone(), more_data_roots: Vec::new(), cache },
        checkpoint_folder: None,
        checkpoint_every: 1,
        artifact_folder: None,
    };
    serde_json::to_value(sweep_spec::trainer::Command::Train(Box::new(request))).unwrap()
}

/// Looks in other places than the trainer, so that a trainer that finds no driver cannot hide one.
fn a_driver_is_here() -> bool {
    ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"].iter().any(|path| Path::new(path).exists())
}

#[test]
fn without_a_driver_cuda_is_refused_in_a_sentence_and_auto_trains_on_the_cpu() {
    if cfg!(feature = "cuda") && a_driver_is_here() {
        println!("SKIPPED: this machine has an NVIDIA driver, so what is said without one cannot be seen here");
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let commands = [train("cuda:0", cache.path()), train("auto", cache.path()), json!({ "command": "devices" })];
    let (events, log) = talk(&commands);
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["failed", "started", "epoch", "finished", "devices"], "{log}");

    let [failed, started, _, finished, devices] = events.as_slice() else { panic!() };
    assert_eq!(failed["class"], "device_unavailable");
    let reason = failed["reason"].as_str().unwrap();
    assert_eq!(reason.lines().count(), 1, "{reason}");
    let expected = if cfg!(feature = "cuda") { "libcuda.so.1" } else { "--features cuda" };
    assert!(reason.contains(expected), "{reason}");
    for word in ["panic", "unwrap", "backtrace", "dynamically load"] {
        assert!(!format!("{reason}{log}").to_lowercase().contains(word), "{word}: {reason}\n{log}");
    }

    assert_eq!((&started["device"], &finished["provenance"]["device"]), (&json!("cpu"), &json!("cpu")));
    assert!(finished["provenance"]["peak_memory_bytes"].as_u64().unwrap() > 1_000_000);
    assert_eq!(log.contains("training on the cpu"), cfg!(feature = "cuda"), "{log}");

    let list = devices["devices"].as_array().unwrap();
    assert_eq!((list.len(), &list[0]["name"]), (1, &json!("cpu")));
    assert!(devices["cuda_unavailable"].as_str().unwrap().contains(expected), "{devices}");
}
