//! Tests of the format with damaged and hostile bytes.

use std::io::Cursor;

use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::{Tensor, TensorData};
use sweep_spec::trainer::{EpochMetrics, Validation};
use sweep_spec::{Cnn, Configuration, Digest, Protocol, TRAINER_SEMANTICS, TrialId};

use super::*;
use crate::device::{ComputeDevice, Training};
use crate::network::{Build, Input};
use crate::random::{Purpose, Stream};
use crate::training::score::Score;
use crate::training::state::Partial;

const IMAGES: usize = 6;

fn fit(protocol: &Protocol) -> Fit<'_> {
    Fit {
        trial_id: TrialId::of(b"mine"),
        split_digest: Digest::of(b"split"),
        instruction_set: "abacus",
        protocol,
        train_images: 40,
        validation_images: IMAGES,
        test_images: 0,
        classes: 2,
        keeps_weights: true,
    }
}

fn fresh(device: &ComputeDevice, protocol: &Protocol) -> State {
    let cnn = Cnn { filters: 2, kernel_size: 3, dense_units: 3, batch_norm: true, ..Cnn::default() };
    let input = Input { image_size: 4, channels: 1, classes: 2 };
    let build = Build::<Training>::new(1, protocol, device.burn());
    State::new(build.network(&Configuration::Cnn(cnn), input).unwrap(), protocol).unwrap()
}

/// A trial in its third epoch.
fn advanced(device: &ComputeDevice, protocol: &Protocol) -> State {
    let mut state = fresh(device, protocol);
    let pixels: Vec<f32> = (0..32).map(|index| (index as f32).sin()).collect();
    let images = Tensor::<Training, 4>::from_data(TensorData::new(pixels, [2, 1, 4, 4]), device.burn());
    let loss = state.network.forward(images, Vec::new()).powi_scalar(2).sum();
    let gradients = GradientsParams::from_grads(loss.backward(), &state.network);
    state.network = state.optimizer.step(0.01, state.network.clone(), gradients);
    for epoch in 1..=2 {
        state.observe(EpochMetrics {
            epoch,
            train_loss: 0.1,
            train_accuracy: 0.2,
            val_loss: 0.3,
            val_accuracy: 0.4,
            learning_rate: 0.001,
            seconds: 0.5,
            images_per_second: 80.0,
        });
    }
    state.progress.validation = Some(Validation {
        labels: vec![0; IMAGES],
        predicted: vec![1; IMAGES],
        confidence: vec![0.75; IMAGES],
        confusion: vec![0, IMAGES as u32, 0, 0],
    });
    state.progress.weights = Some(crate::network::weights::file(&state.validating()).unwrap());
    state.progress.seconds = 1.0;
    let score = Score { samples: 32, right: 16, loss: 1.5 };
    state.partial = Partial { steps: 1, score, training_seconds: 0.125, validation_seconds: 0.0 };
    state
}

/// The bytes with a correct digest.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = blake3::hash(&bytes);
    bytes.extend(digest.as_bytes());
    bytes
}

fn unsealed(state: &State, fit: &Fit<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    format::write(state, fit, &mut bytes).unwrap();
    bytes
}

fn read(bytes: Vec<u8>, fit: &Fit<'_>, state: &State) -> Result<Contents, Refusal> {
    format::read(&mut Cursor::new(bytes), fit, &tensors::shapes(&state.network))
}

#[test]
fn what_was_written_is_what_is_read() {
    let (device, protocol) = (ComputeDevice::cpu(), Protocol::default());
    let written = advanced(&device, &protocol);
    let mut state = fresh(&device, &protocol);
    let bytes = sealed(unsealed(&written, &fit(&protocol)));
    let contents = read(bytes, &fit(&protocol), &state).unwrap();
    restore(&mut state, contents, device.burn());
    assert_eq!(state.progress, written.progress);
    assert_eq!(state.schedule, written.schedule);
    assert_eq!(unsealed(&state, &fit(&protocol)), unsealed(&written, &fit(&protocol)));
}

#[test]
fn every_bit_and_every_byte_is_looked_at() {
    let (device, protocol) = (ComputeDevice::cpu(), Protocol::default());
    let state = advanced(&device, &protocol);
    let fit = fit(&protocol);
    let whole = sealed(unsealed(&state, &fit));
    assert!(read(whole.clone(), &fit, &state).is_ok());
    for length in 0..whole.len() {
        assert!(read(whole[..length].to_vec(), &fit, &state).is_err(), "cut to {length} bytes");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            assert!(read(damaged, &fit, &state).is_err(), "bit {bit} of byte {at}");
        }
    }
    let longer = [whole, vec![0]].concat();
    assert!(read(longer, &fit, &state).is_err());
}

/// Invalid bytes with a correct digest may be accepted, but must do no harm.
#[test]
fn wrong_bytes_under_a_right_digest_do_no_harm() {
    let (device, protocol) = (ComputeDevice::cpu(), Protocol::default());
    let state = advanced(&device, &protocol);
    let fit = fit(&protocol);
    let bytes = unsealed(&state, &fit);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..4000 {
        let mut stream = Stream::new(7, Purpose::Scene, "bytes", &[round]);
        let mut changed = bytes.clone();
        for _ in 0..=stream.below(4) {
            let at = stream.below(changed.len() as u32) as usize;
            changed[at] = stream.next_u32() as u8;
        }
        if stream.below(3) == 0 {
            changed.truncate(stream.below(changed.len() as u32) as usize);
        }
        match read(sealed(changed), &fit, &state) {
            Ok(contents) => {
                taken += 1;
                let mut other = fresh(&device, &protocol);
                restore(&mut other, contents, device.burn());
                assert_eq!(other.progress.epochs(), 2, "round {round}");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
    for round in 0..1000 {
        let mut stream = Stream::new(7, Purpose::Scene, "noise", &[round]);
        let noise: Vec<u8> = (0..stream.below(400)).map(|_| stream.next_u32() as u8).collect();
        assert!(read(noise.clone(), &fit, &state).is_err(), "round {round}");
        let headed = [&bytes[..12], &noise].concat();
        assert!(read(sealed(headed), &fit, &state).is_err(), "round {round}");
    }
}

#[test]
fn whose_checkpoint_it_is_decides_and_is_told() {
    let (device, protocol) = (ComputeDevice::cpu(), Protocol::default());
    let state = advanced(&device, &protocol);
    let mine = fit(&protocol);
    let bytes = unsealed(&state, &mine);
    let other_trial = Fit { trial_id: TrialId::of(b"other"), ..fit(&protocol) };
    let other_machine = Fit { instruction_set: "slide rule", ..fit(&protocol) };
    let other_data = Fit { split_digest: Digest::of(b"other"), ..fit(&protocol) };
    let mut cases: Vec<(Vec<u8>, &Fit<'_>, &str)> = vec![
        (sealed(bytes.clone()), &other_trial, "it belongs to trial"),
        (sealed(bytes.clone()), &other_machine, "it was written with instruction set \"abacus\""),
        (sealed(bytes.clone()), &other_data, "it was written with other images"),
    ];
    for (at, number, sentence) in
        [(8, format::VERSION + 1, "it has format 2"), (12, TRAINER_SEMANTICS + 1, "it has trainer semantics")]
    {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&number.to_le_bytes());
        cases.push((sealed(changed), &mine, sentence));
    }
    for (bytes, fit, sentence) in cases {
        let refusal = read(bytes, fit, &state).unwrap_err();
        assert!(refusal.to_string().starts_with(sentence), "{refusal}");
        assert!(!refusal.is_damage(), "{refusal}");
    }
    // Without weights, and with those of a release that stored them in another format.
    for weights in [None, Some(vec![1, 2, 3])] {
        let mut without = advanced(&device, &protocol);
        without.progress.weights = weights;
        let refusal = read(sealed(unsealed(&without, &mine)), &mine, &state).unwrap_err();
        assert!(matches!(refusal, Refusal::Weights), "{refusal}");
    }
}

#[test]
fn a_file_that_is_far_too_long_is_not_read() {
    let (device, protocol) = (ComputeDevice::cpu(), Protocol::default());
    let state = advanced(&device, &protocol);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("epoch-000001.checkpoint");
    let mut bytes = unsealed(&state, &fit(&protocol));
    bytes.truncate(12);
    fs::write(&path, bytes).unwrap();
    // Sparse: it takes no space, but would take a while to read.
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let checkpoints = Checkpoints::new(&folder.path().to_string_lossy(), 1, fit(&protocol));
    let refusal = checkpoints.read(&path, &tensors::shapes(&state.network)).unwrap_err();
    assert!(matches!(refusal, Refusal::TooLong { bytes, .. } if bytes == 1 << 40), "{refusal}");
}

#[test]
fn the_newest_two_stay_and_a_folder_that_cannot_be_written_costs_nothing_but_time() {
    let (device, protocol) = (ComputeDevice::cpu(), Protocol::default());
    let mut state = advanced(&device, &protocol);
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("of/this/trial");
    let mut checkpoints = Checkpoints::new(&inside.to_string_lossy(), 0, fit(&protocol));
    for steps in 1..=4 {
        state.partial.steps = steps;
        assert!(checkpoints.before_leaving(&state).is_some());
        assert!(checkpoints.before_leaving(&state).is_none(), "it has nothing new");
    }
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["epoch-000002-step-000003.checkpoint", "epoch-000002-step-000004.checkpoint"]);
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let mut checkpoints = Checkpoints::new(&file.join("x").to_string_lossy(), 1, fit(&protocol));
    checkpoints.resume(&mut state, device.burn());
    assert!(checkpoints.before_leaving(&state).is_none());
}
