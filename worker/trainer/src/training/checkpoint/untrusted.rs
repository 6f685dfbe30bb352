//! Parses a checkpoint from an untrusted folder, for tests and fuzzers.

use std::io::Cursor;
use std::sync::OnceLock;

use sweep_spec::protocol::{Monitor, Schedule};
use sweep_spec::{Cnn, Configuration, Digest, Protocol, TrialId};

use super::format::{self, Fit};
use super::tensors;
use crate::device::{ComputeDevice, Training};
use crate::network::{Build, Input};

/// The offsets of the ids of trial and split in format 1, and of the length of the instruction set's name.
const TRIAL_AT: usize = 16;
const SPLIT_AT: usize = 48;
const NAME_AT: usize = 80;
const DIGEST_BYTES: usize = 32;

/// Reads `bytes` as a checkpoint of the trial, the images and the machine that they name, first unchanged and then with
/// a correct digest, as an attacker could write it. The network is the one of
/// `tests/data/format-1-semantics-3.checkpoint`.
///
/// # Errors
/// They are refused both times; returns the second reason.
pub fn checkpoint(bytes: &[u8]) -> Result<(), String> {
    if read(bytes).is_ok() {
        return Ok(());
    }
    let kept = bytes.len().saturating_sub(DIGEST_BYTES);
    let mut sealed = bytes.get(..kept).unwrap_or_default().to_vec();
    let digest = blake3::hash(&sealed);
    sealed.extend(digest.as_bytes());
    read(&sealed)
}

fn read(bytes: &[u8]) -> Result<(), String> {
    let part = |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    let length = bytes.get(NAME_AT).copied().map_or(0, usize::from);
    let name = bytes.get(NAME_AT + 1..).and_then(|rest| rest.get(..length)).unwrap_or_default();
    let protocol = protocol();
    let fit = Fit {
        trial_id: TrialId::from_bytes(part(TRIAL_AT)),
        split_digest: Digest::from_bytes(part(SPLIT_AT)),
        instruction_set: std::str::from_utf8(name).unwrap_or_default(),
        protocol: &protocol,
        train_images: 40,
        validation_images: 16,
        test_images: 0,
        classes: 8,
        keeps_weights: false,
    };
    let contents = format::read(&mut Cursor::new(bytes), &fit, shapes()?);
    contents.map(drop).map_err(|refusal| refusal.to_string())
}

/// The protocol of the stored checkpoint's trial.
pub(crate) fn protocol() -> Protocol {
    let schedule = Schedule::ReduceOnPlateau {
        monitor: Monitor::ValLoss,
        factor: 0.5,
        patience: 2,
        min_delta: 0.1,
        cooldown: 0,
        min_learning_rate: 0.0,
    };
    Protocol { epochs: 6, batch_size: 8, schedule, ..Protocol::default() }
}

/// The shapes of the network's tensors.
fn shapes() -> Result<&'static [Vec<usize>], String> {
    static SHAPES: OnceLock<Result<Vec<Vec<usize>>, String>> = OnceLock::new();
    let made = SHAPES.get_or_init(|| {
        let device = ComputeDevice::cpu();
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
        let input = Input { image_size: 8, channels: 3, classes: 8 };
        let build = Build::<Training>::new(1, &protocol(), device.burn()).network(&Configuration::Cnn(cnn), input);
        build.map(|network| tensors::shapes(&network)).map_err(|failure| failure.reason)
    });
    made.as_deref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_checkpoint_is_taken_and_another_digest_is_put_right() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/format-1-semantics-3.checkpoint");
        let mut bytes = std::fs::read(path).unwrap();
        assert_eq!(checkpoint(&bytes), Ok(()));
        *bytes.last_mut().unwrap() ^= 1;
        assert!(read(&bytes).unwrap_err().contains("digest"));
        assert_eq!(checkpoint(&bytes), Ok(()), "everything behind the digest is reached");
        assert!(checkpoint(b"").is_err() && checkpoint(&[0; 20]).is_err());
    }
}
