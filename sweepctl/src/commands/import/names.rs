//! Maps the usual names of parameters to Sweep's: factors vary, everything else is the same for every trial.

use sweep_spec::levels::{Factor, Family, Kind};
use sweep_spec::spec::Metric;

use super::wandb::{Kind as Wanted, Parameter, Scalar, Sweep};

/// The meaning of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Factor(Factor),
    Protocol(&'static str),
    Dataset(&'static str),
    Seeds,
}

/// Usual names, in lower case with `_` between words.
const NAMES: &[(Target, &[&str])] = &[
    (
        Target::Factor(Factor::ConvLayers),
        &["conv_layers", "num_conv_layers", "n_conv_layers", "conv_blocks", "num_conv"],
    ),
    (Target::Factor(Factor::Filters), &["filters", "num_filters", "n_filters", "conv_filters", "conv_channels"]),
    (Target::Factor(Factor::KernelSize), &["kernel_size", "kernel", "filter_size", "conv_kernel_size"]),
    (
        Target::Factor(Factor::DenseLayers),
        &["dense_layers", "num_dense_layers", "n_dense_layers", "fc_layers", "num_fc_layers"],
    ),
    (
        Target::Factor(Factor::DenseUnits),
        &["dense_units", "fc_layer_size", "fc_units", "units", "hidden_units", "hidden_size"],
    ),
    (
        Target::Factor(Factor::BatchNorm),
        &["batch_norm", "batchnorm", "use_batch_norm", "use_batchnorm", "use_bn", "bn", "batch_normalization"],
    ),
    (
        Target::Factor(Factor::MaxPool),
        &["max_pool", "maxpool", "use_max_pool", "use_maxpool", "max_pooling", "pooling", "use_pooling"],
    ),
    (
        Target::Factor(Factor::Dropout),
        &["dropout", "dropout_rate", "drop_rate", "dropout_prob", "dropout_p", "p_dropout", "drop", "drop_out"],
    ),
    (Target::Protocol("epochs"), &["epochs", "epoch", "num_epochs", "n_epochs", "max_epochs"]),
    (Target::Protocol("batch_size"), &["batch_size", "batchsize", "batch", "bs", "train_batch_size"]),
    (
        Target::Protocol("optimizer.kind"),
        &["optimizer", "optim", "opt", "optimizer_kind", "optimizer_name", "optimizer_type"],
    ),
    (
        Target::Protocol("optimizer.learning_rate"),
        &[
            "learning_rate",
            "learningrate",
            "learn_rate",
            "learnrate",
            "lrn_rate",
            "lrate",
            "l_rate",
            "lr",
            "base_lr",
            "start_lr",
            "init_lr",
            "initial_lr",
            "init_learning_rate",
            "initial_learning_rate",
            "base_learning_rate",
        ],
    ),
    (Target::Protocol("optimizer.beta_1"), &["beta_1", "beta1", "adam_beta1"]),
    (Target::Protocol("optimizer.beta_2"), &["beta_2", "beta2", "adam_beta2"]),
    (Target::Protocol("optimizer.epsilon"), &["epsilon", "eps", "adam_epsilon"]),
    (Target::Protocol("augment.horizontal_flip"), &["horizontal_flip", "hflip", "flip"]),
    (Target::Protocol("augment.shift"), &["shift"]),
    (Target::Protocol("initializer"), &["initializer", "kernel_initializer"]),
    (Target::Dataset("image_size"), &["image_size", "img_size", "input_size"]),
    (Target::Dataset("channels"), &["channels", "in_channels", "input_channels"]),
    (Target::Dataset("classes"), &["classes", "num_classes", "n_classes"]),
    (Target::Seeds, &["seed", "seeds", "random_seed", "random_state"]),
];

const METRICS: &[(Metric, &[&str])] = &[
    (
        Metric::ValAccuracy,
        &[
            "val_accuracy",
            "val_acc",
            "validation_accuracy",
            "valid_accuracy",
            "valid_acc",
            "test_accuracy",
            "test_acc",
            "eval_accuracy",
        ],
    ),
    (Metric::ValLoss, &["val_loss", "validation_loss", "valid_loss", "test_loss", "eval_loss"]),
    (Metric::TrainAccuracy, &["train_accuracy", "train_acc", "training_accuracy", "accuracy", "acc"]),
    (Metric::TrainLoss, &["train_loss", "training_loss", "loss"]),
];

/// A sweep with Sweep's names.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    pub(super) name: Option<String>,
    /// Factors, each with its levels as YAML; a factor with one level belongs to the baseline.
    pub(super) factors: Vec<(Factor, Vec<String>)>,
    /// Keys of the protocol and their values as YAML.
    pub(super) protocol: Vec<(&'static str, String)>,
    pub(super) dataset: Vec<(&'static str, String)>,
    pub(super) seeds: Vec<String>,
    pub(super) objective: Option<(Metric, &'static str)>,
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<String>,
    /// Whether `--drop-unknown` would solve some of the problems.
    pub(super) droppable: bool,
}

/// Maps the parameters, or returns the problems.
pub(super) fn mapped(sweep: &Sweep, drop_unknown: bool) -> Mapped {
    let mut mapped = Mapped { name: sweep.name.clone(), ..Mapped::default() };
    let mut taken: Vec<(Target, &str)> = Vec::new();
    for Parameter { name, line, kind, note } in &sweep.parameters {
        // A parameter that is not part of a grid is rejected whatever its name is.
        let values = match kind {
            Wanted::Values(values) => values,
            Wanted::Wrong(why) => {
                mapped.problem(*line, format!("`{name}`: {why}"));
                continue;
            }
        };
        let Some(target) = target(name) else {
            mapped.unknown((name, *line), drop_unknown);
            continue;
        };
        let meant = reason(target);
        if let Some((_, other)) = taken.iter().find(|(other, _)| *other == target) {
            mapped.problem(*line, format!("`{name}` and `{other}` both mean `{meant}`"));
            continue;
        }
        taken.push((target, name));
        if meant.rsplit('.').next() != Some(name.as_str()) {
            mapped.notes.push(format!("`{name}` becomes `{meant}`"));
        }
        mapped.notes.extend(note.as_ref().map(|note| format!("`{name}`: {note}")));
        mapped.take((name, *line), target, values);
    }
    mapped.factors.sort_by_key(|(factor, _)| *factor);
    mapped.metric(sweep);
    for key in &sweep.keys {
        mapped.notes.push(format!("`{key}` is left out: {}", why_left_out(key)));
    }
    mapped
}

fn target(name: &str) -> Option<Target> {
    let whole = plain(name);
    let last = name.rsplit('.').next().map(plain).unwrap_or_default();
    let find = |name: &str| NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(target, _)| *target);
    find(&whole).or_else(|| find(&last))
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['-', '.', ' ', '/'], "_").replace(['[', ']'], "")
}

fn reason(target: Target) -> String {
    match target {
        Target::Factor(factor) => factor.name().to_owned(),
        Target::Protocol(key) => format!("protocol.{key}"),
        Target::Dataset(key) => format!("dataset.{key}"),
        Target::Seeds => "seeds".to_owned(),
    }
}

fn why_left_out(key: &str) -> &'static str {
    match key {
        "early_terminate" => "every trial is trained to its end, so that comparisons are fair",
        "run_cap" => "every combination is trained; `where` in a stage excludes some",
        "program" | "command" => "the networks are built in; a custom trainer must implement the trainer protocol",
        "project" | "entity" | "description" => "a spec has only a name",
        _ => "Sweep has no such key",
    }
}

impl Mapped {
    fn problem(&mut self, line: u32, what: String) {
        self.problems.push(format!("line {line}: {what}"));
    }

    fn unknown(&mut self, (name, line): (&str, u32), drop_unknown: bool) {
        let factors: Vec<&str> = Family::Cnn.factors().iter().map(|factor| factor.name()).collect();
        if drop_unknown {
            self.notes.push(format!("`{name}` is left out: Sweep has no such parameter"));
            return;
        }
        self.droppable = true;
        let known = factors.join(", ");
        self.problem(
            line,
            format!("`{name}`: Sweep has no such parameter; rename it if it is one of the factors {known}"),
        );
    }

    fn take(&mut self, (name, line): (&str, u32), target: Target, values: &[Scalar]) {
        let texts: Option<Vec<String>> = values.iter().map(|value| text(value, target)).collect();
        let Some(mut texts) = texts else {
            let expected = match target {
                Target::Factor(factor) => factor.kind().to_string(),
                Target::Seeds => "whole numbers".to_owned(),
                Target::Protocol("optimizer.kind") => "`adam`, the only supported optimizer".to_owned(),
                Target::Protocol(_) | Target::Dataset(_) => "a single value".to_owned(),
            };
            let found: Vec<String> = values.iter().map(Scalar::shown).collect();
            self.problem(line, format!("`{name}`: expected {expected}, found {}", found.join(", ")));
            return;
        };
        let mut seen = std::collections::BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        match target {
            Target::Factor(factor) => self.factors.push((factor, texts)),
            Target::Seeds => self.seeds = texts,
            Target::Protocol(_) | Target::Dataset(_) if texts.len() > 1 => {
                let listed = texts.join(", ");
                let why = "but must be the same for every trial of a sweep, so that differences come from the networks";
                let advice = "choose one value, or submit a sweep for each";
                self.problem(line, format!("`{name}` varies ({listed}), {why}: {advice}"));
            }
            Target::Protocol(key) => self.protocol.extend(texts.pop().map(|text| (key, text))),
            Target::Dataset(key) => self.dataset.extend(texts.pop().map(|text| (key, text))),
        }
    }

    fn metric(&mut self, sweep: &Sweep) {
        let Some((name, goal)) = &sweep.metric else { return };
        let plain = plain(name);
        let last = plain.as_str();
        let Some((metric, _)) = METRICS.iter().find(|(_, names)| names.contains(&last)) else {
            let known: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
            self.notes.push(format!(
                "metric `{name}` is left out: the metrics are {}; the sweep is ranked by `val_accuracy`",
                known.join(", ")
            ));
            return;
        };
        let goal = match goal.as_deref() {
            Some("maximize") => "maximize",
            Some("minimize") => "minimize",
            // A missing goal means `minimize` in a sweep file, which is wrong for an accuracy.
            _ => metric.natural_goal().name(),
        };
        if name != metric.name() {
            self.notes.push(format!("metric `{name}` becomes `{}`", metric.name()));
        }
        if goal != metric.natural_goal().name() {
            self.notes.push(format!("metric `{name}` will be {goal}d, as in the file: check that this is intended"));
        }
        self.objective = Some((*metric, goal));
    }
}

/// A value as YAML, if it is valid for the target.
fn text(value: &Scalar, target: Target) -> Option<String> {
    let whole = |value: &Scalar| matches!(value, Scalar::Int(_)).then(|| value.shown());
    match target {
        Target::Factor(factor) => match (factor.kind(), value) {
            (Kind::Bool, Scalar::Bool(_)) => Some(value.shown()),
            (Kind::Bool, Scalar::Int(number @ (0 | 1))) => Some((*number == 1).to_string()),
            (Kind::Bool, Scalar::Text(text)) if matches!(text.to_lowercase().as_str(), "true" | "false") => {
                Some(text.to_lowercase())
            }
            (Kind::Bool, _) => None,
            (Kind::Int { .. }, value) => whole(value),
            (Kind::Fraction, Scalar::Int(_) | Scalar::Real(_)) => Some(value.shown()),
            (Kind::Fraction, _) => None,
        },
        Target::Seeds => whole(value),
        Target::Protocol("optimizer.kind") => match value {
            Scalar::Text(text) => Some(text.to_lowercase()).filter(|name| name == "adam"),
            _ => None,
        },
        Target::Protocol(_) | Target::Dataset(_) => match value {
            Scalar::Other(_) => None,
            value => Some(value.shown()),
        },
    }
}
