//! A W&B sweep file as plain data: its method is checked and its parameters, nested ones too, are lists of values.

use serde_yaml::{Mapping, Value};

use crate::failure::Failure;

/// The longest file that is read, in bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// The most values of one range.
const LONGEST_RANGE: i64 = 1000;
/// How deep parameters may stand in each other.
const DEEPEST: usize = 16;

/// What a sweep file says.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    pub(super) name: Option<String>,
    /// Its metric and its goal, if it gives one.
    pub(super) metric: Option<(String, Option<String>)>,
    /// Names with dots between the levels, and what each is to be.
    pub(super) parameters: Vec<(String, Parameter)>,
    /// Other keys that say something about running.
    pub(super) keys: Vec<String>,
}

/// What a parameter is to be.
#[derive(Debug)]
pub(super) enum Parameter {
    /// Each of these; one, if it is constant.
    Values(Vec<Value>),
    /// Something that no grid has, and why.
    Wrong(String),
}

pub(super) fn read(file: &str, text: &str) -> Result<Sweep, Failure> {
    if text.len() > MOST_BYTES {
        return Err(Failure::usage(format!("{file} is longer than {MOST_BYTES} bytes")));
    }
    let root: Value =
        serde_yaml::from_str(text).map_err(|error| Failure::usage(format!("{file} is no YAML")).because(error))?;
    let Value::Mapping(root) = root else {
        return Err(Failure::usage(format!("{file} is no W&B sweep: expected `method`, `parameters`, ...")));
    };
    check_method(file, &root)?;
    let mut sweep = Sweep::default();
    for (key, value) in &root {
        match (key.as_str(), value) {
            (Some("name"), Value::String(name)) => sweep.name = Some(name.clone()),
            (Some("metric"), Value::Mapping(metric)) => sweep.metric = metric_of(metric),
            (Some("parameters"), Value::Mapping(parameters)) => {
                flatten(parameters, "", 0, &mut sweep.parameters);
            }
            (Some("parameters"), _) => {
                return Err(Failure::usage(format!("{file}: expected `parameters` to be a mapping")));
            }
            (Some("method"), _) => {}
            (Some(key), _) => sweep.keys.push(key.to_owned()),
            (None, _) => {}
        }
    }
    if sweep.parameters.is_empty() {
        return Err(Failure::usage(format!("{file} is no W&B sweep: it has no `parameters`")));
    }
    Ok(sweep)
}

fn check_method(file: &str, root: &Mapping) -> Result<(), Failure> {
    match root.get("method").and_then(Value::as_str) {
        Some("grid") => Ok(()),
        Some(method @ ("random" | "bayes")) => Err(Failure::usage(format!(
            "{file} has `method: {method}`, which chooses its trials while it runs; a study says beforehand what it compares"
        ))
        .hint("list the values that are to be compared and write `method: grid`")),
        Some(method) => Err(Failure::usage(format!("{file} has the unknown method `{method}`; only `grid` is read"))),
        None => Err(Failure::usage(format!("{file} is no W&B sweep: it has no `method`"))),
    }
}

fn metric_of(metric: &Mapping) -> Option<(String, Option<String>)> {
    let text = |key: &str| metric.get(key).and_then(Value::as_str).map(str::to_owned);
    Some((text("name")?, text("goal")))
}

/// Parameters that hold others are left out, and their names stand before those of the others.
fn flatten(parameters: &Mapping, before: &str, depth: usize, out: &mut Vec<(String, Parameter)>) {
    for (key, value) in parameters {
        let key = match key {
            Value::String(key) => key.clone(),
            other => serde_yaml::to_string(other).unwrap_or_default().trim().to_owned(),
        };
        let name = if before.is_empty() { key } else { format!("{before}.{key}") };
        let nested = value.as_mapping().and_then(|value| value.get("parameters")).and_then(Value::as_mapping);
        match (nested, value) {
            (Some(_), _) if depth >= DEEPEST => {
                out.push((name, Parameter::Wrong(format!("parameters stand more than {DEEPEST} deep in each other"))));
            }
            (Some(nested), _) => flatten(nested, &name, depth + 1, out),
            (None, Value::Mapping(parameter)) => out.push((name, one(parameter))),
            (None, _) => out.push((name, Parameter::Wrong("expected `value` or `values`".to_owned()))),
        }
    }
}

fn one(parameter: &Mapping) -> Parameter {
    if let Some(value) = parameter.get("value") {
        return Parameter::Values(vec![value.clone()]);
    }
    match parameter.get("values") {
        Some(Value::Sequence(values)) if !values.is_empty() => return Parameter::Values(values.clone()),
        Some(_) => return Parameter::Wrong("expected `values` to be a list with something in it".to_owned()),
        None => {}
    }
    let bound = |key: &str| parameter.get(key).and_then(Value::as_i64);
    match (bound("min"), bound("max")) {
        (Some(min), Some(max)) if min <= max && max.saturating_sub(min) < LONGEST_RANGE => {
            Parameter::Values((min..=max).map(Value::from).collect())
        }
        _ if parameter.contains_key("min") || parameter.contains_key("distribution") => {
            Parameter::Wrong("a range or distribution is no list of values: write `values: [...]`".to_owned())
        }
        _ => Parameter::Wrong("expected `value` or `values`".to_owned()),
    }
}
