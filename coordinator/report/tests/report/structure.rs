//! The content of the page and of the documents.

use sweep_analysis::result::Verdict;
use sweep_report::Format;

use crate::example::{CLASSES, Example};

const SECTIONS: [&str; 17] = [
    "question",
    "answer",
    "deltas",
    "cost",
    "leaderboard",
    "factors",
    "effects",
    "open",
    "classes",
    "curves",
    "confusion",
    "pairs",
    "images",
    "excluded",
    "protocol",
    "notes",
    "provenance",
];

#[test]
fn every_section_stands_once_and_is_in_the_list_of_contents() {
    let page = Example::reference().text(Format::Html);
    for id in SECTIONS {
        assert_eq!(page.matches(&format!("<section id=\"{id}\"")).count(), 1, "{id}");
        assert_eq!(page.matches(&format!("href=\"#{id}\"")).count(), 1, "{id}");
    }
    assert_eq!(page.matches("<section ").count(), SECTIONS.len());
}

#[test]
fn nothing_in_the_page_points_outside() {
    let page = Example::reference().text(Format::Html);
    let without_names = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!without_names.contains("http:") && !without_names.contains("https:"), "an address");
    for word in ["<link", "<iframe", "@import", "url(", "srcset", "<base", "fetch(", "XMLHttpRequest"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn every_configuration_has_curves_a_matrix_and_a_place_and_every_change_a_row() {
    let example = Example::reference();
    let page = example.text(Format::Html);
    let count = example.study.subjects.len();
    assert_eq!(page.matches("<svg class=\"chart\"").count(), 2 * count + 1, "two curves each, and one Pareto chart");
    assert_eq!(page.matches("<svg class=\"delta ").count(), example.analysis.comparisons.len());
    assert_eq!(page.matches("<details class=\"matrix\"").count(), count);
    // Each configuration has its own matrix, and all but the baseline also the difference to it.
    assert_eq!(page.matches("<table class=\"confusion\"").count(), 2 * count - 1);
    let titled = page.matches("role=\"img\"").count();
    assert_eq!(page.matches("<title>").count(), 1 + titled + count, "the page, its charts, and every mark");
    assert_eq!(page.matches("<img ").count(), page.matches(" alt=\"image ").count());
    for class in CLASSES {
        assert!(page.contains(class), "{class}");
    }
}

#[test]
fn the_answer_says_what_the_verdicts_say() {
    let example = Example::reference();
    let of = |verdict: &Verdict| example.analysis.comparisons.iter().filter(|one| one.verdict == *verdict).count();
    let (helps, hurts, open) = (of(&Verdict::Helps), of(&Verdict::Hurts), of(&Verdict::NoDifferenceShown));
    assert!(helps > 3 && hurts > 0 && open > 0, "{helps} {hurts} {open}");
    for format in [Format::Html, Format::Markdown, Format::Latex] {
        let text = example.text(format);
        assert!(text.contains(&format!("{helps} of 19 changes were shown to help validation accuracy")), "{format:?}");
        assert!(text.contains(&format!("{hurts} were shown to hurt.")), "{format:?}");
        assert!(text.contains(&format!("No difference was shown for {open} changes")), "{format:?}");
        assert!(text.contains("Noise floor"), "{format:?}");
    }
}

#[test]
fn without_verdicts_nothing_is_claimed() {
    let mut example = Example::reference();
    for comparison in &mut example.analysis.comparisons {
        comparison.verdict = Verdict::NoDifferenceShown;
    }
    let page = example.text(Format::Html);
    assert!(page.contains("No change was shown to help validation accuracy."));
    assert!(!page.contains("What helps") && !page.contains("What hurts"));
    assert!(!page.contains("class=\"delta good\"") && !page.contains("class=\"delta bad\""));
}

#[test]
fn the_tables_of_factors_have_the_reference_s_form() {
    let text = Example::reference().text(Format::Markdown);
    for title in
        ["depth: conv\\_layers", "head: dense\\_layers", "width: filters", "regularization", "kernel: kernel\\_size"]
    {
        assert!(text.contains(&format!("**{title}**\n")), "{title}");
    }
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.contains("**depth: conv")).skip(2).take(6).collect();
    assert_eq!(
        rows[0],
        "| conv\\_layers | Train accuracy | Val. accuracy | Parameters | Ratio | Δ | 95 % interval | p | Verdict |"
    );
    let params: Vec<&str> = rows[2..].iter().filter_map(|row| row.split('|').nth(4)).map(str::trim).collect();
    assert_eq!(params, ["79,624", "182,088", "387,016", "796,872"], "the reference's own counts");
    assert!(rows[2].contains("starting point") && rows[3].ends_with("**helps** |"), "{rows:?}");
}

#[test]
fn the_same_study_makes_the_same_bytes() {
    let (one, other) = (Example::reference(), Example::reference());
    for format in Format::ALL {
        assert!(one.render(format) == other.render(format), "{format:?}");
    }
}
