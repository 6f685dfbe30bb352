//! The text of a report: numbers, names, sentences. Every format uses these functions and adds its own escapes, so
//! nothing here is escaped.

pub(crate) mod answer;
pub mod number;
pub(crate) mod protocol;
pub(crate) mod provenance;
pub(crate) mod question;

/// `1 seed`, `6 seeds`.
pub fn plural(count: usize, word: &str) -> String {
    sweep_analysis::number::plural(count as u64, word)
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The text with a capital letter in front.
pub fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
