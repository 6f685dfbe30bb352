//! Writes a mapped sweep as a spec: one grid over all factors that vary. The first value of each factor is the
//! baseline's, so that the grid includes the baseline.

use std::fmt::Write;
use std::path::Path;

use sweep_shapes::text::is_active;
use sweep_spec::dataset::SCENES;

use super::names::Mapped;

/// The longest name of a spec, in characters.
const LONGEST_NAME: usize = 100;

pub(super) fn yaml(file: &str, study: &Mapped) -> String {
    let mut text = format!("# Made from a W&B sweep file, which names no data set: {}.\n", assumed(study));
    let mut line = |key: &str, value: &str| writeln!(text, "{key}: {value}").unwrap_or_default();
    line("version", "1");
    line("name", &serde_json::to_string(&name(file, study)).unwrap_or_else(|_| "imported".to_owned()));
    line("dataset", &dataset(study));
    if !study.protocol.is_empty() {
        line("protocol", &protocol(study));
    }
    if !study.seeds.is_empty() {
        line("seeds", &format!("[{}]", study.seeds.join(", ")));
    }
    let first = study.factors.iter().filter_map(|(factor, levels)| Some((factor, levels.first()?)));
    let baseline = first.map(|(factor, level)| format!(", {factor}: {level}")).collect::<String>();
    line("baseline", &format!("{{ family: cnn{baseline} }}"));
    let axes: Vec<String> = study
        .factors
        .iter()
        .filter(|(_, levels)| levels.len() > 1)
        .map(|(factor, levels)| format!("      {factor}: [{}]\n", levels.join(", ")))
        .collect();
    if axes.is_empty() {
        // Only seeds vary, or nothing: the baseline under each seed.
        line("stages", "[{ name: baseline alone, list: [{ name: start }] }]");
    } else {
        line("stages", &format!("\n  - name: grid\n    grid:\n{}", axes.concat().trim_end_matches('\n')));
    }
    if let Some((metric, goal)) = study.objective {
        line("objective", &format!("{{ metric: {}, goal: {goal} }}", metric.name()));
    }
    text.replace("stages: \n", "stages:\n")
}

/// Whether the drawn scenes can replace the data set: they have eight classes.
fn is_drawn(study: &Mapped) -> bool {
    let drawn = SCENES.len().to_string();
    study.dataset.iter().all(|(key, value)| *key != "classes" || *value == drawn)
}

/// The note about the data set, which a sweep file does not contain.
pub(super) fn assumed(study: &Mapped) -> &'static str {
    if is_drawn(study) {
        "the spec uses generated scenes; replace them with your data set"
    } else {
        "the spec names the folder `data`, because generated scenes have other classes; replace it with your data set"
    }
}

fn dataset(study: &Mapped) -> String {
    let mut keys = study.dataset.clone();
    let kind = if is_drawn(study) {
        "synthetic_scenes"
    } else {
        // The size of images in a folder is in the files, if the sweep file does not set it.
        if !keys.iter().any(|(key, _)| *key == "image_size") {
            keys.push(("image_size", "32".to_owned()));
        }
        keys.insert(0, ("path", "data".to_owned()));
        "image_folder"
    };
    let keys = keys.iter().map(|(key, value)| format!(", {key}: {value}")).collect::<String>();
    format!("{{ kind: {kind}{keys} }}")
}

/// For example `{ epochs: 10, optimizer: { kind: adam } }`.
fn protocol(study: &Mapped) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (key, value) in &study.protocol {
        match key.split_once('.') {
            None => parts.push(format!("{key}: {value}")),
            Some((group, key)) => {
                let entry = format!("{key}: {value}");
                match groups.iter_mut().find(|(name, _)| *name == group) {
                    Some((_, entries)) => entries.push(entry),
                    None => groups.push((group, vec![entry])),
                }
            }
        }
    }
    for (group, mut entries) in groups {
        if group == "optimizer" && !entries.iter().any(|entry| entry.starts_with("kind:")) {
            entries.insert(0, "kind: adam".to_owned());
        }
        parts.push(format!("{group}: {{ {} }}", entries.join(", ")));
    }
    format!("{{ {} }}", parts.join(", "))
}

/// The sweep's name, or the file's, converted to a valid name of a spec.
fn name(file: &str, study: &Mapped) -> String {
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = study.name.clone().or(stem).unwrap_or_default();
    let name: String = name.chars().filter(|letter| !is_active(*letter)).take(LONGEST_NAME).collect();
    let name = name.trim();
    if name.is_empty() { "imported".to_owned() } else { name.to_owned() }
}
