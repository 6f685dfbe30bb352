//! The sections of the page that consist of text, tables and charts.

use maud::{Markup, html};
use sweep_analysis::result::{Comparison, Verdict};

use super::table::table;
use crate::Error;
use crate::chart::{curves, forest, pareto};
use crate::tables::{factors, findings, judged_note, leaderboard, verdict};
use crate::view::View;
use crate::words::number::{self, percent};
use crate::words::{answer as answers, protocol as protocols, provenance as provenances, question as questions};

fn list(pairs: &[(String, String)]) -> Markup {
    html! { dl { @for (key, text) in pairs { div { dt { (key) } dd { (text) } } } } }
}

pub(crate) fn question(view: &View<'_>) -> Markup {
    html! {
        @for paragraph in questions::paragraphs(view) { p { (paragraph) } }
        p { "What varies:" }
        (list(&questions::stages(view)))
    }
}

pub(crate) fn answer(view: &View<'_>) -> Markup {
    let answer = answers::answer(view);
    html! {
        p.lead { (answer.lead) }
        @if !answer.helps.is_empty() {
            h3 { "What helps" }
            ul.good { @for sentence in &answer.helps { li { (sentence) } } }
        }
        @if !answer.hurts.is_empty() {
            h3 { "What hurts" }
            ul.bad { @for sentence in &answer.hurts { li { (sentence) } } }
        }
        h3 { "Limits" }
        @for sentence in &answer.rest { p { (sentence) } }
    }
}

/// With `most`, at most this many changes: the decided ones first, then the largest differences.
pub(crate) fn deltas(view: &View<'_>, most: Option<usize>) -> Option<Markup> {
    let mut comparisons = findings::drawn(view);
    let all = comparisons.len();
    if let Some(most) = most.filter(|most| *most < all) {
        let decided = |one: &Comparison| matches!(one.verdict, Verdict::Helps | Verdict::Hurts);
        let size = |one: &Comparison| one.delta.map_or(0.0, f64::abs);
        comparisons.sort_by(|a, b| decided(b).cmp(&decided(a)).then(size(b).total_cmp(&size(a))));
        comparisons.truncate(most);
        comparisons.sort_by_key(|one| (one.group, one.position));
    }
    let left = all - comparisons.len();
    let axis = forest::Axis::of(view, &comparisons)?;
    let mut groups: Vec<(String, Vec<&Comparison>)> = Vec::new();
    for comparison in comparisons {
        let place = view.place(comparison);
        match groups.last_mut() {
            Some((last, members)) if *last == place => members.push(comparison),
            _ => groups.push((place, vec![comparison])),
        }
    }
    let metric = leaderboard::title(view.analysis.metric);
    Some(html! {
        p {
            "The difference in " (metric) " between each change and its reference, seed by seed. "
            @if view.analysis.noise.is_some() {
                "The grey band is the noise floor: a baseline against itself stays within it in 95 of 100 comparisons. "
            }
            "An arrow means that an interval continues beyond the chart."
            @if left > 0 { " Of " (number::count(all as u64)) " changes, " (number::count(left as u64)) " are left out: the undecided ones with the smallest differences." }
        }
        figure.table {
            div.scroll role="group" aria-label="Every change, with its interval" tabindex="0" {
                table.forest {
                    caption { "Differences in " (metric) " with 95 % intervals" }
                    thead { tr {
                        th scope="col" class="name" { "Change" }
                        th scope="col" class="drawn" { span.unseen { "Drawing" } (axis.labels()) }
                        th scope="col" class="number" { "Δ" }
                        th scope="col" class="number interval" { "95 % interval" }
                        th scope="col" class="text" { "Verdict" }
                    } }
                    @for (place, members) in &groups {
                        tbody {
                            tr.group { th scope="rowgroup" colspan="5" { (place) } }
                            @for comparison in members { (delta(view, &axis, comparison)) }
                        }
                    }
                }
            }
            figcaption { p { (judged_note(view, &view.analysis.comparisons)) } }
        }
    })
}

fn delta(view: &View<'_>, axis: &forest::Axis, comparison: &Comparison) -> Markup {
    let verdict = verdict(comparison);
    let tone = match verdict.tone {
        crate::tables::Tone::Good => "text good",
        crate::tables::Tone::Bad => "text bad",
        _ => "text quiet",
    };
    html! {
        tr {
            th scope="row" class="name" { (view.change(comparison)) }
            td.drawn { (axis.row(comparison)) }
            td.number { (comparison.delta.map_or_else(|| number::ABSENT.to_owned(), |delta| view.unit.delta(delta))) }
            td class="number interval" { (view.unit.interval(comparison.t_interval.or(comparison.bca_interval))) }
            td class=(tone) title=(verdict.text) { (verdict.text.split(':').next().unwrap_or_default()) }
        }
    }
}

/// With `most`, only this many of the best configurations, those on the front, and the baseline.
pub(crate) fn pareto(view: &View<'_>, most: Option<usize>) -> Result<Option<Markup>, Error> {
    let mut marks = pareto::marks(view);
    let all = marks.len();
    if let Some(most) = most {
        marks.retain(|mark| mark.number <= most || mark.standing.on_front || mark.subject.baseline);
    }
    let left = all - marks.len();
    let Some(chart) = pareto::draw(view, &marks)? else { return Ok(None) };
    Ok(Some(html! {
        p {
            "Each mark is a configuration, numbered by its place on the leaderboard; bars are one standard deviation \
             over seeds, the diamond is the baseline. The line joins the configurations that no smaller one beats. \
             Filled marks are on the Pareto front of " (leaderboard::title(view.analysis.metric)) ", parameters, FLOPs \
             and time. The percentage is the share of bootstrap resamples of the seeds in which the configuration is \
             on the front."
            @if left > 0 { " Of " (number::count(all as u64)) " configurations, " (number::count(left as u64)) " with a lower rank that are not on the front are left out." }
        }
        figure {
            div.scroll role="group" aria-label="Accuracy against parameters" tabindex="0" { div.large { (chart) } }
            figcaption {
                ol.marks {
                    @for mark in &marks {
                        li value=(mark.number) class=[mark.standing.on_front.then_some("front")] {
                            (view.name(mark.subject.position))
                            @if mark.standing.on_front { " – on the front" }
                            @if let Some(share) = mark.standing.front_share { span.quiet { " " (percent(share)) } }
                        }
                    }
                }
            }
        }
    }))
}

pub(crate) fn leaderboard(view: &View<'_>) -> Markup {
    table(&leaderboard::table(view))
}

pub(crate) fn factors(view: &View<'_>) -> Option<Markup> {
    let tables = factors::tables(view);
    let against = findings::against_baseline(view);
    if tables.is_empty() && against.is_none() {
        return None;
    }
    Some(html! { @for one in tables.iter().chain(&against) { (table(one)) } })
}

pub(crate) fn effects(view: &View<'_>) -> Option<Markup> {
    let tables = findings::effects(view);
    (!tables.is_empty()).then(|| html! { @for one in &tables { (table(one)) } })
}

pub(crate) fn path(view: &View<'_>) -> Option<Markup> {
    findings::path(view).map(|one| table(&one))
}

pub(crate) fn undecided(view: &View<'_>) -> Markup {
    match findings::undecided(view) {
        Some(one) => table(&one),
        None => html! { p { "Every comparison was decided." } },
    }
}

pub(crate) fn classes(view: &View<'_>) -> Option<Markup> {
    let tables = [findings::classes(view), findings::single_pairs(view)];
    let tables: Vec<_> = tables.into_iter().flatten().collect();
    (!tables.is_empty()).then(|| html! { @for one in &tables { (table(one)) } })
}

pub(crate) fn curves(view: &View<'_>) -> Result<Option<Markup>, Error> {
    let all = curves::all(view);
    let Some(axes) = curves::Axes::of(&all) else { return Ok(None) };
    let baseline = view.baseline().and_then(|subject| all.iter().find(|curves| curves.position == subject.position));
    let drawn = all.iter().map(|curves| {
        let name = view.name(curves.position);
        Ok((curves.seeds, curves::draw(&axes, curves, baseline, &name)?, name))
    });
    let drawn = drawn.collect::<Result<Vec<_>, Error>>()?;
    Ok(Some(html! {
        p {
            "Mean over the seeds, with a band of one standard deviation. The best configuration comes first; all \
             charts share their axes. Training numbers are running means with dropout and augmentation, so they may \
             be below the validation numbers. Where a curve leaves its chart, a triangle at the edge gives the value \
             it reaches."
        }
        p.legend aria-hidden="true" {
            span.train { "training" } span.validation { "validation" } span.baseline { "baseline, validation" }
        }
        div.curves {
            @for (seeds, chart, name) in &drawn {
                figure { figcaption { (name) span.quiet { " " (crate::words::plural(*seeds, "seed")) } } (chart) }
            }
        }
    }))
}

pub(crate) fn excluded(view: &View<'_>) -> Markup {
    html! {
        @match findings::excluded(view) {
            Some(one) => (table(&one)),
            None => p { "Nothing was excluded: the analysis uses every replicate of every configuration." },
        }
        @for left_out in &view.material.left_out { p { (left_out) } }
    }
}

pub(crate) fn protocol(view: &View<'_>) -> Markup {
    html! { p { "All trials use the same protocol." } (list(&protocols::lines(view))) }
}

pub(crate) fn notes(view: &View<'_>) -> Markup {
    html! { ul {
        @for note in &view.analysis.notes { li { (crate::words::capital(note)) } }
        li { "Reported epoch: " (protocols::epoch(&view.study.spec.protocol)) "." }
        li { "Intervals are for information only; verdicts follow from the corrected test alone." }
    } }
}

pub(crate) fn provenance(view: &View<'_>) -> Markup {
    let material = view.material;
    html! {
        (list(&provenances::lines(view)))
        details {
            summary { "The spec as it was submitted" }
            pre tabindex="0" { (material.spec) }
            @if !material.overrides.is_empty() {
                p { "Overrides that were applied to it:" }
                pre tabindex="0" { @for (key, value) in &material.overrides { (key) "=" (value) "\n" } }
            }
        }
    }
}
