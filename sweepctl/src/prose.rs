//! Wraps text at spaces, never inside a word.

use unicode_width::UnicodeWidthStr;

use crate::names;

/// Wraps a text to `columns` columns. A word that is longer than a line is shortened to its end.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    if text.width() <= columns {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let word = if word.width() > columns { names::end_of(word, columns) } else { word.to_owned() };
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(&word);
        } else if line.width() + 1 + word.width() <= columns {
            line.push(' ');
            line.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

/// The beginning of a text that fits into one line, cut at a space if there is one, with `…` for the rest.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let whole = wrapped(text, columns.saturating_sub(2)).swap_remove(0);
    if columns > 2 && text.starts_with(&whole) { format!("{whole} …") } else { names::beginning_of(text, columns) }
}

/// Wraps a message for a terminal. Continuation lines are indented below the text, not below its label; a word that is
/// longer than a line, such as an address, is not broken. Styles have no width.
pub(crate) fn fitted(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    text.split('\n').map(|line| fitted_line(line, columns)).collect::<Vec<_>>().join("\n")
}

fn fitted_line(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let label = indent(line);
    let indent = label.min(columns / 2);
    // Keeps a sign with its number.
    let line = line.replace(" %", "\u{a0}%").replace("± ", "±\u{a0}");
    let (mut fitted, mut taken) = (String::new(), 0);
    for (number, word) in line.split(' ').enumerate() {
        let wide = width(word);
        // Keeps the first word with its label.
        let begins = taken < label;
        if number > 0 && !begins && wide > 0 && taken + 1 + wide > columns {
            fitted.truncate(fitted.trim_end_matches(' ').len());
            fitted.push('\n');
            fitted.push_str(&" ".repeat(indent));
            taken = indent;
        } else if number > 0 {
            fitted.push(' ');
            taken += 1;
        }
        fitted.push_str(word);
        taken += wide;
    }
    fitted.replace('\u{a0}', " ")
}

/// The column where the text after a label begins: `  trials     3 of 16 ended`.
fn indent(line: &str) -> usize {
    let plain = anstream::adapter::strip_str(line).to_string();
    let begin = plain.len() - plain.trim_start_matches(' ').len();
    let label = plain[begin..].find("  ").map(|at| begin + at);
    match label {
        Some(at) if at <= begin + 16 => at + (plain[at..].len() - plain[at..].trim_start_matches(' ').len()),
        Some(_) | None => begin + 2,
    }
}

fn width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::FAINT;

    #[test]
    fn a_text_is_broken_at_blanks_and_a_longer_word_is_shortened() {
        assert_eq!(wrapped("no difference shown", 13), ["no difference", "shown"]);
        assert_eq!(wrapped("no difference shown", 19), ["no difference shown"]);
        assert_eq!(wrapped("a-word-too-long to fit", 8), ["…oo-long", "to fit"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn a_broken_line_goes_on_below_its_text() {
        let line = format!("  {FAINT}waits     {FAINT:#} no worker has 16 GiB of memory for this trial");
        let expected =
            format!("  {FAINT}waits     {FAINT:#} no worker has 16 GiB of\n             memory for this trial");
        assert_eq!(fitted(&line, Some(38)), expected);
        assert_eq!(fitted("one two three\n  four five six", Some(9)), "one two\n  three\n  four\n    five\n    six");
        assert_eq!(fitted("one two three", None), "one two three");
    }

    #[test]
    fn a_text_that_is_cut_ends_with_a_whole_word() {
        assert_eq!(cut("no difference shown", 18), "no difference …");
        assert_eq!(cut("no difference shown", 19), "no difference shown");
        assert_eq!([cut("difference", 6), cut("difference", 1), cut("difference", 0)], ["diffe…", "…", ""]);
    }

    #[test]
    fn a_sign_stays_with_its_number_and_a_long_word_with_its_label() {
        assert_eq!(fitted("off by 31 % of it", Some(10)), "off by\n  31 % of\n  it");
        assert_eq!(fitted("stays within ± 0.0052 here", Some(15)), "stays within\n  ± 0.0052 here");
        let digest = "da".repeat(12);
        assert_eq!(fitted(&format!("  data       {digest}"), Some(20)), format!("  data       {digest}"));
    }

    #[test]
    fn an_address_stays_whole() {
        let address = "https://coordinator.example/sweeps/1";
        assert_eq!(fitted(&format!("look at {address} now"), Some(20)), format!("look at\n  {address}\n  now"));
    }
}
