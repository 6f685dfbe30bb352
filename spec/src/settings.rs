//! A trial as a flat list of settings, each a dotted path and a value. This form is sent over the wire, is exported
//! next to metrics, and is used to compare configurations.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Integer(u64),
    /// Any other number.
    Float(f64),
    Text(String),
    /// Texts, as in the names of classes.
    Texts(Vec<String>),
}

/// A dotted path and its value, such as `protocol.optimizer.learning_rate` and `0.001`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Keys from the outermost in, joined by dots.
    pub path: String,
    pub value: Scalar,
}

/// A value that is not a setting, or settings that are not the expected value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only nested objects of scalars and lists of texts can be flattened.
    #[error("`{path}`: expected a number, a string, true or false, or a list of strings")]
    NotFlat { path: String },
    /// A path occurs twice, or is the beginning of another.
    #[error("`{path}` is set more than once")]
    Conflict { path: String },
    /// The settings do not form the expected value.
    #[error("the settings are incomplete or cannot be read")]
    Json(#[from] serde_json::Error),
}

/// The settings of `value`, sorted by path. Absent options are left out.
///
/// # Errors
/// `Error::NotFlat` for a value that is not a setting.
pub fn flatten<T: Serialize>(value: &T) -> Result<Vec<Setting>, Error> {
    let mut settings = Vec::new();
    collect(String::new(), &serde_json::to_value(value)?, &mut settings)?;
    settings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(settings)
}

/// The value that `settings` describe.
///
/// # Errors
/// `Error::Conflict` where paths contradict each other, `Error::Json` where keys are missing, unknown or of a wrong type.
pub fn unflatten<T: DeserializeOwned>(settings: &[Setting]) -> Result<T, Error> {
    let mut root = Map::new();
    for setting in settings {
        insert(&mut root, setting)?;
    }
    Ok(serde_json::from_value(Value::Object(root))?)
}

fn collect(path: String, value: &Value, settings: &mut Vec<Setting>) -> Result<(), Error> {
    let scalar = match value {
        Value::Null => return Ok(()),
        Value::Object(members) => {
            for (key, member) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(path, member, settings)?;
            }
            return Ok(());
        }
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(integer), _) => Scalar::Integer(integer),
            (None, Some(float)) => Scalar::Float(float),
            (None, None) => return Err(Error::NotFlat { path }),
        },
        Value::String(text) => Scalar::Text(text.clone()),
        Value::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            Scalar::Texts(texts.ok_or_else(|| Error::NotFlat { path: path.clone() })?)
        }
    };
    settings.push(Setting { path, value: scalar });
    Ok(())
}

fn insert(root: &mut Map<String, Value>, setting: &Setting) -> Result<(), Error> {
    let conflict = || Error::Conflict { path: setting.path.clone() };
    let mut keys: Vec<&str> = setting.path.split('.').collect();
    let last = keys.pop().ok_or_else(conflict)?;
    let mut place = root;
    for key in keys {
        let next = place.entry(key).or_insert_with(|| Value::Object(Map::new()));
        place = next.as_object_mut().ok_or_else(conflict)?;
    }
    let value = match &setting.value {
        Scalar::Bool(value) => Value::from(*value),
        Scalar::Integer(value) => Value::from(*value),
        Scalar::Float(value) => Value::from(*value),
        Scalar::Text(value) => Value::from(value.as_str()),
        Scalar::Texts(values) => Value::from(values.clone()),
    };
    match place.insert(last.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(conflict()),
    }
}
