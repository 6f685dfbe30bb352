//! A resumed trial gives the same result as an uninterrupted one.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use sweep_spec::protocol::{Augment, KeepWeights, Monitor, Report, Schedule};

use super::*;

/// Records all events, and wants to exit at the n-th check.
pub(super) struct Interrupter {
    looks_left: Cell<Option<u32>>,
    events: Vec<Event>,
}

impl Interrupter {
    pub(super) fn after(looks: Option<u32>) -> Self {
        Self { looks_left: Cell::new(looks), events: Vec::new() }
    }

    fn epochs(&self) -> Vec<EpochMetrics> {
        let metrics = |event: &Event| if let Event::Epoch(epoch) = event { Some(epoch.metrics) } else { None };
        self.events.iter().filter_map(metrics).collect()
    }

    fn first_epoch(&self) -> u32 {
        let Some(Event::Started(started)) = self.events.first() else { panic!("not started") };
        started.first_epoch
    }

    /// The file name of the last checkpoint that was reported.
    fn checkpoint(&self) -> Option<PathBuf> {
        let path =
            |event: &Event| if let Event::Checkpoint(said) = event { Some(said.path.clone().into()) } else { None };
        self.events.iter().rev().find_map(path)
    }
}

impl Listener for Interrupter {
    fn send(&mut self, event: Event) -> Result<(), Stop> {
        self.events.push(event);
        Ok(())
    }

    fn wants_to_leave(&self) -> bool {
        let left = self.looks_left.get();
        self.looks_left.set(left.map(|left| left.saturating_sub(1)));
        left == Some(0)
    }
}

/// Batch normalisation, dropout, augmentation, kept weights, and a schedule that acts after each epoch.
fn restless(folder: &Path, epochs: u32, report: Report) -> Train {
    let schedule = Schedule::ReduceOnPlateau {
        monitor: Monitor::ValLoss,
        factor: 0.7,
        patience: 1,
        min_delta: 10.0,
        cooldown: 0,
        min_learning_rate: 0.0,
    };
    let protocol = Protocol {
        epochs,
        batch_size: 8,
        schedule,
        augment: Augment { horizontal_flip: true, shift: 0.1 },
        report,
        keep_weights: KeepWeights::All,
        ..Protocol::default()
    };
    let cnn = Cnn { conv_layers: 1, filters: 3, dense_units: 5, dense_layers: 1, ..small() };
    let mut request = request(&cnn, 1, protocol, drawn(40, 16, 8), &folder.join("cache"));
    request.checkpoint_folder = Some(folder.join("checkpoints").to_string_lossy().into_owned());
    request.artifact_folder = Some(folder.join("artifacts").to_string_lossy().into_owned());
    request
}

/// All bits of a result except times.
fn bits(finished: &Finished, epochs: &[EpochMetrics], folder: &Path) -> String {
    let numbers = |metrics: &EpochMetrics| {
        let numbers = [metrics.train_loss, metrics.train_accuracy, metrics.val_loss, metrics.val_accuracy];
        (metrics.epoch, metrics.learning_rate.to_bits(), numbers.map(f64::to_bits))
    };
    let weights = blake3::hash(&fs::read(folder.join("artifacts/weights.safetensors")).unwrap());
    format!(
        "{:?} {:?} {:?} {:?} {:?} {} {} {weights}",
        finished.outcome,
        epochs.iter().map(numbers).collect::<Vec<_>>(),
        finished.last.as_ref().map(numbers),
        finished.best.as_ref().map(numbers),
        finished.validation,
        finished.provenance.data_digest,
        finished.provenance.split_digest,
    )
}

/// The result of an uninterrupted trial, and how often it was asked whether to exit.
fn straight(epochs: u32, report: Report) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut request = restless(folder.path(), epochs, report);
    request.checkpoint_folder = None;
    let mut listener = Interrupter::after(None);
    let (finished, _) = train(&request, &mut listener).unwrap();
    let rates: Vec<f64> = listener.epochs().iter().map(|metrics| metrics.learning_rate).collect();
    assert!(rates.is_sorted_by(|one, next| one >= next) && rates[1] > rates[2], "the schedule fired: {rates:?}");
    bits(&finished, &listener.epochs(), folder.path())
}

#[test]
fn a_trial_that_leaves_again_and_again_gives_the_bits_of_one_that_ran_through() {
    for (report, every, looks) in
        [(Report::Last, 1, 2), (Report::Best, 3, 2), (Report::Last, 2, 5), (Report::Best, 1, 9)]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut request = restless(folder.path(), 4, report);
        request.checkpoint_every = every;
        let (mut times, mut said): (u32, Vec<EpochMetrics>) = (0, Vec::new());
        let (finished, epochs) = loop {
            let mut listener = Interrupter::after(Some(looks));
            let answer = train(&request, &mut listener);
            let epochs = listener.epochs();
            let again = said.len().min(listener.first_epoch() as usize - 1);
            assert_eq!(epochs[..again], said[..again], "epochs are said again as they were");
            said = epochs.clone();
            match answer {
                Ok((finished, _)) => break (finished, epochs),
                Err(Stop::Left) => times += 1,
                Err(Stop::Failed(failure)) => panic!("{failure}"),
            }
            request.attempt += 1;
            assert!(times < 100);
        };
        // Four epochs are 4 × (5 steps and 2 batches of validation); an interrupted validation starts again.
        assert!(times >= 28 / (looks + 2), "left {times} times");
        assert_eq!(bits(&finished, &epochs, folder.path()), straight(4, report), "left {times} times");
        let seconds: f64 = epochs.iter().map(|metrics| metrics.seconds).sum();
        assert!((finished.provenance.seconds - seconds).abs() < 1e-9, "all attempts are counted");
    }
}

#[test]
fn checkpoints_come_every_so_many_epochs_and_never_after_the_last() {
    for (every, expected) in
        [(0, vec![1, 2, 3, 4, 5]), (1, vec![1, 2, 3, 4, 5]), (2, vec![2, 4]), (3, vec![3]), (6, vec![])]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut request = restless(folder.path(), 6, Report::Last);
        request.checkpoint_every = every;
        let mut listener = Interrupter::after(None);
        train(&request, &mut listener).unwrap();
        let epoch = |event: &Event| if let Event::Checkpoint(said) = event { Some(said.epoch) } else { None };
        let epochs: Vec<u32> = listener.events.iter().filter_map(epoch).collect();
        assert_eq!(epochs, expected, "every {every}");
    }
}

#[test]
fn the_newest_whole_checkpoint_is_taken_wherever_the_folder_lies() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = restless(folder.path(), 6, Report::Last);
    let mut first = Interrupter::after(Some(4 * 7 + 2));
    assert!(matches!(train(&request, &mut first), Err(Stop::Left)));
    let newest = first.checkpoint().unwrap();
    let names = |folder: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let original = newest.parent().unwrap().to_owned();
    assert_eq!(names(&original), ["epoch-000004-step-000002.checkpoint", "epoch-000004.checkpoint"]);
    // (damaged ones, the first epoch that remains to be trained)
    for (damaged, first_epoch, left) in [(0, 5, 0), (1, 5, 1), (2, 1, 2)] {
        let copy = folder.path().join(format!("copy-{damaged}"));
        fs::create_dir(&copy).unwrap();
        for (index, name) in names(&original).iter().enumerate() {
            let mut bytes = fs::read(original.join(name)).unwrap();
            if index < damaged {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
            }
            fs::write(copy.join(name), bytes).unwrap();
        }
        fs::write(copy.join(".writing-killed"), "half").unwrap();
        request.checkpoint_folder = Some(copy.to_string_lossy().into_owned());
        let mut listener = Interrupter::after(None);
        let (finished, _) = train(&request, &mut listener).unwrap();
        assert_eq!(listener.first_epoch(), first_epoch, "{damaged} damaged");
        assert_eq!(bits(&finished, &listener.epochs(), folder.path()), straight(6, Report::Last), "{damaged} damaged");
        let names = names(&copy);
        assert_eq!(names.iter().filter(|name| name.ends_with(".damaged")).count(), left, "{names:?}");
        assert_eq!(names.iter().filter(|name| name.ends_with(".checkpoint")).count(), 2, "{names:?}");
        assert_eq!(names.len(), left + 2, "{names:?}");
    }
}

#[test]
fn a_checkpoint_of_another_trial_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = restless(folder.path(), 3, Report::Last);
    assert!(matches!(train(&request, &mut Interrupter::after(Some(9))), Err(Stop::Left)));
    request.trial_id = TrialId::of(b"another");
    let mut listener = Interrupter::after(None);
    let (finished, _) = train(&request, &mut listener).unwrap();
    assert_eq!(listener.first_epoch(), 1);
    assert_eq!(bits(&finished, &listener.epochs(), folder.path()), straight(3, Report::Last));
    let aside = fs::read_dir(folder.path().join("checkpoints")).unwrap();
    let aside = aside.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".refused"));
    assert_eq!(aside.count(), 2);
}
