//! Tests of complete trials.

mod determinism;
mod holdout;
mod learning;
mod resuming;
mod stored;

use std::path::Path;

use sweep_spec::dataset::Source;
use sweep_spec::trainer::{EpochMetrics, Event, Finished, Folders, Train};
use sweep_spec::{Classes, Cnn, Configuration, Dataset, Protocol, Trial, TrialId};

use super::{Listener, train};
use crate::failure::{Failure, Stop};

/// Records the epochs, and exits after some.
#[derive(Debug, Default)]
struct EpochLog {
    epochs: Vec<EpochMetrics>,
    params: u64,
    leave_after: Option<usize>,
}

impl Listener for EpochLog {
    fn send(&mut self, event: Event) -> Result<(), Stop> {
        match event {
            Event::Epoch(epoch) => self.epochs.push(epoch.metrics),
            Event::Started(started) => self.params = started.params,
            _ => {}
        }
        Ok(())
    }

    fn wants_to_leave(&self) -> bool {
        self.leave_after.is_some_and(|count| self.epochs.len() >= count)
    }
}

fn drawn(train_images: u32, test_images: u32, image_size: u32) -> Dataset {
    let source = Source::SyntheticScenes { seed: 5, train_images, test_images };
    Dataset { source, image_size, channels: 3, classes: Classes::Count(8), digest: None }
}

fn small() -> Cnn {
    Cnn {
        conv_layers: 2,
        filters: 6,
        kernel_size: 3,
        dense_layers: 2,
        dense_units: 24,
        batch_norm: true,
        max_pool: true,
        dropout: 0.25,
    }
}

fn request(cnn: &Cnn, seed: u64, protocol: Protocol, dataset: Dataset, cache: &Path) -> Train {
    let trial = Trial::new(Configuration::Cnn(cnn.clone()), seed, protocol, dataset);
    let cache = cache.to_string_lossy().into_owned();
    Train {
        trial_id: TrialId::of(b"test"),
        attempt: 1,
        trial,
        device: "cpu".to_owned(),
        folders: Folders { data_root: cache.clone(), more_data_roots: Vec::new(), cache },
        checkpoint_folder: None,
        checkpoint_every: 1,
        artifact_folder: None,
    }
}

fn answer(request: &Train) -> Result<(Finished, EpochLog), Failure> {
    let mut log = EpochLog::default();
    match train(request, &mut log) {
        Ok((finished, _)) => Ok((finished, log)),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Left) => panic!("nobody asked it to leave"),
    }
}
