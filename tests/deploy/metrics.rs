//! Metrics in manifests, rules, dashboards and pages: a program has each of them, or a rule records it.

use std::collections::BTreeSet;

use super::files::{self, File};
use super::none;

/// The metrics that a scrape can show. Tests of the coordinator and the worker compare the page with their metrics.
fn known(files: &[File]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for row in files::text("docs/metrics.md").lines().filter_map(|line| line.strip_prefix("| `sweep_")) {
        let (name, rest) = row.split_once('`').expect("a row begins with a name");
        let kind = rest.split('|').nth(1).expect("a row has a type").trim();
        names.insert(format!("sweep_{name}"));
        if kind == "histogram" {
            names.extend(["bucket", "sum", "count"].map(|part| format!("sweep_{name}_{part}")));
        }
    }
    for metric in sweep_coordinator::metrics::TABLE {
        assert!(names.contains(metric.name), "docs/metrics.md lacks {}", metric.name);
    }
    let rules = files.iter().filter(|file| file.name.starts_with("deploy/prometheus/rules/"));
    for line in rules.flat_map(|file| file.text.lines()) {
        names.extend(line.split_once("record: ").map(|(_, name)| name.trim().to_owned()));
    }
    // What prometheus-adapter makes of them, by the rules that stand beside the manifests.
    let adapter = files.iter().filter(|file| file.name.ends_with("prometheus-adapter.yaml"));
    for line in adapter.flat_map(|file| file.text.lines()) {
        names.extend(line.split_once("as: ").map(|(_, name)| name.trim_matches(['"', ' ', '}']).to_owned()));
    }
    names
}

/// Names of metrics in a text: ours begin with `sweep_`, and recorded ones contain colons.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let recorded = |word: &str| word.contains("sweep") && word.split(':').filter(|part| !part.is_empty()).count() > 2;
    let ours = move |word: &&str| {
        (word.starts_with("sweep_") && !word.ends_with('_') && !word.contains(':')) || recorded(word)
    };
    words.map(|word| word.trim_matches(':')).filter(ours)
}

fn problems(files: &[File], known: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for name in names(&file.text) {
            // A filter of the log names a crate.
            let is_crate = file.text.contains(&format!("{name}=debug"));
            if !known.contains(name) && !is_crate {
                found.push(format!("{}: no program has the metric {name}", file.name));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn every_metric_that_is_asked_for_is_there() {
    let files = files::all();
    none(problems(&files, &known(&files)));
}

#[test]
fn a_metric_that_nobody_has_is_found() {
    let known = known(&files::all());
    let query = |text: &str| problems(&[File::planted("rules.yaml", text)], &known);
    assert_eq!(query("expr: max(sweep_queue_length) > 0").len(), 1);
    assert_eq!(query("expr: rate(sweep_queue_depth_sum[5m])").len(), 1, "a gauge has no sum");
    assert_eq!(query("expr: sweep:queued_trials:mean > 0").len(), 1, "no rule records it");
    none(query("expr: max(sweep_queue_depth) + rate(sweep_commit_seconds_bucket[5m])"));
}
