//! The training protocol, the same for every trial, as pairs of a key and a sentence.

use sweep_spec::protocol::{Initializer, Monitor, Normalize, Optimizer, Protocol, Report, Schedule, SplitSeed};

use super::{capital, number, plural};
use crate::view::View;

/// The lines.
pub(crate) fn lines(view: &View<'_>) -> Vec<(String, String)> {
    let protocol = &view.study.spec.protocol;
    let seeds: Vec<String> = view.study.spec.seeds.iter().map(ToString::to_string).collect();
    let augment = &protocol.augment;
    let augmentations = match (augment.horizontal_flip, augment.shift > 0.0) {
        (false, false) => "none".to_owned(),
        (true, false) => "mirrored left to right half of the time".to_owned(),
        (flip, true) => {
            let flip = if flip { "mirrored left to right half of the time, " } else { "" };
            format!("{flip}moved by up to {} of the side", number::percent(augment.shift))
        }
    };
    let pairs = [
        ("Epochs", format!("{}, {} images a step", plural(protocol.epochs as usize, "epoch"), protocol.batch_size)),
        ("Optimizer", optimizer(&protocol.optimizer)),
        ("Learning rate", schedule(&protocol.schedule)),
        ("Augmentation", augmentations),
        (
            "Pixels",
            match protocol.normalize {
                Normalize::Unit => "scaled to [0, 1]".to_owned(),
                Normalize::Standardize => "scaled to mean 0 and standard deviation 1 by the training images".to_owned(),
            },
        ),
        (
            "Weights",
            match protocol.initializer {
                Initializer::GlorotUniform => "Glorot-uniform at the start; biases zero".to_owned(),
                Initializer::HeNormal => "He-normal at the start; biases zero".to_owned(),
            },
        ),
        (
            "Batch normalisation",
            format!(
                "epsilon {}, momentum {}",
                protocol.batch_normalization.epsilon, protocol.batch_normalization.momentum
            ),
        ),
        ("Validation", validation(protocol)),
        (
            "Split",
            match protocol.split {
                SplitSeed::Fixed => "the same for all seeds".to_owned(),
                SplitSeed::PerSeed => "drawn anew for each seed, the same for all configurations under one".to_owned(),
            },
        ),
        ("Epoch that counts", capital(&epoch(protocol))),
        (
            "Training numbers",
            "running means over the epoch, dropout and augmentation on; validation after each epoch, both off"
                .to_owned(),
        ),
        ("Seeds", seeds.join(", ")),
    ];
    pairs.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
}

fn optimizer(optimizer: &Optimizer) -> String {
    match optimizer {
        Optimizer::Adam { learning_rate, beta_1, beta_2, epsilon } => {
            format!("Adam, learning rate {learning_rate}, betas {beta_1} and {beta_2}, epsilon {epsilon:e}")
        }
    }
}

fn schedule(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Constant => "constant".to_owned(),
        Schedule::ReduceOnPlateau { monitor, factor, patience, min_learning_rate, .. } => {
            let monitor = match monitor {
                Monitor::ValAccuracy => "validation accuracy",
                Monitor::ValLoss => "validation loss",
            };
            let least =
                if *min_learning_rate > 0.0 { format!(", down to {min_learning_rate:e}") } else { String::new() };
            format!(
                "multiplied by {factor} when {monitor} has not improved for {}{least}",
                plural(*patience as usize, "epoch")
            )
        }
    }
}

fn validation(protocol: &Protocol) -> String {
    match &protocol.holdout {
        None => "the data set's test part".to_owned(),
        Some(holdout) => format!(
            "{} of each class of the training part, held out (seed {})",
            number::percent(holdout.fraction),
            holdout.seed
        ),
    }
}

/// Which epoch a trial is judged by, and what follows from that.
pub(crate) fn epoch(protocol: &Protocol) -> String {
    match (protocol.report, &protocol.holdout) {
        (Report::Last, _) => "the last; nothing was chosen".to_owned(),
        (Report::Best, Some(_)) => "the best by validation accuracy, chosen on the held-out images".to_owned(),
        (Report::Best, None) => {
            "the best by validation accuracy; the epoch was chosen on the test set, so accuracies are higher than on \
             images that nobody has looked at"
                .to_owned()
        }
    }
}
