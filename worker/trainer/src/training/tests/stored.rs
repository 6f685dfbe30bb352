//! A checkpoint of an earlier build still opens. `tests/data` has one of each format, created by the ignored test below
//! with the first trainer of that format, and the result of that trainer.
//!
//! A checkpoint of other trainer semantics is refused by design: with new semantics, create a new checkpoint under a
//! new name.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::*;
use crate::device::ComputeDevice;
use crate::training::checkpoint::stored_protocol;

const NAME: &str = "epoch-000003-step-000002.checkpoint";
/// The offset of the length of the instruction set's name, in format 1.
const INSTRUCTION_SET_AT: usize = 80;
/// For other instruction sets, which round differently at the last bit, over thirty steps.
const LOSS_TOLERANCE: f64 = 1e-3;
/// One of 16 images may be between two classes.
const ACCURACY_TOLERANCE: f64 = 1.5 / 16.0;

/// The result of the trainer that wrote the checkpoint.
#[derive(Serialize, Deserialize)]
struct Expected {
    instruction_set: String,
    epochs: Vec<EpochMetrics>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn tiny(folder: &Path) -> Train {
    let cnn = Cnn { conv_layers: 1, filters: 2, dense_units: 4, dense_layers: 1, ..small() };
    let mut request = request(&cnn, 1, stored_protocol(), drawn(40, 16, 8), &folder.join("cache"));
    request.checkpoint_folder = Some(folder.to_string_lossy().into_owned());
    request
}

#[test]
fn a_checkpoint_of_format_1_opens_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(data().join("format-1-semantics-3.checkpoint")).unwrap();
    let expected: Expected =
        serde_json::from_slice(&fs::read(data().join("format-1-semantics-3.json")).unwrap()).unwrap();
    let here = ComputeDevice::cpu().instruction_set;
    fs::write(folder.path().join(NAME), with_instruction_set(&bytes, &here)).unwrap();
    let (finished, log) = answer(&tiny(folder.path())).unwrap();
    assert!(folder.path().join("epoch-000004.checkpoint").exists(), "it was taken, and went on");
    assert!(!folder.path().join(NAME).with_extension("checkpoint.refused").exists());
    assert_eq!(log.epochs.len(), expected.epochs.len());
    assert_eq!(log.epochs[..3], expected.epochs[..3], "what it holds is said as it was, times and all");
    for (epoch, expected_epoch) in log.epochs.iter().zip(&expected.epochs) {
        let close = |one: f64, other: f64, tolerance: f64| {
            one.to_bits() == other.to_bits() || here != expected.instruction_set && (one - other).abs() < tolerance
        };
        let same = close(epoch.train_loss, expected_epoch.train_loss, LOSS_TOLERANCE)
            && close(epoch.val_loss, expected_epoch.val_loss, LOSS_TOLERANCE)
            && close(epoch.train_accuracy, expected_epoch.train_accuracy, ACCURACY_TOLERANCE)
            && close(epoch.val_accuracy, expected_epoch.val_accuracy, ACCURACY_TOLERANCE)
            && epoch.learning_rate == expected_epoch.learning_rate;
        assert!(same, "{epoch:?}\n{expected_epoch:?}");
    }
    assert_eq!(finished.last.unwrap().epoch, 6);
}

/// The same checkpoint with this machine's instruction set: checkpoints of others are refused, because their last bits
/// would differ.
fn with_instruction_set(bytes: &[u8], name: &str) -> Vec<u8> {
    let length = usize::from(bytes[INSTRUCTION_SET_AT]);
    let (before, after) = (&bytes[..INSTRUCTION_SET_AT], &bytes[INSTRUCTION_SET_AT + 1 + length..bytes.len() - 32]);
    let mut changed = [before, &[name.len() as u8], name.as_bytes(), after].concat();
    let digest = blake3::hash(&changed);
    changed.extend(digest.as_bytes());
    changed
}

/// Run once for each format: `cargo test -p sweep-trainer --lib -- --ignored stored`.
#[test]
#[ignore = "writes the test data that others read"]
fn write_the_stored_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let request = tiny(folder.path());
    let mut leaving = super::resuming::Interrupter::after(Some(3 * 7 + 2));
    assert!(matches!(train(&request, &mut leaving), Err(Stop::Left)));
    fs::copy(folder.path().join(NAME), data().join("format-1-semantics-3.checkpoint")).unwrap();
    let (_, log) = answer(&request).unwrap();
    let expected = Expected { instruction_set: ComputeDevice::cpu().instruction_set, epochs: log.epochs };
    fs::write(data().join("format-1-semantics-3.json"), serde_json::to_vec_pretty(&expected).unwrap()).unwrap();
}
