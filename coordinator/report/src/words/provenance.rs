//! The origin of the numbers: sweep, spec, data, devices, programs.

use std::collections::BTreeMap;

use sweep_analysis::study::{Answer, Made, Subject};

use super::{number, plural};
use crate::view::View;

/// Pairs of a key and its text.
pub(crate) fn lines(view: &View<'_>) -> Vec<(String, String)> {
    let material = view.material;
    let submitter = match material.submitter.as_str() {
        "" => String::new(),
        submitter => format!(" by {submitter}"),
    };
    let ended = material.ended_ms.map_or_else(String::new, |ended| format!(", ended {} UTC", number::moment(ended)));
    let mut lines = vec![
        ("Sweep".to_owned(), format!("{} “{}”, {}", material.sweep, material.name, material.state)),
        ("Submitted".to_owned(), format!("{} UTC{submitter}{ended}", number::moment(material.submitted_ms))),
        ("Spec".to_owned(), material.spec_digest.clone()),
    ];
    let trials = || view.study.subjects.iter().flat_map(|subject| subject.replicates.iter());
    let reused = trials().filter(|replicate| replicate.reused).count();
    let seconds: f64 = answers(view).map(|answer| answer.seconds).filter(|seconds| seconds.is_finite()).sum();
    lines.push((
        "Trials".to_owned(),
        format!(
            "{}, {} of them reused from earlier sweeps; {} of training in total",
            number::count(trials().count() as u64),
            number::count(reused as u64),
            number::seconds(seconds)
        ),
    ));
    lines.push(("Data".to_owned(), counted(view, |made| made.data_digest.to_string())));
    lines.push(("Split".to_owned(), counted(view, |made| made.split_digest.to_string())));
    let device = |made: &Made| {
        let threads =
            if made.threads > 0 { format!(", {}", plural(made.threads as usize, "thread")) } else { String::new() };
        format!("{} ({}, {}{threads})", made.device_name, made.device, made.instruction_set)
    };
    lines.push(("Devices".to_owned(), counted(view, device)));
    lines.push(("Trainers".to_owned(), counted(view, |made| made.trainer.clone())));
    lines.push((
        "Report".to_owned(),
        format!("generated {} UTC by {}", number::moment(material.made_ms), material.made_by),
    ));
    lines.retain(|(_, text)| !text.is_empty());
    lines
}

fn answers<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Answer> {
    view.study.subjects.iter().flat_map(Subject::own).filter_map(|replicate| replicate.answer.as_ref())
}

/// The distinct values; if there are several, with the number of trials of each.
fn counted(view: &View<'_>, of: impl Fn(&Made) -> String) -> String {
    let mut values: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers(view) {
        *values.entry(of(&answer.made)).or_default() += 1;
    }
    match values.len() {
        1 => values.into_keys().collect(),
        _ => values
            .iter()
            .map(|(value, count)| format!("{value}: {}", plural(*count, "trial")))
            .collect::<Vec<_>>()
            .join("; "),
    }
}
