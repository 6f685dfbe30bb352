//! Splits a run into MLflow requests that are as large as MLflow's limits allow.

use serde_json::{Value, json};
use sweep_shapes::Metrics;

use crate::commands::export::curves::Curve;

/// MLflow's limits for one `log-batch`.
const METRICS: usize = 1000;
const PARAMS: usize = 100;
/// MLflow accepts a million characters per request; the rest is for the JSON around the entries.
const BYTES: usize = 900_000;
/// Characters of a name, of a parameter and of a tag.
const NAME: usize = 250;
const PARAM: usize = 6000;
const TAG: usize = 5000;

/// The fields of `log-batch`, each of one kind of entry, in the order of sending.
pub(super) fn batches(curve: &Curve) -> Vec<(&'static str, Vec<Value>)> {
    let params = split(params(curve), PARAMS).into_iter().map(|batch| ("params", batch));
    let metrics = split(metrics(curve), METRICS).into_iter().map(|batch| ("metrics", batch));
    params.chain(metrics).collect()
}

fn split(entries: Vec<Value>, most: usize) -> Vec<Vec<Value>> {
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let size = entry.to_string().len() + 1;
        if batch.len() == most || (!batch.is_empty() && bytes + size > BYTES) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size;
        batch.push(entry);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// The settings, and values derived from them.
fn params(curve: &Curve) -> Vec<Value> {
    let settings = curve.trial.settings.iter().map(|(path, value)| (name(path), sweep_shapes::cells::plain(value)));
    let params = ("params".to_owned(), curve.trial.params.to_string());
    std::iter::once(params)
        .chain(settings)
        .map(|(key, value)| json!({ "key": key, "value": shortened(&value, PARAM) }))
        .collect()
}

fn metrics(curve: &Curve) -> Vec<Value> {
    let ends = curve.ends();
    let entry = |key: &str, value: f64, step: u32, timestamp: u64| json!({ "key": key, "value": number(value), "step": step, "timestamp": timestamp });
    let mut metrics = Vec::new();
    for (point, end) in curve.points.iter().zip(&ends) {
        let at = end.as_millis() as u64;
        metrics.extend(named(point).map(|(key, value)| entry(key, value, point.epoch, at)));
    }
    if let Some(test) = curve.trial.test {
        let at = ends.last().map_or(0, |end| end.as_millis() as u64);
        metrics.push(entry("test_accuracy", test.accuracy, test.epoch, at));
        metrics.push(entry("test_loss", test.loss, test.epoch, at));
    }
    metrics
}

fn named(point: &Metrics) -> [(&'static str, f64); 5] {
    [
        ("train_loss", point.train_loss),
        ("val_loss", point.val_loss),
        ("train_accuracy", point.train_accuracy),
        ("val_accuracy", point.val_accuracy),
        ("learning_rate", point.learning_rate),
    ]
}

/// As in protobuf's JSON: numbers that are not finite are strings.
fn number(value: f64) -> Value {
    match value {
        _ if value.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => value.into(),
    }
}

/// A valid MLflow name: ASCII letters, digits, `_`, `-`, `.` and spaces, and not a path.
fn name(path: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-. ".contains(character);
    let text: String =
        path.chars().map(|character| if plain(character) { character } else { '_' }).take(NAME).collect();
    if text.is_empty() || text.starts_with('.') { format!("_{}", text.trim_start_matches('.')) } else { text }
}

/// The tags of a run, by which a later export finds it.
pub(super) fn tags(curve: &Curve, sweep: &Sweep) -> Value {
    let trial = &curve.trial;
    let all = [
        ("sweep.trial_id", trial.trial_id.clone()),
        ("sweep.attempt", curve.attempt.to_string()),
        ("sweep.id", sweep.id.to_string()),
        ("sweep.name", sweep.name.clone()),
        ("sweep.configuration", trial.configuration.clone()),
        ("sweep.seed", trial.seed.to_string()),
        ("sweep.stages", trial.stages.join(", ")),
        ("sweep.state", trial.state.to_owned()),
        ("sweep.outcome", trial.outcome.unwrap_or_default().to_owned()),
        ("sweep.failure", trial.failure.as_ref().map_or_else(String::new, |it| format!("{}: {}", it.class, it.reason))),
        ("sweep.data_digest", trial.provenance.as_ref().map_or_else(String::new, |made| made.data_digest.clone())),
        ("sweep.device", trial.provenance.as_ref().map_or_else(String::new, |made| made.device_name.clone())),
    ];
    let said = all.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(key, value)| json!({ "key": key, "value": shortened(&value, TAG) })).collect()
}

/// The exported sweep.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) id: u64,
    pub(super) name: String,
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        // Leaves room for the ellipsis.
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::export::curves::tests::curve;

    #[test]
    fn nothing_is_lost_and_no_request_is_larger_than_mlflow_takes() {
        for epochs in [0, 1, 199, 200, 201, 1000] {
            let mut curve = curve("a", epochs);
            for number in 0..epochs {
                // JSON encodes it as six characters.
                curve.trial.settings.insert(format!("path.{number}"), "\u{1}".repeat(7000).into());
            }
            let mut counts = std::collections::BTreeMap::from([("params", 0), ("metrics", 0)]);
            for (field, entries) in batches(&curve) {
                *counts.get_mut(field).unwrap() += entries.len();
                assert!(!entries.is_empty() && entries.len() <= if field == "params" { 100 } else { 1000 });
                assert!(json!({ "run_id": "x".repeat(256), field: entries }).to_string().len() < 1_000_000);
            }
            let epochs = epochs as usize;
            assert_eq!(counts, [("params", epochs + 1), ("metrics", 5 * epochs)].into());
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_said_in_words() {
        let said = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1].map(|value| number(value).to_string());
        assert_eq!(said, ["\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "0.1"]);
    }

    #[test]
    fn names_and_values_are_what_mlflow_takes() {
        assert_eq!(name("configuration.filters"), "configuration.filters");
        assert_eq!([name("../x"), name(""), name("a//b:é")], ["__x", "_", "a__b__"]);
        assert_eq!(name(&"x".repeat(999)).len(), NAME);
        assert_eq!(shortened("éé", 2), "éé");
        assert_eq!(shortened("ééé", 2), "é…");
    }

    #[test]
    fn an_epoch_stands_at_the_moment_of_its_end() {
        let metrics = metrics(&curve("a", 2));
        let last = json!({ "key": "learning_rate", "value": 0.0, "step": 2, "timestamp": 11_000 });
        assert_eq!(metrics.last(), Some(&last));
    }
}
