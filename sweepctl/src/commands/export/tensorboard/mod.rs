//! Writes event files for TensorBoard: a folder per trial, with five curves and its settings as a text.

mod messages;
mod record;

use std::io::Write;
use std::path::Path;

use prost::Message;
use serde::Serialize;

use self::messages::{Content, Event, Metadata, Plugin, Shape, Summary, Tensor, Value, What};
use sweep_shapes::Metrics;
use sweep_shapes::text::escape;

use super::curves::{self, Curve};
use crate::client::Client;
use crate::failure::Failure;

/// TensorBoard looks for `tfevents` in a file's name. A fixed name, so that an export replaces an earlier one.
const FILE: &str = "events.out.tfevents.sweep";
/// The temporary name; TensorBoard ignores it.
const PARTIAL: &str = "sweep.partial";
/// Safe for all file systems, in characters.
const LONGEST_LABEL: usize = 120;

/// The result of an export.
#[derive(Debug, Serialize)]
pub(super) struct Written<'a> {
    pub(super) folder: &'a Path,
    pub(super) runs: u64,
    pub(super) epochs: u64,
    /// Trials without an epoch.
    pub(super) left_out: u64,
}

pub(super) async fn export<'a>(client: &mut Client, sweep: &str, folder: &'a Path) -> Result<Written<'a>, Failure> {
    let mut written = Written { folder, runs: 0, epochs: 0, left_out: 0 };
    let not_begun = curves::for_each(client, sweep, async |curve| {
        if curve.points.is_empty() {
            written.left_out += 1;
            return Ok(());
        }
        let run = folder.join(run_name(&curve));
        write(&run, &curve).map_err(|error| super::cannot_write(&run, error))?;
        written.runs += 1;
        written.epochs += curve.points.len() as u64;
        Ok(())
    })
    .await?;
    written.left_out += not_begun;
    Ok(written)
}

/// The file is replaced only when the new one is complete.
fn write(run: &Path, curve: &Curve) -> std::io::Result<()> {
    std::fs::create_dir_all(run)?;
    let partial = run.join(format!("{PARTIAL}.{}", std::process::id()));
    let written = std::fs::File::create(&partial).and_then(|file| {
        let mut out = std::io::BufWriter::new(file);
        for event in events(curve) {
            record::write(&mut out, &event.encode_to_vec())?;
        }
        out.flush()?;
        out.get_ref().sync_all()
    });
    let done = written.and_then(|()| std::fs::rename(&partial, run.join(FILE)));
    if done.is_err() {
        std::fs::remove_file(&partial).ok();
    }
    done
}

/// A readable folder name that is valid on every file system and unique in the sweep.
fn run_name(curve: &Curve) -> String {
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' | '=' | '+' | ',' => character,
        _ => '_',
    };
    let label: String = curve.trial.configuration.chars().map(plain).take(LONGEST_LABEL).collect();
    let label = label.trim_start_matches(['.', '-']);
    format!("{label}-seed{}-{}", curve.trial.seed, curve.short_id()).trim_start_matches('-').to_owned()
}

fn events(curve: &Curve) -> Vec<Event> {
    let begun = curve.begun_unix_ms.max(0) as f64 / 1000.0;
    let event = |wall_time, step, what| Event { wall_time, step, what: Some(what) };
    let settings = Summary { value: vec![text("settings", table(curve))] };
    let mut events =
        vec![event(begun, 0, What::FileVersion("brain.Event:2".into())), event(begun, 0, What::Summary(settings))];
    let epochs = curve.points.iter().zip(curve.ends());
    events.extend(epochs.map(|(point, at)| {
        event(at.as_secs_f64(), i64::from(point.epoch), What::Summary(Summary { value: scalars(point) }))
    }));
    events
}

/// Losses in one chart and accuracies in another.
fn scalars(point: &Metrics) -> Vec<Value> {
    let named = [
        ("loss/train", point.train_loss),
        ("loss/validation", point.val_loss),
        ("accuracy/train", point.train_accuracy),
        ("accuracy/validation", point.val_accuracy),
        ("learning_rate", point.learning_rate),
    ];
    let scalar = |(tag, value): (&str, f64)| Value {
        tag: tag.to_owned(),
        metadata: None,
        content: Some(Content::Simple(value as f32)),
    };
    named.map(scalar).into()
}

fn text(tag: &str, text: String) -> Value {
    let plugin = Plugin { name: "text".into() };
    let tensor = Tensor { kind: 7, shape: Some(Shape {}), texts: vec![text.into_bytes()] };
    Value {
        tag: tag.to_owned(),
        metadata: Some(Metadata { plugin: Some(plugin), data_class: 2 }),
        content: Some(Content::Tensor(tensor)),
    }
}

/// The trial's settings and metadata as a Markdown table.
fn table(curve: &Curve) -> String {
    let trial = &curve.trial;
    let about = [
        ("trial", trial.trial_id.clone()),
        ("attempt", curve.attempt.to_string()),
        ("state", trial.state.to_owned()),
        ("configuration", trial.configuration.clone()),
        ("stages", trial.stages.join(", ")),
        ("params", trial.params.to_string()),
    ];
    let settings = trial.settings.iter().map(|(path, value)| (path.as_str(), sweep_shapes::cells::plain(value)));
    let cell = |text: &str| escape(text).replace('\\', "\\\\").replace('|', "\\|");
    let row = |(name, value): (&str, String)| format!("| {} | {} |\n", cell(name), cell(&value));
    let rows: String = about.into_iter().chain(settings).map(row).collect();
    format!("| setting | value |\n|---|---|\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use curves::tests::curve;

    fn values(event: &Event) -> Vec<(&str, f32)> {
        let Some(What::Summary(summary)) = &event.what else { return Vec::new() };
        let simple = |value: &Value| match value.content {
            Some(Content::Simple(number)) => number,
            _ => panic!("{} is no scalar", value.tag),
        };
        summary.value.iter().map(|value| (value.tag.as_str(), simple(value))).collect()
    }

    #[test]
    fn a_file_has_its_version_first_then_the_settings_then_five_numbers_an_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("deep/run");
        for epochs in [3, 2] {
            write(&run, &curve("filters=4", epochs)).unwrap();
            let bytes = std::fs::read(run.join(FILE)).unwrap();
            let records = record::tests::read(&bytes);
            let events: Vec<Event> = records.iter().map(|bytes| Event::decode(&bytes[..]).unwrap()).collect();
            assert_eq!(events.len(), 2 + epochs as usize);
            assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
            assert_eq!((events[3].step, events[3].wall_time), (2, 11.0));
            assert_eq!(values(&events[3])[1], ("loss/validation", 0.5));
            assert_eq!(values(&events[3]).len(), 5);
        }
        assert_eq!(std::fs::read_dir(&run).unwrap().count(), 1, "an export replaces the one before");
    }

    #[test]
    fn what_diverged_stays_visible() {
        let mut curve = curve("a", 1);
        curve.points[0].val_loss = f64::NAN;
        curve.points[0].train_loss = f64::INFINITY;
        let events = events(&curve);
        let values = values(&events[2]);
        assert!(values[1].1.is_nan() && values[0].1 == f32::INFINITY);
    }

    #[test]
    fn a_run_s_name_reads_well_and_stays_in_its_folder() {
        let name = |label: &str| run_name(&curve(label, 1));
        assert_eq!(name("filters=64, dropout=0.2"), "filters=64,_dropout=0.2-seed7-abababababab");
        assert_eq!(name("../../etc"), "_.._etc-seed7-abababababab");
        assert_eq!(name(""), "seed7-abababababab");
        assert_eq!(name(".."), "seed7-abababababab");
        assert_eq!(name("a\u{1b}[31m\u{202e}é"), "a__31m__-seed7-abababababab");
        assert_eq!(name(&"x".repeat(5000)).len(), LONGEST_LABEL + "-seed7-abababababab".len());
    }

    #[test]
    fn no_setting_breaks_its_table() {
        let mut curve = curve("a|b\n| c", 1);
        curve.trial.settings.insert("x".into(), serde_json::json!(["one", "two"]));
        let table = table(&curve);
        assert_eq!(table.lines().count(), 2 + 6 + 1);
        assert!(table.contains("| configuration | a\\|b\\\\n\\| c |") && table.contains("| x | one;two |"), "{table}");
    }
}
