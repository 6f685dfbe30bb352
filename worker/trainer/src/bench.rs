//! How fast a network trains here, for the ruler: a few steps on drawn scenes, and where their time went.

use std::path::Path;

use sweep_spec::dataset::Source;
use sweep_spec::trainer::{Event, Folders, Train};
use sweep_spec::{Classes, Configuration, Dataset, Protocol, Trial, TrialId};

use crate::failure::{Failure, Stop};
use crate::training::{self, Listener, Phases};

/// What a measurement gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// Training images a second, validation excluded.
    pub images_per_second: f64,
    /// Where the time of the training steps went.
    pub phases: Phases,
    /// Parameters of the network.
    pub params: u64,
}

/// Nobody listens.
struct Silence;

impl Listener for Silence {
    fn say(&mut self, _: Event) -> Result<(), Stop> {
        Ok(())
    }

    fn wants_to_leave(&self) -> bool {
        false
    }
}

/// Trains `configuration` on images of three channels and `image_size` pixels for `steps` steps of `batch_size` images, on
/// one thread of the CPU. Drawn images are kept in `cache`.
///
/// # Errors
/// What a trial of it would fail with.
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
    match training::train(&request, &mut Silence) {
        Ok((finished, phases)) => Ok(Measurement {
            images_per_second: finished.provenance.images_per_second,
            phases,
            params: finished.provenance.params,
        }),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Left) => Err(Failure::machine("the measurement was interrupted")),
    }
}
