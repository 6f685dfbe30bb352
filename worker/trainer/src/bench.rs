//! The training benchmark: a few steps on drawn scenes, with the time of each phase.

use std::path::Path;

use sweep_spec::dataset::Source;
use sweep_spec::trainer::{Event, Folders, Train};
use sweep_spec::{Classes, Configuration, Dataset, Protocol, Trial, TrialId};

use crate::failure::{Failure, Stop};
use crate::training::{self, Listener, Phases};

/// The result of a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// Training images per second, without validation.
    pub images_per_second: f64,
    /// Time of the training steps by phase.
    pub phases: Phases,
    /// Parameters of the network.
    pub params: u64,
}

/// Ignores all events.
struct IgnoreEvents;

impl Listener for IgnoreEvents {
    fn send(&mut self, _: Event) -> Result<(), Stop> {
        Ok(())
    }

    fn wants_to_leave(&self) -> bool {
        false
    }
}

/// Trains `configuration` for `steps` steps of `batch_size` images, with three channels and `image_size` pixels per
/// side, on one CPU thread. `cache` is the folder of drawn images.
///
/// # Errors
/// The failure that a trial of it would have.
pub fn train(
    configuration: &Configuration,
    image_size: u32,
    batch_size: u32,
    steps: u32,
    cache: &Path,
) -> Result<Measurement, Failure> {
    let source = Source::SyntheticScenes { seed: 0, train_images: batch_size.saturating_mul(steps), test_images: 8 };
    let dataset = Dataset { source, image_size, channels: 3, classes: Classes::Count(8), digest: None };
    let protocol = Protocol { epochs: 1, batch_size, ..Protocol::default() };
    let cache = cache.to_string_lossy().into_owned();
    let request = Train {
        trial_id: TrialId::of(b"bench"),
        attempt: 1,
        trial: Trial::new(configuration.clone(), 0, protocol, dataset),
        device: "cpu".to_owned(),
        folders: Folders { data_root: cache.clone(), more_data_roots: Vec::new(), cache },
        checkpoint_folder: None,
        checkpoint_every: 1,
        artifact_folder: None,
    };
    match training::train(&request, &mut IgnoreEvents) {
        Ok((finished, phases)) => Ok(Measurement {
            images_per_second: finished.provenance.images_per_second,
            phases,
            params: finished.provenance.params,
        }),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Left) => Err(Failure::machine("the measurement was interrupted")),
    }
}
