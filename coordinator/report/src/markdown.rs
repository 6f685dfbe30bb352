//! The report in GitHub's Markdown: the text and tables of the page, without its charts. Texts from specs, workers and
//! people are escaped, so that they cannot add links, HTML or cells.

use std::fmt::Write as _;

use crate::tables::{Kind, Table, Tone, factors, findings, leaderboard};
use crate::view::View;
use crate::words::{answer, capital, protocol, provenance, question};

pub(crate) fn render(view: &View<'_>) -> String {
    let mut page = format!("# {}\n\n", escape(&view.material.name));
    heading(&mut page, "The question");
    question::paragraphs(view).iter().for_each(|text| paragraph(&mut page, text));
    pairs(&mut page, ("Stage", "What varies"), &question::stages(view));
    heading(&mut page, "The answer");
    answers(&mut page, view);
    heading(&mut page, "Leaderboard");
    table(&mut page, &leaderboard::table(view));
    section(&mut page, "Factor by factor", factors::tables(view).into_iter().chain(findings::against_baseline(view)));
    section(&mut page, "Effects and interactions", findings::effects(view));
    section(&mut page, "The path through the stages", findings::path(view));
    section(&mut page, "What was not significant", findings::undecided(view));
    section(&mut page, "Class by class", [findings::classes(view), findings::single_pairs(view)].into_iter().flatten());
    heading(&mut page, "What was excluded, and why");
    match findings::excluded(view) {
        Some(excluded) => table(&mut page, &excluded),
        None => paragraph(&mut page, "Nothing was excluded: the analysis uses every replicate of every configuration."),
    }
    heading(&mut page, "Protocol");
    pairs(&mut page, ("Setting", "Value, the same for every trial"), &protocol::lines(view));
    heading(&mut page, "Notes");
    view.analysis.notes.iter().for_each(|note| item(&mut page, &capital(note)));
    item(&mut page, &format!("Reported epoch: {}.", protocol::epoch(&view.study.spec.protocol)));
    page.push('\n');
    heading(&mut page, "Provenance");
    pairs(&mut page, ("Item", "Value"), &provenance::lines(view));
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn answers(page: &mut String, view: &View<'_>) {
    let answer = answer::answer(view);
    let _ = write!(page, "**{}**\n\n", escape(&answer.lead));
    for (title, sentences) in [("What helps:", &answer.helps), ("What hurts:", &answer.hurts)] {
        if !sentences.is_empty() {
            paragraph(page, title);
            sentences.iter().for_each(|sentence| item(page, sentence));
            page.push('\n');
        }
    }
    answer.rest.iter().for_each(|sentence| paragraph(page, sentence));
}

fn section(page: &mut String, title: &str, tables: impl IntoIterator<Item = Table>) {
    let mut tables = tables.into_iter().peekable();
    if tables.peek().is_some() {
        heading(page, title);
        tables.for_each(|one| table(page, &one));
    }
}

fn heading(page: &mut String, text: &str) {
    let _ = write!(page, "## {text}\n\n");
}

fn paragraph(page: &mut String, text: &str) {
    let _ = write!(page, "{}\n\n", escape(text));
}

fn item(page: &mut String, text: &str) {
    let _ = writeln!(page, "- {}", escape(text));
}

fn pairs(page: &mut String, (first, second): (&str, &str), pairs: &[(String, String)]) {
    let _ = write!(page, "| {first} | {second} |\n|:--|:--|\n");
    for (key, text) in pairs {
        let _ = writeln!(page, "| {} | {} |", escape(key), escape(text));
    }
    page.push('\n');
}

fn table(page: &mut String, table: &Table) {
    let _ = write!(page, "**{}**\n\n|", escape(&table.title));
    for column in &table.columns {
        let _ = write!(page, " {} |", escape(&column.title));
    }
    page.push_str("\n|");
    for column in &table.columns {
        page.push_str(if column.kind == Kind::Number { "--:|" } else { ":--|" });
    }
    page.push('\n');
    for row in &table.rows {
        page.push('|');
        for (column, cell) in table.columns.iter().zip(&row.cells) {
            let text = escape(&cell.text);
            let strong = matches!(cell.tone, Tone::Good | Tone::Bad);
            let emphasized = row.reference && column.kind == Kind::Name && !text.is_empty();
            let _ = match (strong, emphasized) {
                (true, _) => write!(page, " **{text}** |"),
                (false, true) => write!(page, " *{text}* |"),
                (false, false) => write!(page, " {text} |"),
            };
        }
        page.push('\n');
    }
    page.push('\n');
    table.notes.iter().for_each(|note| paragraph(page, note));
}

/// Escapes the characters that Markdown or HTML would interpret. Line breaks become spaces.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '$' | '!' => escaped.extend(['\\', character]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // Addresses, names and mail addresses would become links.
            '@' => escaped.push_str("&#64;"),
            ':' => {
                escaped.push_str(if escaped.ends_with("http") || escaped.ends_with("https") { "&#58;" } else { ":" })
            }
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_taken_for_markup() {
        assert_eq!(escape("a|b\n*c* <img src=x> [d](https://e)"), r"a\|b \*c\* &lt;img src=x&gt; \[d\](https&#58;//e)");
        assert_eq!(escape("batch_norm=true"), r"batch\_norm=true");
        assert_eq!(escape("±0.0031 −0.5"), "±0.0031 −0.5");
    }
}
