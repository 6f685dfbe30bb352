//! The report as a complete LaTeX document, for pdflatex with packages that every distribution has. A table can be
//! copied out of it: notes on protocol and n are below the tables.

use std::fmt::Write as _;

use crate::tables::{Column, Kind, Table, Tone, factors, findings, leaderboard};
use crate::view::View;
use crate::words::{answer, capital, number, protocol, provenance, question};

const PREAMBLE: &str = r"\documentclass[10pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[margin=18mm]{geometry}
\usepackage{booktabs,array,longtable,caption}
\setlength{\tabcolsep}{3pt}
\setlength{\LTcapwidth}{\textwidth}
\setlength{\emergencystretch}{3em}
\newcommand{\tablenote}[1]{\par\noindent{\footnotesize #1\par}}
\newcolumntype{L}[1]{>{\raggedright\arraybackslash}p{#1}}
\pagestyle{plain}
";

pub(crate) fn render(view: &View<'_>) -> String {
    let mut page = PREAMBLE.to_owned();
    let made = number::moment(view.material.made_ms);
    let _ = write!(
        page,
        "\\title{{{}}}\n\\author{{Ablation report, sweep {}}}\n\\date{{{made} UTC}}\n\n\\begin{{document}}\n\\maketitle\n\n",
        escape(&view.material.name),
        view.material.sweep
    );
    heading(&mut page, "The question");
    question::paragraphs(view).iter().for_each(|text| paragraph(&mut page, text));
    pairs(&mut page, &question::stages(view));
    heading(&mut page, "The answer");
    answers(&mut page, view);
    heading(&mut page, "Leaderboard");
    table(&mut page, view, &leaderboard::table(view));
    section(
        &mut page,
        view,
        "Factor by factor",
        factors::tables(view).into_iter().chain(findings::against_baseline(view)),
    );
    section(&mut page, view, "Effects and interactions", findings::effects(view));
    section(&mut page, view, "The path through the stages", findings::path(view));
    section(&mut page, view, "What was not significant", findings::undecided(view));
    section(
        &mut page,
        view,
        "Class by class",
        [findings::classes(view), findings::single_pairs(view)].into_iter().flatten(),
    );
    section(&mut page, view, "What was excluded, and why", findings::excluded(view));
    heading(&mut page, "Protocol");
    pairs(&mut page, &protocol::lines(view));
    heading(&mut page, "Notes");
    view.analysis.notes.iter().for_each(|note| paragraph(&mut page, &capital(note)));
    paragraph(&mut page, &format!("Reported epoch: {}.", protocol::epoch(&view.study.spec.protocol)));
    heading(&mut page, "Provenance");
    pairs(&mut page, &provenance::lines(view));
    page.push_str("\\end{document}\n");
    page
}

fn answers(page: &mut String, view: &View<'_>) {
    let answer = answer::answer(view);
    let _ = write!(page, "\\textbf{{{}}}\n\n", escape(&answer.lead));
    for (title, sentences) in [("What helps:", &answer.helps), ("What hurts:", &answer.hurts)] {
        if !sentences.is_empty() {
            let _ = write!(page, "{title}\n\\begin{{itemize}}\n");
            for sentence in sentences {
                let _ = writeln!(page, "\\item {}", escape(sentence));
            }
            page.push_str("\\end{itemize}\n\n");
        }
    }
    answer.rest.iter().for_each(|sentence| paragraph(page, sentence));
}

fn section(page: &mut String, view: &View<'_>, title: &str, tables: impl IntoIterator<Item = Table>) {
    let mut tables = tables.into_iter().peekable();
    if tables.peek().is_some() {
        heading(page, title);
        tables.for_each(|one| table(page, view, &one));
    }
}

fn heading(page: &mut String, text: &str) {
    let _ = write!(page, "\\section*{{{text}}}\n\n");
}

fn paragraph(page: &mut String, text: &str) {
    let _ = write!(page, "{}\n\n", escape(text));
}

fn pairs(page: &mut String, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    page.push_str("\\begin{longtable}{@{}L{0.22\\textwidth}L{0.73\\textwidth}@{}}\n\\toprule\n");
    for (key, text) in pairs {
        let _ = writeln!(page, "{} & {} \\\\", escape(key), escape(text));
    }
    page.push_str("\\bottomrule\n\\end{longtable}\n\n");
}

/// Columns of text share the width that the columns of numbers leave.
fn format_of(table: &Table) -> String {
    // Shares of a line's width: of a digit, and of the space between two columns.
    const FIGURE: f64 = 0.0088;
    const BETWEEN: f64 = 0.0124;
    let longest = |index: usize, title: &str| {
        let cells = table.rows.iter().filter_map(|row| row.cells.get(index)).map(|cell| cell.text.chars().count());
        cells.chain([title.chars().count()]).max().unwrap_or(0) as f64
    };
    let weight = |index: usize, column: &Column| match column.kind {
        Kind::Number => 0.0,
        Kind::Name => 1.3 * longest(index, &column.title).clamp(8.0, 30.0),
        Kind::Text => longest(index, &column.title).clamp(8.0, 30.0),
    };
    let columns = || table.columns.iter().enumerate();
    let numbers: f64 = columns()
        .filter(|(_, column)| column.kind == Kind::Number)
        .map(|(index, column)| longest(index, &column.title))
        .sum();
    let words: f64 = columns().map(|(index, column)| weight(index, column)).sum();
    let room = (1.0 - FIGURE * numbers - BETWEEN * table.columns.len() as f64).max(0.3);
    let format = |(index, column): (usize, &Column)| match column.kind {
        Kind::Number => "r".to_owned(),
        Kind::Name | Kind::Text => format!("L{{{:.3}\\textwidth}}", room * weight(index, column) / words.max(1.0)),
    };
    let formats: String = columns().map(format).collect();
    format!("@{{}}{formats}@{{}}")
}

fn table(page: &mut String, view: &View<'_>, table: &Table) {
    let table = table.narrow();
    let count = table.columns.len();
    let heads: Vec<String> = table.columns.iter().map(|column| escape(&column.title)).collect();
    let _ = write!(
        page,
        "{{\\footnotesize\n\\begin{{longtable}}{{{}}}\n\\caption*{{\\textbf{{{}}}}}\\\\\n\\toprule\n{} \\\\\n\\midrule\n\\endhead\n\
         \\bottomrule\n\\endfoot\n",
        format_of(&table),
        escape(&table.title),
        heads.join(" & ")
    );
    for row in &table.rows {
        let cells = row.cells.iter().map(|cell| {
            let text = escape(&cell.text);
            match cell.tone {
                Tone::Good | Tone::Bad => format!("\\textbf{{{text}}}"),
                Tone::Plain if row.reference => format!("\\textit{{{text}}}"),
                Tone::Plain | Tone::Quiet => text,
            }
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(page, "{} \\\\", cells.join(" & "));
    }
    if table.rows.is_empty() {
        let _ = writeln!(page, "\\multicolumn{{{count}}}{{@{{}}l@{{}}}}{{Nothing.}} \\\\");
    }
    page.push_str("\\end{longtable}\n");
    let mut notes = table.notes.clone();
    notes.push(format!(
        "n is at most {}; {} epochs of {} images per step; reported epoch: {}.",
        view.seeds(),
        view.study.spec.protocol.epochs,
        view.study.spec.protocol.batch_size,
        protocol::epoch(&view.study.spec.protocol)
    ));
    for note in &notes {
        let _ = writeln!(page, "\\tablenote{{{}}}", escape(note));
    }
    page.push_str("}\n\n");
}

/// Escapes a text. Characters that pdflatex's fonts do not have are written as their code points, so that no name stops
/// pdflatex.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '%' => escaped.extend(['\\', character]),
            // Names of factors are long, so a line may break after an underscore.
            // After the end of a row, an item or a command, LaTeX would read brackets as arguments.
            '[' => escaped.push_str("{[}"),
            ']' => escaped.push_str("{]}"),
            '*' => escaped.push_str("{*}"),
            '_' => escaped.push_str("\\_\\allowbreak{}"),
            '=' => escaped.push_str("=\\allowbreak{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            '"' => escaped.push_str("''"),
            '`' => escaped.push_str("`{}"),
            '-' => escaped.push_str("-{}"),
            '\u{2212}' => escaped.push_str("$-$"),
            '±' => escaped.push_str("$\\pm$"),
            '×' => escaped.push_str("$\\times$"),
            '÷' => escaped.push_str("$\\div$"),
            'Δ' => escaped.push_str("$\\Delta$"),
            '→' => escaped.push_str("$\\rightarrow$"),
            '–' => escaped.push_str("--"),
            '’' => escaped.push('\''),
            '“' => escaped.push_str("``"),
            '”' => escaped.push_str("''"),
            // Letters that the standard fonts have or can compose.
            ' '..='~' => escaped.push(character),
            'À'..='Ö' | 'Ø'..='Ý' | 'ß'..='ï' | 'ñ'..='ö' | 'ø'..='ý' | 'ÿ' => escaped.push(character),
            character if character.is_control() => escaped.push(' '),
            character => {
                let _ = write!(escaped, "{{[}}U+{:04X}{{]}}", u32::from(character));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_command() {
        assert_eq!(
            escape(r"\input{x} 50 % & $a_1$ #~^"),
            r"\textbackslash{}input\{x\} 50 \% \& \$a\_\allowbreak{}1\$ \#\textasciitilde{}\textasciicircum{}"
        );
        assert_eq!(escape("a\nb\u{0}"), "a b ");
        assert_eq!(escape("é 日 😀"), "é {[}U+65E5{]} {[}U+1F600{]}");
        assert_eq!(escape("−0.5 ± 0.1 --"), "$-$0.5 $\\pm$ 0.1 -{}-{}");
    }
}
