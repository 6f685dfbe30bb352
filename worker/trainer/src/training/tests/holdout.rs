//! The holdout selects the reported epoch; the test part only reports.

use sweep_spec::protocol::{Augment, Holdout, Report};

use super::*;

fn protocol(report: Report, holdout: bool) -> Protocol {
    let holdout = holdout.then_some(Holdout { fraction: 0.25, seed: 1 });
    let augment = Augment { horizontal_flip: true, shift: 0.1 };
    Protocol { epochs: 4, batch_size: 8, augment, report, holdout, ..Protocol::default() }
}

#[test]
fn the_test_part_reports_the_epoch_that_the_holdout_chose() {
    let cache = tempfile::tempdir().unwrap();
    for report in [Report::Last, Report::Best] {
        let request = request(&small(), 3, protocol(report, true), drawn(64, 24, 16), cache.path());
        let (finished, log) = answer(&request).unwrap();
        let tested = finished.test.unwrap();
        let chosen = if report == Report::Best { finished.best } else { finished.last };
        assert_eq!(tested.epoch, chosen.unwrap().epoch);
        assert_eq!(finished.validation.unwrap().labels.len(), 16, "a quarter of the training part validates");
        let said = &tested.predictions;
        let right = said.labels.iter().zip(&said.predicted).filter(|(label, said)| label == said).count();
        assert_eq!((said.labels.len(), right as f64 / 24.0), (24, tested.accuracy));
        let best = log.epochs.iter().map(|epoch| epoch.val_accuracy).fold(0.0, f64::max);
        assert_eq!(finished.best.unwrap().val_accuracy, best, "chosen by the holdout alone");
    }
}

#[test]
fn without_a_holdout_nothing_else_is_said() {
    let cache = tempfile::tempdir().unwrap();
    let request = request(&small(), 3, protocol(Report::Best, false), drawn(64, 24, 16), cache.path());
    let (finished, _) = answer(&request).unwrap();
    assert!(finished.test.is_none());
    let said = serde_json::to_value(Event::Finished(Box::new(finished))).unwrap();
    assert!(said.get("test").is_none());
}

#[test]
fn a_trial_that_left_says_the_same_of_the_test_part() {
    let cache = tempfile::tempdir().unwrap();
    let straight = request(&small(), 3, protocol(Report::Best, true), drawn(64, 24, 16), cache.path());
    let expected = answer(&straight).unwrap().0;
    for epochs in 1..4 {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint_folder = Some(folder.path().to_string_lossy().into_owned());
        let resumed = Train { checkpoint_folder, ..straight.clone() };
        let mut log = EpochLog { leave_after: Some(epochs), ..EpochLog::default() };
        assert!(matches!(train(&resumed, &mut log), Err(Stop::Left)));
        let (finished, log) = answer(&resumed).unwrap();
        assert_eq!(log.epochs.len(), 4);
        assert_eq!((finished.test, finished.validation), (expected.test.clone(), expected.validation.clone()));
    }
}
