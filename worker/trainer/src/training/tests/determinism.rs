//! A trial's result does not depend on earlier or concurrent trials.

use std::thread;

use sweep_spec::protocol::{Augment, Holdout, Normalize, Report, SplitSeed};
use sweep_spec::trainer::Train;
use sweep_spec::{FailureClass, Outcome, Protocol};

use super::*;

fn protocol() -> Protocol {
    Protocol { epochs: 2, batch_size: 8, augment: Augment { horizontal_flip: true, shift: 0.1 }, ..Protocol::default() }
}

/// Everything in a result that must be reproducible: all numbers except times.
fn bits(request: &Train) -> String {
    let (finished, log) = answer(request).unwrap();
    let numbers = |metrics: &EpochMetrics| {
        [metrics.train_loss, metrics.train_accuracy, metrics.val_loss, metrics.val_accuracy].map(f64::to_bits)
    };
    let epochs: Vec<_> = log.epochs.iter().map(numbers).collect();
    let provenance = finished.provenance;
    format!("{epochs:?} {:?} {} {}", finished.validation, provenance.data_digest, provenance.split_digest)
}

#[test]
fn a_trial_repeats_to_the_last_bit_whatever_runs_before_and_beside_it() {
    let cache = tempfile::tempdir().unwrap();
    let first = request(&small(), 1, protocol(), drawn(40, 16, 16), cache.path());
    let wide = Cnn { filters: 9, dropout: 0.5, ..small() };
    let second = request(&wide, 2, protocol(), drawn(40, 16, 16), cache.path());
    let alone = (bits(&first), bits(&second));
    assert_ne!(alone.0, alone.1);
    assert_eq!(alone, (bits(&first), bits(&second)), "one after the other");
    let beside = thread::scope(|scope| {
        let other = scope.spawn(|| bits(&second));
        (bits(&first), other.join().unwrap())
    });
    assert_eq!(alone, beside, "at the same time");
}

#[test]
fn the_seed_and_the_protocol_change_the_answer() {
    let cache = tempfile::tempdir().unwrap();
    let ask = |seed, protocol| bits(&request(&small(), seed, protocol, drawn(40, 16, 16), cache.path()));
    let base = ask(1, protocol());
    assert_ne!(base, ask(2, protocol()));
    assert_ne!(base, ask(1, Protocol { augment: Augment::default(), ..protocol() }));
    assert_ne!(base, ask(1, Protocol { normalize: Normalize::Standardize, ..protocol() }));
    assert_ne!(base, ask(1, Protocol { holdout: Some(Holdout { fraction: 0.2, seed: 1 }), ..protocol() }));
}

#[test]
fn with_a_split_for_each_seed_digests_differ_between_seeds_and_not_between_configurations() {
    let cache = tempfile::tempdir().unwrap();
    let digests = |cnn: &Cnn, seed, split| {
        let holdout = Some(Holdout { fraction: 0.25, seed: 1 });
        let protocol = Protocol { epochs: 1, split, holdout, ..protocol() };
        let (finished, _) = answer(&request(cnn, seed, protocol, drawn(40, 16, 16), cache.path())).unwrap();
        (finished.provenance.data_digest, finished.provenance.split_digest)
    };
    let wide = Cnn { filters: 9, ..small() };
    let (first, second) = (digests(&small(), 1, SplitSeed::PerSeed), digests(&small(), 2, SplitSeed::PerSeed));
    assert_eq!(first, digests(&wide, 1, SplitSeed::PerSeed));
    assert_eq!(first.0, second.0, "the data are the same");
    assert_ne!(first.1, second.1);
    assert_eq!(digests(&small(), 1, SplitSeed::Fixed), digests(&wide, 2, SplitSeed::Fixed));
}

#[test]
fn a_loss_that_is_not_finite_is_a_result() {
    let cache = tempfile::tempdir().unwrap();
    let mut protocol = protocol();
    protocol.optimizer =
        sweep_spec::protocol::Optimizer::Adam { learning_rate: 1e30, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 };
    let cnn = Cnn { batch_norm: false, ..small() };
    let (finished, log) = answer(&request(&cnn, 1, protocol, drawn(40, 16, 16), cache.path())).unwrap();
    assert_eq!(finished.outcome, Outcome::Diverged);
    assert!(log.epochs.is_empty() && finished.last.is_none() && finished.validation.is_none());
}

#[test]
fn the_reported_epoch_is_the_one_that_the_protocol_asks_for() {
    let cache = tempfile::tempdir().unwrap();
    let ask = |report| {
        let protocol = Protocol { report, epochs: 4, ..protocol() };
        answer(&request(&small(), 3, protocol, drawn(64, 24, 16), cache.path())).unwrap()
    };
    for report in [Report::Last, Report::Best] {
        let (finished, log) = ask(report);
        let best = log.epochs.iter().map(|epoch| epoch.val_accuracy).fold(0.0, f64::max);
        let earliest = log.epochs.iter().find(|epoch| epoch.val_accuracy == best).unwrap();
        assert_eq!(finished.best.unwrap().epoch, earliest.epoch);
        assert_eq!(finished.last.unwrap().epoch, 4);
        let validation = finished.validation.unwrap();
        let right = validation.labels.iter().zip(&validation.predicted).filter(|(label, said)| label == said).count();
        let chosen = if report == Report::Best { finished.best } else { finished.last };
        assert_eq!(right as f64 / 24.0, chosen.unwrap().val_accuracy);
        assert_eq!(validation.confusion.iter().sum::<u32>(), 24);
        assert!(validation.confidence.iter().all(|confidence| (0.125..=1.0).contains(confidence)));
    }
}

#[test]
fn leaving_is_possible_between_steps() {
    let cache = tempfile::tempdir().unwrap();
    let request = request(&small(), 1, Protocol { epochs: 1000, ..protocol() }, drawn(40, 16, 16), cache.path());
    let mut log = EpochLog { leave_after: Some(1), ..EpochLog::default() };
    assert!(matches!(train(&request, &mut log), Err(Stop::Left)));
    assert_eq!(log.epochs.len(), 1);
}

#[test]
fn what_cannot_be_trained_is_refused_with_a_class() {
    let cache = tempfile::tempdir().unwrap();
    let base = request(&small(), 1, protocol(), drawn(40, 16, 16), cache.path());
    let failure = |change: &dyn Fn(&mut Train)| {
        let mut request = base.clone();
        change(&mut request);
        answer(&request).unwrap_err().class
    };
    let cnn = |request: &mut Train, change: &dyn Fn(&mut Cnn)| {
        let Configuration::Cnn(cnn) = &mut request.trial.configuration else { panic!() };
        change(cnn);
    };
    let spec: [&dyn Fn(&mut Train); 12] = [
        &|request| request.trial.semantics += 1,
        &|request| request.trial.protocol.epochs = 0,
        &|request| request.trial.protocol.batch_size = 0,
        &|request| request.trial.protocol.augment.shift = f64::NAN,
        &|request| request.trial.dataset.channels = 2,
        &|request| request.trial.dataset.image_size = 0,
        &|request| cnn(request, &|cnn| cnn.conv_layers = 5),
        &|request| cnn(request, &|cnn| cnn.filters = 0),
        &|request| cnn(request, &|cnn| cnn.filters = u32::MAX),
        &|request| cnn(request, &|cnn| cnn.kernel_size = 0),
        &|request| cnn(request, &|cnn| cnn.dropout = 1.0),
        &|request| request.device = "tpu".to_owned(),
    ];
    for (number, change) in spec.into_iter().enumerate() {
        assert_eq!(failure(change), FailureClass::Spec, "case {number}");
    }
    assert_eq!(failure(&|request| request.trial.dataset.classes = Classes::Count(7)), FailureClass::Data);
    assert_eq!(failure(&|request| request.device = "cuda:99".to_owned()), FailureClass::DeviceUnavailable);
}
