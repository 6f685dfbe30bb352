//! The sweeps of a run: a grid with an exact number of trials, and trials that kill their worker.

use crate::scripted::POISON_FILTERS;

/// Configurations of the grid at most; the rest of the trials are seeds.
const MAX_CONFIGURATIONS: u32 = 64;

/// Epochs of each trial.
pub const EPOCHS: u32 = 5;

/// Classes of its data.
pub(super) const CLASSES: u32 = 8;

/// A grid of exactly `trials` trials.
pub fn grid(trials: u32) -> String {
    let fits = |count: &u32| trials.is_multiple_of(*count);
    let configurations = (1..=MAX_CONFIGURATIONS).rev().find(fits).unwrap_or(1);
    let levels: Vec<u32> = (1..=configurations).collect();
    spec("chaos", &format!("{levels:?}"), trials / configurations)
}

/// `trials` trials that kill their worker every time.
pub fn poison(trials: u32) -> String {
    spec("poison", &format!("[{POISON_FILTERS}]"), trials)
}

fn spec(name: &str, filters: &str, seeds: u32) -> String {
    format!(
        "version: 1\nname: {name}\ndataset: {{ kind: synthetic_scenes, image_size: 8, channels: 3, classes: {CLASSES} }}\n\
         protocol: {{ epochs: {EPOCHS} }}\nseeds: {seeds}\nbaseline: {{ family: cnn }}\n\
         stages: [ {{ name: all, grid: {{ filters: {filters} }} }} ]\n"
    )
}
