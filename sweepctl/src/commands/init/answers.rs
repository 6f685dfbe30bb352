//! The questions of `init`, their defaults and answers.

use sweep_analysis::statistics::{ALPHA, seeds_to_reach};

use super::{Arguments, Design, Kind, Metric};

/// A factor with its description and suggested levels, the baseline's first.
pub(super) struct Factor {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) levels: &'static [&'static str],
}

pub(super) const FACTORS: [Factor; 8] = [
    Factor { name: "conv_layers", about: "convolution blocks", levels: &["1", "2", "3"] },
    Factor { name: "filters", about: "output channels of every convolution", levels: &["8", "16"] },
    Factor { name: "kernel_size", about: "height and width of every convolution, odd", levels: &["3", "5"] },
    Factor { name: "dense_layers", about: "dense layers before the output layer", levels: &["1", "2"] },
    Factor { name: "dense_units", about: "units of every dense layer", levels: &["32", "64"] },
    Factor { name: "batch_norm", about: "batch normalisation", levels: &["false", "true"] },
    Factor { name: "max_pool", about: "2×2 max-pooling at the end of every block", levels: &["false", "true"] },
    Factor { name: "dropout", about: "share of dense outputs dropped during training", levels: &["0.0", "0.2"] },
];

/// The factors that vary by default.
pub(super) const USUAL: [&str; 3] = ["conv_layers", "filters", "batch_norm"];

/// `filters=16,32,64`, or only a name with the suggested levels.
pub(super) fn parse_factor(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, levels) = text.split_once('=').map_or((text, None), |(name, levels)| (name, Some(levels)));
    let name = name.trim();
    let Some(factor) = FACTORS.iter().find(|factor| factor.name == name) else {
        let known: Vec<&str> = FACTORS.iter().map(|factor| factor.name).collect();
        return Err(format!("unknown factor `{name}`; the factors are {}", known.join(", ")));
    };
    let levels: Vec<String> = match levels {
        None => factor.levels.iter().map(|level| (*level).to_owned()).collect(),
        Some(levels) => levels.split(',').map(|level| level.trim().to_owned()).collect(),
    };
    if levels.len() < 2 {
        return Err(format!("`{name}` needs at least two levels, such as {name}={}", factor.levels.join(",")));
    }
    // The spec's parser validates levels; this only rejects text that would be another YAML key.
    let plain = |level: &String| {
        !level.is_empty() && level.chars().all(|sign| sign.is_ascii_alphanumeric() || ".-+".contains(sign))
    };
    match levels.iter().find(|level| !plain(level)) {
        Some(level) => Err(format!("invalid level `{level}`: expected a number, true or false")),
        None => Ok((name.to_owned(), levels)),
    }
}

/// The answers from flags.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) name: Option<String>,
    pub(super) kind: Option<Kind>,
    pub(super) path: Option<String>,
    pub(super) image_size: Option<u32>,
    pub(super) classes: Option<u32>,
    pub(super) factors: Vec<(String, Vec<String>)>,
    pub(super) design: Option<Design>,
    pub(super) seeds: Option<u32>,
    pub(super) epochs: Option<u32>,
    pub(super) metric: Option<Metric>,
}

impl From<&Arguments> for Given {
    fn from(arguments: &Arguments) -> Self {
        Self {
            name: arguments.name.clone(),
            kind: arguments.dataset,
            path: arguments.path.clone(),
            image_size: arguments.image_size,
            classes: arguments.classes,
            factors: arguments.factors.clone(),
            design: arguments.design,
            seeds: arguments.seeds,
            epochs: arguments.epochs,
            metric: arguments.metric,
        }
    }
}

impl Given {
    /// Whether a question remains.
    pub(super) fn lacks_something(&self) -> bool {
        let open = self.name.is_none() || self.kind.is_none() || self.factors.is_empty() || self.seeds.is_none();
        let folder = self.kind.is_some_and(|kind| kind != Kind::SyntheticScenes);
        open || (folder && self.path.is_none())
    }

    /// Uses the default of every unanswered question.
    pub(super) fn with_defaults(self) -> Answers {
        let kind = self.kind.unwrap_or(Kind::SyntheticScenes);
        let design = self.design.unwrap_or(Design::OneAtATime);
        let usual = || USUAL.iter().filter_map(|name| parse_factor(name).ok()).collect::<Vec<_>>();
        let factors = if self.factors.is_empty() { usual() } else { self.factors };
        Answers {
            name: self.name.unwrap_or_else(|| "my-study".to_owned()),
            path: self.path.unwrap_or_else(|| usual_path(kind).to_owned()),
            image_size: self.image_size.or(usual_size(kind)),
            classes: self.classes.or((kind == Kind::ImageFolder).then_some(8)),
            seeds: self.seeds.unwrap_or_else(|| usual_seeds(&factors, design)),
            factors,
            design,
            epochs: self.epochs.unwrap_or(usual_epochs(kind)),
            metric: self.metric.unwrap_or(Metric::ValAccuracy),
            kind,
        }
    }
}

/// The most seeds that are suggested; more are too expensive for a first study.
const MOST_SEEDS: u32 = 12;

/// The fewest seeds with which a difference can be significant at 5 %, corrected for the number of comparisons of a
/// design; `None` if no number is enough.
pub(super) fn seeds_needed(factors: &[(String, Vec<String>)], design: Design) -> Option<u32> {
    let changes: Vec<f64> = factors.iter().map(|(_, levels)| levels.len().saturating_sub(1) as f64).collect();
    let alone: f64 = changes.iter().sum();
    let comparisons = match design {
        Design::OneAtATime | Design::Greedy => alone,
        Design::Grid => changes.iter().map(|levels| levels + 1.0).product::<f64>() - 1.0,
        Design::Pairwise => (alone * alone - changes.iter().map(|levels| levels * levels).sum::<f64>()) / 2.0 + alone,
    };
    seeds_to_reach(ALPHA, comparisons as usize)
}

/// That number, up to the suggested maximum.
pub(super) fn usual_seeds(factors: &[(String, Vec<String>)], design: Design) -> u32 {
    seeds_needed(factors, design).unwrap_or(MOST_SEEDS).min(MOST_SEEDS)
}

pub(super) fn usual_path(kind: Kind) -> &'static str {
    match kind {
        Kind::SyntheticScenes => "",
        Kind::ImageFolder => "images",
        Kind::Idx => "fashion",
        Kind::Cifar10 => "cifar-10-batches-bin",
    }
}

/// `None` if the data set has its own size; smaller than usual for a quick first study.
pub(super) fn usual_size(kind: Kind) -> Option<u32> {
    match kind {
        Kind::SyntheticScenes => Some(24),
        Kind::ImageFolder => Some(64),
        Kind::Idx | Kind::Cifar10 => None,
    }
}

pub(super) fn usual_epochs(kind: Kind) -> u32 {
    if kind == Kind::SyntheticScenes { 8 } else { 30 }
}

/// All answers.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) path: String,
    pub(super) image_size: Option<u32>,
    pub(super) classes: Option<u32>,
    pub(super) factors: Vec<(String, Vec<String>)>,
    pub(super) design: Design,
    pub(super) seeds: u32,
    pub(super) epochs: u32,
    pub(super) metric: Metric,
}

impl Answers {
    pub(super) fn needs_files(&self) -> bool {
        self.kind != Kind::SyntheticScenes
    }

    /// The name as a valid file name.
    pub(super) fn file_name(&self) -> String {
        let plain = |letter: char| if letter.is_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
        let name: String = self.name.chars().map(plain).take(100).collect();
        let name = name.trim_start_matches(['.', '-']);
        if name.is_empty() { "study".to_owned() } else { name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_has_a_known_name_and_two_levels_or_more() {
        let levels = |text: &str| parse_factor(text).map(|(_, levels)| levels.join(" "));
        assert_eq!(levels("filters=16, 32,64").as_deref(), Ok("16 32 64"));
        assert_eq!(levels("batch_norm").as_deref(), Ok("false true"));
        for wrong in ["filter=1,2", "filters=16", "filters=", "filters=1,{a: b}", "filters=1,\n", ""] {
            assert!(parse_factor(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn any_name_is_a_file_s_name() {
        let named = |name: &str| {
            let given = Given { name: Some(name.to_owned()), ..Given::default() };
            given.with_defaults().file_name()
        };
        assert_eq!(named("scene-cnn"), "scene-cnn");
        assert_eq!(named("../../etc/passwd"), "..-etc-passwd".trim_start_matches(['.', '-']));
        assert_eq!(named("Größe und Tiefe"), "Größe-und-Tiefe");
        assert_eq!(named("///"), "study");
    }

    #[test]
    fn as_many_seeds_are_proposed_as_can_show_something() {
        let factors =
            |count: usize| FACTORS[1..=count].iter().filter_map(|one| parse_factor(one.name).ok()).collect::<Vec<_>>();
        assert_eq!(usual_seeds(&factors(1), Design::OneAtATime), 6);
        assert_eq!(usual_seeds(&factors(3), Design::OneAtATime), 7);
        assert_eq!(usual_seeds(&factors(3), Design::Grid), 9);
        assert_eq!(usual_seeds(&factors(3), Design::Pairwise), 8);
        assert_eq!(usual_seeds(&factors(7), Design::Grid), MOST_SEEDS);
        assert!(seeds_needed(&factors(7), Design::Grid).is_none_or(|seeds| seeds > MOST_SEEDS), "and more are needed");
    }
}
