//! Reading of `protocol`: every key may be left out, on every level, and then has its default.

use std::ops::RangeInclusive;

use super::dataset::part;
use super::value::Bounds;
use super::{At, Reader, Section};
use crate::protocol::{
    Augment, BatchNormalization, Holdout, Initializer, KeepWeights, Monitor, Normalize, Optimizer, Protocol, Report,
    Schedule, SplitSeed,
};

/// Passes over the training data.
const EPOCHS: RangeInclusive<u32> = 1..=100_000;
/// Images per step.
const BATCH_SIZES: RangeInclusive<u32> = 1..=65_536;
/// Epochs of patience or cooldown.
const PLATEAU_EPOCHS: RangeInclusive<u32> = 0..=100_000;
/// Step sizes of an optimizer.
const LEARNING_RATES: Bounds = Bounds { min: 0.0, max: 10.0, min_included: false, max_included: true };
/// The rate at which a schedule stops.
const LEAST_RATES: Bounds = Bounds { min: 0.0, max: 10.0, min_included: true, max_included: true };
/// The largest shift of an image, as a share of its side.
const SHIFTS: Bounds = Bounds { min: 0.0, max: 0.5, min_included: true, max_included: true };
/// Changes that count as improvement.
const DELTAS: Bounds = Bounds { min: 0.0, max: 1.0, min_included: true, max_included: true };

/// Reads a key into its place, which keeps its default where the key is not given or wrong.
macro_rules! read {
    ($section:expr, $key:literal, $place:expr, |$at:ident| $value:expr) => {
        if let Some($at) = $section.get($key)
            && let Some(value) = $value
        {
            $place = value;
        }
    };
}

pub(super) fn protocol(at: &At<'_>, reader: &mut Reader) -> Option<Protocol> {
    let mut section = at.section(reader, "a protocol: `{ epochs: ..., ... }`")?;
    let mut protocol = Protocol::default();
    read!(section, "epochs", protocol.epochs, |at| at.small(reader, EPOCHS));
    read!(section, "batch_size", protocol.batch_size, |at| at.small(reader, BATCH_SIZES));
    read!(section, "optimizer", protocol.optimizer, |at| optimizer(&at, reader));
    let learning_rate = protocol.optimizer.learning_rate();
    read!(section, "schedule", protocol.schedule, |at| schedule(&at, reader, learning_rate));
    read!(section, "augment", protocol.augment, |at| augment(&at, reader));
    let names = [("unit", Normalize::Unit), ("standardize", Normalize::Standardize)];
    read!(section, "normalize", protocol.normalize, |at| at.choice(reader, &names));
    let names = [("glorot_uniform", Initializer::GlorotUniform), ("he_normal", Initializer::HeNormal)];
    read!(section, "initializer", protocol.initializer, |at| at.choice(reader, &names));
    read!(section, "batch_normalization", protocol.batch_normalization, |at| normalization(&at, reader));
    let names = [("last", Report::Last), ("best", Report::Best)];
    read!(section, "report", protocol.report, |at| at.choice(reader, &names));
    read!(section, "holdout", protocol.holdout, |at| holdout(&at, reader));
    let names = [("none", KeepWeights::None), ("winner", KeepWeights::Winner), ("all", KeepWeights::All)];
    read!(section, "keep_weights", protocol.keep_weights, |at| at.choice(reader, &names));
    let names = [("fixed", SplitSeed::Fixed), ("per_seed", SplitSeed::PerSeed)];
    read!(section, "split", protocol.split, |at| at.choice(reader, &names));
    section.finish(reader, "key");
    Some(protocol)
}

fn optimizer(at: &At<'_>, reader: &mut Reader) -> Option<Optimizer> {
    let mut section = at.section(reader, "an optimizer: `{ kind: adam, learning_rate: ... }`")?;
    let mut optimizer = Optimizer::default();
    let Optimizer::Adam { learning_rate, beta_1, beta_2, epsilon } = &mut optimizer;
    if let Some(at) = section.get("kind") {
        at.choice(reader, &[("adam", ())]);
    }
    read!(section, "learning_rate", *learning_rate, |at| at.number(reader, &LEARNING_RATES));
    read!(section, "beta_1", *beta_1, |at| at.number(reader, &Bounds::SHARE));
    read!(section, "beta_2", *beta_2, |at| at.number(reader, &Bounds::SHARE));
    read!(section, "epsilon", *epsilon, |at| at.number(reader, &Bounds::SMALL));
    section.finish(reader, "key");
    Some(optimizer)
}

fn schedule(at: &At<'_>, reader: &mut Reader, learning_rate: f64) -> Option<Schedule> {
    let mut section = at.section(reader, "a schedule: `{ kind: reduce_on_plateau, ... }` or `{ kind: constant }`")?;
    let names = [("reduce_on_plateau", false), ("constant", true)];
    let constant = section.get("kind").map_or(Some(false), |at| at.choice(reader, &names));
    // Of an unknown kind, what is there is still checked, and no key is unknown.
    let mut schedule = if constant == Some(true) { Schedule::Constant } else { Schedule::default() };
    if let Schedule::ReduceOnPlateau { monitor, factor, patience, min_delta, cooldown, min_learning_rate } =
        &mut schedule
    {
        let names = [("val_accuracy", Monitor::ValAccuracy), ("val_loss", Monitor::ValLoss)];
        read!(section, "monitor", *monitor, |at| at.choice(reader, &names));
        read!(section, "factor", *factor, |at| at.number(reader, &Bounds::INNER));
        read!(section, "patience", *patience, |at| at.small(reader, PLATEAU_EPOCHS));
        read!(section, "min_delta", *min_delta, |at| at.number(reader, &DELTAS));
        read!(section, "cooldown", *cooldown, |at| at.small(reader, PLATEAU_EPOCHS));
        least_rate(&mut section, reader, learning_rate, min_learning_rate);
    }
    if constant.is_some() {
        section.finish(reader, "key");
    }
    Some(schedule)
}

fn least_rate(section: &mut Section<'_>, reader: &mut Reader, learning_rate: f64, place: &mut f64) {
    let Some(at) = section.get("min_learning_rate") else { return };
    let Some(value) = at.number(reader, &LEAST_RATES) else { return };
    if value > learning_rate {
        at.expected(reader, format_args!("at most the learning rate, {learning_rate:?}"));
    }
    *place = value;
}

fn augment(at: &At<'_>, reader: &mut Reader) -> Option<Augment> {
    let mut section = at.section(reader, "augmentations: `{ horizontal_flip: ..., shift: ... }`")?;
    let mut augment = Augment::default();
    read!(section, "horizontal_flip", augment.horizontal_flip, |at| at.boolean(reader));
    read!(section, "shift", augment.shift, |at| at.number(reader, &SHIFTS));
    section.finish(reader, "key");
    Some(augment)
}

fn normalization(at: &At<'_>, reader: &mut Reader) -> Option<BatchNormalization> {
    let mut section = at.section(reader, "constants: `{ epsilon: ..., momentum: ... }`")?;
    let mut constants = BatchNormalization::default();
    read!(section, "epsilon", constants.epsilon, |at| at.number(reader, &Bounds::SMALL));
    read!(section, "momentum", constants.momentum, |at| at.number(reader, &Bounds::SHARE));
    section.finish(reader, "key");
    Some(constants)
}

fn holdout(at: &At<'_>, reader: &mut Reader) -> Option<Option<Holdout>> {
    part(at, reader).map(|(fraction, seed)| Some(Holdout { fraction, seed }))
}
