//! The page: one file that loads nothing from elsewhere. maud escapes every text that comes from a spec, a worker or a
//! person; only our own style, script and drawings are inserted without escaping. A policy in the page forbids
//! requests, so even a mistake here cannot cause one.

pub(crate) mod images;
pub(crate) mod matrix;
pub(crate) mod sections;
pub(crate) mod table;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::Error;
use crate::view::View;
use crate::words::{number, plural};

/// The style of the parts, for this page and for others.
pub(crate) const PARTS: &str = include_str!("parts.css");
const STYLE: &str = concat!(include_str!("parts.css"), include_str!("page.css"));
const SCRIPT: &str = include_str!("page.js");
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// A section of the page, with its entry in the table of contents.
struct Section {
    id: &'static str,
    title: &'static str,
    body: Markup,
}

impl Section {
    fn new(id: &'static str, title: &'static str, body: Markup) -> Self {
        Self { id, title, body }
    }
}

pub(crate) fn render(view: &View<'_>) -> Result<String, Error> {
    let name = &view.material.name;
    let sections = all(view)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(view.material.made_by);
                title { (name) " – ablation report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.kind { "Ablation report" }
                    h1 { (name) }
                    p.facts { (facts(view)) }
                }
                nav aria-label="Contents" {
                    ul { @for section in &sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                }
                main {
                    @for section in &sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (section.body)
                        }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(page.into_string())
}

/// The facts about the sweep, in one line.
fn facts(view: &View<'_>) -> String {
    let material = view.material;
    let trials: usize = view.study.subjects.iter().map(|subject| subject.replicates.len()).sum();
    let when = material.ended_ms.unwrap_or(material.made_ms);
    format!(
        "Sweep {}, {}: {}, {}, {}; {} UTC",
        material.sweep,
        material.state,
        plural(view.study.subjects.len(), "configuration"),
        plural(view.seeds(), "seed"),
        plural(trials, "trial"),
        number::moment(when),
    )
}

/// The sections that have content.
fn all(view: &View<'_>) -> Result<Vec<Section>, Error> {
    let shown = images::Shown::of(view);
    let sections = [
        Some(Section::new("question", "The question", sections::question(view))),
        Some(Section::new("answer", "The answer", sections::answer(view))),
        sections::deltas(view, None).map(|body| Section::new("deltas", "Every change, with its interval", body)),
        sections::pareto(view, None)?.map(|body| Section::new("cost", "Accuracy against parameters", body)),
        Some(Section::new("leaderboard", "Leaderboard", sections::leaderboard(view))),
        sections::factors(view).map(|body| Section::new("factors", "Factor by factor", body)),
        sections::effects(view).map(|body| Section::new("effects", "Effects and interactions", body)),
        sections::path(view).map(|body| Section::new("path", "The path through the stages", body)),
        Some(Section::new("open", "What was not significant", sections::undecided(view))),
        sections::classes(view).map(|body| Section::new("classes", "Class by class", body)),
        sections::curves(view)?.map(|body| Section::new("curves", "Learning curves", body)),
        matrix::section(view).map(|body| Section::new("confusion", "Confusion matrices", body)),
        shown.pairs(view).map(|body| Section::new("pairs", "Most confused pairs", body)),
        shown.hardest(view).map(|body| Section::new("images", "Images that most configurations misclassify", body)),
        Some(Section::new("excluded", "What was excluded, and why", sections::excluded(view))),
        Some(Section::new("protocol", "Protocol", sections::protocol(view))),
        Some(Section::new("notes", "Notes", sections::notes(view))),
        Some(Section::new("provenance", "Provenance", sections::provenance(view))),
    ];
    Ok(sections.into_iter().flatten().collect())
}
