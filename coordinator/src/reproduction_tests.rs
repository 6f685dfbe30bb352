//! Results that are equal, results within the tolerance, and results that differ.

use sweep_spec::{Digest, Outcome};
use sweep_store::record::TestScore;

use super::*;

fn epoch(epoch: u32) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.0 / f64::from(epoch),
        train_accuracy: 0.5,
        val_loss: 0.75,
        val_accuracy: 0.25,
        learning_rate: 0.001,
        seconds: 1.0,
        images_per_second: 10.0,
    }
}

fn result(device: &str) -> ResultRecord {
    let provenance = Provenance {
        params: 7,
        images_per_second: 1.0,
        seconds: 1.0,
        peak_memory_bytes: 1,
        data_digest: Digest::of(b"data"),
        split_digest: Digest::of(b"split"),
        device: device.to_owned(),
        device_name: format!("a {device}"),
        instruction_set: "avx2".to_owned(),
        trainer: "t".to_owned(),
        threads: 1,
        origin: Default::default(),
    };
    let test = Some(TestScore { epoch: 3, loss: 0.5, accuracy: 0.5 });
    ResultRecord { outcome: Outcome::Converged, last: Some(epoch(3)), best: Some(epoch(2)), provenance, test }
}

fn said() -> Predictions {
    let validation = Validation {
        labels: vec![0, 1, 1, 0],
        predicted: vec![0, 1, 0, 0],
        confidence: vec![0.5, 0.75, 0.5, 1.0],
        confusion: vec![2, 0, 1, 1],
    };
    Predictions { validation: Some(validation), test: None }
}

type Change<'a> = &'a dyn Fn(&mut ResultRecord, &mut Vec<EpochMetrics>, &mut Predictions);

/// Compares a result on `device` with a changed copy of it.
fn compared(device: &str, tolerance: f64, change: Change<'_>) -> Reproduction {
    let (old, points, before) = (result(device), vec![epoch(1), epoch(2), epoch(3)], said());
    let (mut new, mut again, mut now) = (old.clone(), points.clone(), before.clone());
    change(&mut new, &mut again, &mut now);
    let old = Answer { result: &old, points: &points, said: &before };
    compare(&old, &Answer { result: &new, points: &again, said: &now }, tolerance)
}

#[test]
fn an_answer_that_repeats_is_the_same_to_the_last_bit_whatever_time_it_took() {
    let found = compared("cpu", TOLERANCE, &|result, points, _| {
        result.provenance.seconds = 99.0;
        points[0].seconds = 99.0;
        points[1].images_per_second = 1.0;
    });
    assert!(found.same && found.exactly && found.largest.is_none(), "{found:?}");
    // Five numbers for each of three epochs, the last and the best; two of the test part; four confidences.
    assert_eq!((found.numbers, found.numbers_changed, found.predictions), (31, 0, 4));
    assert!(found.reason.contains("avx2") && found.reason.contains("one thread"), "{}", found.reason);
}

#[test]
fn on_a_cpu_the_last_bit_of_any_number_counts() {
    let next = |value: f64| f64::from_bits(value.to_bits() + 1);
    let changes: [Change<'_>; 7] = [
        &|_, points, _| points[1].train_loss = next(points[1].train_loss),
        &|_, points, _| points[2].learning_rate = next(points[2].learning_rate),
        &|result, _, _| result.last = result.last.map(|last| EpochMetrics { val_loss: next(last.val_loss), ..last }),
        &|result, _, _| result.best = Some(epoch(1)),
        &|result, _, _| result.test = Some(TestScore { epoch: 3, loss: next(0.5), accuracy: 0.5 }),
        &|_, _, said| said.validation.as_mut().unwrap().confidence[2] = f32::from_bits(0.5_f32.to_bits() + 1),
        &|_, _, said| said.validation.as_mut().unwrap().predicted[2] = 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let found = compared("cpu", 1.0, change);
        assert!(!found.same && found.exactly, "change {number}: {found:?}");
    }
}

#[test]
fn on_a_gpu_the_tolerance_decides_and_the_largest_difference_is_named() {
    let change: Change<'_> = &|_, points, _| {
        points[0].val_loss += 0.001;
        points[2].train_loss += 0.005;
    };
    let found = compared("cuda:0", 0.01, change);
    assert!(found.same && !found.exactly && found.numbers_changed == 2, "{found:?}");
    let (largest, place) = found.largest.unwrap();
    assert!((largest - 0.005).abs() < 1e-12);
    assert_eq!(place, "epoch 3, train loss");
    assert!(!compared("cuda:0", 0.004, change).same);
    let turned = compared("cuda:0", 0.1, &|_, _, said| said.validation.as_mut().unwrap().predicted[2] = 1);
    assert!(!turned.same && turned.predictions_changed == 1, "a quarter of the images, and a tenth is borne");
    assert!(compared("cuda:0", 0.25, &|_, _, said| said.validation.as_mut().unwrap().predicted[2] = 1).same);
}

#[test]
fn bits_need_not_agree_between_instruction_sets_or_numbers_of_threads() {
    let changes: [(Change<'_>, &str); 3] = [
        (&|result, _, _| result.provenance.instruction_set = "avx512".into(), "two instruction sets, avx2 and avx512"),
        (&|result, _, _| result.provenance.threads = 4, "1 threads and with 4"),
        (
            &|result, _, _| (result.provenance.device, result.provenance.device_name) = ("cuda:1".into(), "a G".into()),
            "a G",
        ),
    ];
    for (change, reason) in changes {
        let found = compared("cpu", TOLERANCE, change);
        assert!(found.same && !found.exactly && found.reason.contains(reason), "{found:?}");
    }
}

#[test]
fn what_cannot_be_compared_is_never_the_same() {
    let changes: [(Change<'_>, &str); 6] = [
        (&|result, _, _| result.outcome = Outcome::Diverged, "the outcomes differ"),
        (&|result, _, _| result.provenance.data_digest = Digest::of(b"other"), "the data differ"),
        (&|result, _, _| result.provenance.split_digest = Digest::of(b"other"), "the splits differ"),
        (&|_, points, _| points.truncate(2), "the numbers of epochs differ"),
        (&|_, _, said| said.validation = None, "only one has predictions"),
        (&|_, _, said| said.validation.as_mut().unwrap().labels[0] = 1, "the validation images differ"),
    ];
    for (change, mismatch) in changes {
        for device in ["cpu", "cuda:0"] {
            let found = compared(device, 1.0, change);
            assert!(!found.same && found.mismatches.contains(&mismatch.to_owned()), "{mismatch}: {found:?}");
        }
    }
}
