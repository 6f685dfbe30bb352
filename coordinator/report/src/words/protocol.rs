//! The training protocol, the same for every trial, as pairs of a key and a sentence.

use sweep_spec::protocol::{Initializer, Monitor, Normalize, Optimizer, Protocol, Report, Schedule, SplitSeed};

use super::{capital, number, plural};
use crate::view::View;

pub(crate) fn lines(view: &View<'_>) -> Vec<(String, String)> {
    let protocol = &view.study.spec.protocol;
    let seeds: Vec<String> = view.study.spec.seeds.iter().map(ToString::to_string).collect();
    let augment = &protocol.augment;
    let augmentations = match (augment.horizontal_flip, augment.shift > 0.0) {
        (false, false) => "none".to_owned(),
        (true, false) => "mirrored horizontally with probability 1/2".to_owned(),
        (flip, true) => {
            let flip = if flip { "mirrored horizontally with probability 1/2, " } else { "" };
            format!("{flip}shifted by up to {} of the side", number::percent(augment.shift))
        }
    };
    let pairs = [
        ("Epochs", format!("{}, {} images per step", plural(protocol.epochs as usize, "epoch"), protocol.batch_size)),
        ("Optimizer", optimizer(&protocol.optimizer)),
        ("Learning rate", schedule(&protocol.schedule)),
        ("Augmentation", augmentations),
        (
            "Pixels",
            match protocol.normalize {
                Normalize::Unit => "scaled to [0, 1]".to_owned(),
                Normalize::Standardize => {
                    "standardised by the mean and standard deviation of the training images".to_owned()
                }
            },
        ),
        (
            "Weights",
            match protocol.initializer {
                Initializer::GlorotUniform => "Glorot uniform initialisation; biases zero".to_owned(),
                Initializer::HeNormal => "He normal initialisation; biases zero".to_owned(),
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
                SplitSeed::PerSeed => "drawn for each seed; all configurations under one seed share it".to_owned(),
            },
        ),
        ("Reported epoch", capital(&epoch(protocol))),
        (
            "Training numbers",
            "running means over the epoch, with dropout and augmentation; validation runs after each epoch, without \
             both"
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
        None => "the test part of the data set".to_owned(),
        Some(holdout) => format!(
            "{} of each class of the training part, held out (seed {})",
            number::percent(holdout.fraction),
            holdout.seed
        ),
    }
}

/// The epoch that a trial is judged by, and its consequences.
pub(crate) fn epoch(protocol: &Protocol) -> String {
    match (protocol.report, &protocol.holdout) {
        (Report::Last, _) => "the last epoch (no selection)".to_owned(),
        (Report::Best, Some(_)) => "the epoch with the best validation accuracy on the held-out images".to_owned(),
        (Report::Best, None) => {
            "the epoch with the best validation accuracy, chosen on the test set, so accuracies are higher than they \
             would be on unseen images"
                .to_owned()
        }
    }
}
