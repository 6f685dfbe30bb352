//! Reads a W&B sweep file: checks its method, and expands its parameters, nested ones included, to lists of values, as
//! the grid search of W&B does. Every parameter has its line number.

use sweep_spec::yaml::{self, Entry, Node, Value};

use crate::failure::Failure;

/// The most values of one range.
const LONGEST_RANGE: usize = 1000;
/// The deepest nesting of parameters.
const DEEPEST: usize = 16;

/// The content of a sweep file.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    pub(super) name: Option<String>,
    /// Its metric and its goal, if it has one.
    pub(super) metric: Option<(String, Option<String>)>,
    pub(super) parameters: Vec<Parameter>,
    /// Other keys about running the sweep.
    pub(super) keys: Vec<String>,
}

/// A parameter and its values.
#[derive(Debug)]
pub(super) struct Parameter {
    /// With dots between the levels.
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) kind: Kind,
    /// A note about a conversion that the author may not expect.
    pub(super) note: Option<String>,
}

/// The values of a parameter.
#[derive(Debug)]
pub(super) enum Kind {
    /// All of these; one value is a constant.
    Values(Vec<Scalar>),
    /// Not possible in a grid, with the reason.
    Wrong(String),
}

/// A value as W&B's YAML 1.1 reads it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Bool(bool),
    Int(i128),
    Real(f64),
    Text(String),
    /// A null, a list or a mapping, in a short form.
    Other(String),
}

impl Scalar {
    fn of(node: &Node) -> Self {
        match &node.value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Float(value) => Self::number(*value),
            Value::Text(text) => match switch(text).filter(|_| node.is_plain()) {
                Some(value) => Self::Bool(value),
                None => Self::Text(text.clone()),
            },
            Value::Null | Value::List(_) | Value::Mapping(_) => Self::Other(node.describe()),
        }
    }

    /// A number without a fraction becomes an integer.
    fn number(value: f64) -> Self {
        if value.fract() == 0.0 && value.abs() < 9e15 { Self::Int(value as i128) } else { Self::Real(value) }
    }

    /// For people, and for a spec.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Real(value) => format!("{value:?}"),
            Self::Text(text) => serde_json::to_string(text).unwrap_or_default(),
            Self::Other(words) => words.clone(),
        }
    }
}

/// The booleans that YAML 1.1 has besides `true` and `false`.
fn switch(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

pub(super) fn read(file: &str, text: &[u8]) -> Result<Sweep, Failure> {
    let (root, problems) = match yaml::parse(text) {
        Ok(read) => read,
        Err(_) if text.trim_ascii().is_empty() => return Err(no_sweep(file, "it is empty")),
        Err(problem) => return Err(Failure::spec(format!("{file} is not YAML"), vec![problem.to_string()])),
    };
    if !problems.is_empty() {
        let lines = problems.iter().map(ToString::to_string).collect();
        return Err(Failure::spec(format!("{file} is not a W&B sweep"), lines));
    }
    let Value::Mapping(root) = &root.value else {
        return Err(no_sweep(file, "expected `method`, `parameters`, ..."));
    };
    check_method(file, root)?;
    let mut sweep = Sweep::default();
    for entry in root {
        match (entry.key.as_str(), &entry.node.value) {
            ("name", Value::Text(name)) => sweep.name = Some(name.clone()),
            ("metric", Value::Mapping(metric)) => sweep.metric = metric_of(metric),
            ("parameters", Value::Mapping(parameters)) => flatten(parameters, "", 0, &mut sweep.parameters),
            ("parameters", _) => {
                return Err(Failure::usage(format!("{file}: expected `parameters` to be a mapping")));
            }
            ("method", _) => {}
            (key, _) => sweep.keys.push(key.to_owned()),
        }
    }
    if sweep.parameters.is_empty() {
        return Err(no_sweep(file, "it has no `parameters`"));
    }
    Ok(sweep)
}

fn no_sweep(file: &str, why: &str) -> Failure {
    Failure::usage(format!("{file} is not a W&B sweep: {why}"))
}

fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}

fn text<'a>(entries: &'a [Entry], key: &str) -> Option<&'a str> {
    match &find(entries, key)?.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn check_method(file: &str, root: &[Entry]) -> Result<(), Failure> {
    match text(root, "method") {
        Some("grid") => Ok(()),
        Some(method @ ("random" | "bayes")) => Err(Failure::usage(format!(
            "{file} has `method: {method}`, which chooses its trials while it runs; a study declares its comparisons \
            beforehand"
        ))
        .hint("list the values to compare and write `method: grid`")),
        Some(method) => {
            Err(Failure::usage(format!("{file} has the unknown method `{method}`; only `grid` is supported")))
        }
        None => Err(no_sweep(file, "it has no `method`")),
    }
}

fn metric_of(metric: &[Entry]) -> Option<(String, Option<String>)> {
    Some((text(metric, "name")?.to_owned(), text(metric, "goal").map(str::to_owned)))
}

/// Removes the parameters that contain others, and prefixes the inner names with theirs.
fn flatten(parameters: &[Entry], before: &str, depth: usize, out: &mut Vec<Parameter>) {
    for entry in parameters {
        let name = if before.is_empty() { entry.key.clone() } else { format!("{before}.{}", entry.key) };
        let mut push = |kind: Kind, note: Option<String>| {
            out.push(Parameter { name: name.clone(), line: entry.mark.line, kind, note });
        };
        let Value::Mapping(parameter) = &entry.node.value else {
            push(Kind::Wrong("expected `value` or `values`".to_owned()), None);
            continue;
        };
        match find(parameter, "parameters").map(|node| &node.value) {
            Some(Value::Mapping(_)) if depth >= DEEPEST => {
                push(Kind::Wrong(format!("parameters are nested more than {DEEPEST} deep")), None);
            }
            Some(Value::Mapping(nested)) => flatten(nested, &name, depth + 1, out),
            Some(_) | None => match one(parameter) {
                Ok((values, note)) => push(Kind::Values(values), note),
                Err(why) => push(Kind::Wrong(why), None),
            },
        }
    }
}

/// The values of a parameter, and a note about them.
type Values = Result<(Vec<Scalar>, Option<String>), String>;

/// A parameter without a distribution gets W&B's default for its keys.
fn one(parameter: &[Entry]) -> Values {
    if find(parameter, "probabilities").is_some() {
        return Err("a grid trains every value once, so it has no `probabilities`; W&B refuses this too".to_owned());
    }
    let whole_bounds =
        ["min", "max"].iter().all(|key| find(parameter, key).is_some_and(|bound| matches!(bound.value, Value::Int(_))));
    let distribution = match text(parameter, "distribution") {
        Some(distribution) => distribution,
        None if find(parameter, "value").is_some() => "constant",
        None if find(parameter, "values").is_some() => "categorical",
        None if whole_bounds => "int_uniform",
        None if find(parameter, "min").is_some() || find(parameter, "max").is_some() => "uniform",
        None => return Err("expected `value` or `values`".to_owned()),
    };
    match distribution {
        "constant" => {
            let value = find(parameter, "value").ok_or("expected `value`, because it is constant")?;
            Ok((vec![Scalar::of(value)], None))
        }
        "categorical" => match find(parameter, "values").map(|values| &values.value) {
            Some(Value::List(values)) if !values.is_empty() => Ok((values.iter().map(Scalar::of).collect(), None)),
            Some(_) | None => Err("expected `values` to be a list with something in it".to_owned()),
        },
        "int_uniform" => whole_numbers(parameter),
        "q_uniform" => steps(parameter),
        other => Err(format!(
            "a grid has a list of values, and `{other}` draws them at random; W&B's grid refuses it too: write \
             `values: [...]`, or `q_uniform` with `min`, `max` and `q`"
        )),
    }
}

fn whole_numbers(parameter: &[Entry]) -> Values {
    let bound = |key: &str| match find(parameter, key).map(Scalar::of) {
        Some(Scalar::Int(value)) => Ok(value),
        Some(other) => Err(format!("expected `{key}` to be a whole number, found {}", other.shown())),
        None => Err(format!("expected `{key}`, a whole number")),
    };
    let (min, max) = (bound("min")?, bound("max")?);
    if min > max {
        return Err(format!("expected `min` to be at most `max`, found {min} and {max}"));
    }
    if max.saturating_sub(min) >= LONGEST_RANGE as i128 {
        return Err(format!("{min} to {max} are more than {LONGEST_RANGE} values: list the values to compare"));
    }
    Ok(((min..=max).map(Scalar::Int).collect(), None))
}

/// From `min` in steps of `q`, below `max`: W&B's grid excludes the end.
fn steps(parameter: &[Entry]) -> Values {
    let bound = |key: &str| match find(parameter, key).map(Scalar::of) {
        Some(Scalar::Int(value)) => Ok(Some(value as f64)),
        Some(Scalar::Real(value)) if value.is_finite() => Ok(Some(value)),
        Some(other) => Err(format!("expected `{key}` to be a number, found {}", other.shown())),
        None => Ok(None),
    };
    let needed = |key: &str| bound(key)?.ok_or_else(|| format!("expected `{key}`, a number"));
    // W&B's default step is 1.
    let (min, max, q) = (needed("min")?, needed("max")?, bound("q")?.unwrap_or(1.0));
    if q <= 0.0 {
        return Err(format!("expected `q` to be more than 0, found {q}"));
    }
    let count = ((max - min) / q).ceil();
    if count < 1.0 {
        return Err(format!("`q_uniform` has no value from {min} to below {max}"));
    }
    if count > LONGEST_RANGE as f64 {
        return Err(format!("{min} to {max} by {q} are more than {LONGEST_RANGE} values: list the values to compare"));
    }
    let values: Vec<Scalar> =
        (0..count as u32).map(|step| Scalar::number(rounded(f64::from(step).mul_add(q, min)))).collect();
    let shown: Vec<String> = values.iter().map(Scalar::shown).collect();
    let note = format!("`q_uniform` becomes {}, as in W&B's grid, which excludes {max}", shown.join(", "));
    Ok((values, Some(note)))
}

/// Rounds away the last digits, which come from binary fractions: 0.3 instead of 0.30000000000000004.
fn rounded(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}
