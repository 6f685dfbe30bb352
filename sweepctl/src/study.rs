//! A spec that is read from a file, checked, and summarised in a few lines.

use std::io::Read;
use std::path::Path;

use sweep_shapes::text::{count, escape, plural};
use sweep_spec::dataset::Source;
use sweep_spec::plan::{LoneBatch, Summary};
use sweep_spec::spec::Limits;
use sweep_spec::{Plan, Spec};

use crate::failure::Failure;

/// Larger files are rejected unread; the spec crate has the exact limits.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// A checked spec.
pub(crate) struct Study {
    text: Vec<u8>,
    pub(crate) plan: Plan,
    name: String,
}

/// The bytes of a spec's file, or of stdin for `-`.
pub(crate) fn load(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().take(MOST_BYTES).read_to_end(&mut text),
        _ => std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text)),
    };
    let failed = |error| Failure::usage(format!("cannot read the spec {}", file.display())).because(error);
    read.map(|_| text).map_err(failed)
}

/// The folder of a spec's file, the default data root.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `key=value`, as in `--set`.
pub(crate) fn parse_override(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as protocol.epochs=10".to_owned()),
    }
}

impl Study {
    /// Reads a spec; `file` is its name in messages.
    ///
    /// # Errors
    /// All problems of the spec.
    pub(crate) fn read(
        file: &str,
        text: Vec<u8>,
        overrides: Vec<(String, String)>,
        trial_limit: Option<u64>,
    ) -> Result<Self, Failure> {
        let limits = trial_limit.map_or_else(Limits::default, |trials| Limits { trials });
        let spec = Spec::parse(&text, &overrides, &limits).map_err(|problems| {
            let number = plural(problems.0.len() as u64, "problem");
            let lines = problems.in_file(file).to_string().lines().map(str::to_owned).collect();
            Failure::spec(format!("{file} is not a valid spec: {number}"), lines)
                .hint("see sweeps/README.md for every key")
        })?;
        let name = spec.name.clone();
        Ok(Self { text, plan: Plan::new(&spec), name })
    }

    /// The same with another name.
    pub(crate) fn named(self, name: Option<&str>) -> Self {
        let name = name.map_or(self.name, str::to_owned);
        Self { name, ..self }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The original bytes.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The settings that all trials share, in a line.
    pub(crate) fn head(&self) -> String {
        let spec = self.plan.spec();
        let dataset = &spec.dataset;
        let path = match &dataset.source {
            Source::ImageFolder { path, .. } | Source::Idx { path } | Source::Cifar10 { path } => format!(" {path}"),
            Source::SyntheticScenes { .. } => String::new(),
        };
        let (size, channels) = (dataset.image_size, dataset.channels);
        format!(
            "{}: {}{path}, {size}×{size}×{channels}, {}; {}, {}; {} {}",
            escape(&self.name),
            dataset.kind(),
            classes(dataset.classes.count()),
            plural(spec.protocol.epochs.into(), "epoch"),
            seeds(spec),
            spec.objective.goal.name(),
            spec.objective.metric.name(),
        )
    }

    /// Warnings about a spec that can be trained.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.plan.lone_batch().map(|lone| format!("{lone}; {}", LoneBatch::ADVICE)).into_iter().collect()
    }

    /// Head and totals, in two lines.
    pub(crate) fn summary(&self) -> String {
        format!("{}\n{}", self.head(), totals(&self.plan.summary(&[])))
    }
}

/// `1 class`, `8 classes`.
fn classes(number: u32) -> String {
    format!("{} class{}", count(number.into()), if number == 1 { "" } else { "es" })
}

/// `6 seeds`, or `6 to 18 seeds`.
fn seeds(spec: &Spec) -> String {
    match &spec.adaptive {
        None => plural(spec.seeds.len() as u64, "seed"),
        Some(adaptive) => {
            let most = spec.seeds.len() + adaptive.seeds().len();
            format!("{} to {}", count(spec.seeds.len() as u64), plural(most as u64, "seed"))
        }
    }
}

/// For example `at most 20 configurations, 40 trials; 79,624 to 24,229,960 parameters; 5 points occur again and are
/// shared`.
pub(crate) fn totals(summary: &Summary) -> String {
    let bound = if summary.at_most { "at most " } else { "" };
    let (configurations, trials) = (plural(summary.configurations, "configuration"), plural(summary.trials, "trial"));
    let mut text = format!("{bound}{configurations}, {trials}");
    if let Some(params) = summary.params {
        text.push_str(&format!("; {}", parameters(params)));
    }
    match summary.merged {
        0 => {}
        1 => text.push_str("; 1 point occurs again and is shared"),
        merged => text.push_str(&format!("; {} points occur again and are shared", count(merged))),
    }
    text
}

/// `79,624 parameters`, or `79,624 to 24,229,960 parameters`.
pub(crate) fn parameters((least, most): (u64, u64)) -> String {
    if least == most {
        return plural(least, "parameter");
    }
    format!("{} to {}", count(least), plural(most, "parameter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_a_key_and_a_value() {
        assert_eq!(parse_override("a.b=1=2"), Ok(("a.b".to_owned(), "1=2".to_owned())));
        assert_eq!(parse_override("a="), Ok(("a".to_owned(), String::new())));
        assert!(parse_override("=1").is_err());
        assert!(parse_override("a").is_err());
    }
}
