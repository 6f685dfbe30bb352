//! The parts of a report, as pages show them one by one.

use maud::Markup;
use sweep_report::Report;
use sweep_report::parts::{self, Links, Parts, Which};
use sweep_spec::levels::{Factor, Level};

use crate::example::{CLASSES, Example};

fn with<T>(example: &Example, make: impl FnOnce(&Parts<'_>) -> T) -> T {
    let report = Report { study: &example.study, analysis: &example.analysis, material: &example.material };
    make(&Parts::new(&report))
}

fn parallel(parts: &Parts<'_>, most: usize) -> Option<Markup> {
    let level = |factor: Factor, level: &Level| format!("/level/{}:{level}", factor.name());
    let configuration = |position: u32| format!("/configuration/{position}");
    parts.parallel(most, &Links { level: &level, configuration: &configuration })
}

#[test]
fn no_part_has_a_style_or_a_script_of_its_own() {
    let example = Example::reference();
    let all = with(&example, |parts| {
        let (pairs, hardest) = parts.images();
        vec![
            Some(parts.question()),
            Some(parts.protocol()),
            Some(parts.answer()),
            parts.deltas(100),
            parts.pareto(100).unwrap(),
            parallel(parts, 100),
            parts.factors(),
            parts.effects(),
            Some(parts.undecided()),
            parts.classes(),
            Some(parts.notes()),
            Some(parts.provenance()),
            parts.curves().unwrap(),
            parts.overlay(&[0, 1, 2], Which::ValAccuracy).unwrap(),
            parts.confusion(&[0, 1], true),
            pairs,
            hardest,
        ]
    });
    for (index, part) in all.into_iter().enumerate() {
        let text = part.unwrap_or_else(|| panic!("part {index} is not there")).into_string();
        for inline in [" style=", "<style", "<script", " onclick"] {
            assert!(!text.contains(inline), "part {index} has {inline}");
        }
    }
    assert!(parts::STYLE.contains(".forest") && !parts::STYLE.contains("url("));
}

#[test]
fn a_chart_of_many_configurations_draws_so_many_and_says_how_many_it_leaves_out() {
    let example = Example::reference();
    let all = example.analysis.standings.iter().filter(|standing| standing.value.is_some()).count();
    let (whole, few) = with(&example, |parts| (parallel(parts, 300).unwrap(), parallel(parts, 5).unwrap()));
    let (whole, few) = (whole.into_string(), few.into_string());
    assert_eq!(whole.matches("<path ").count(), all);
    assert_eq!(few.matches("<path ").count(), 5);
    assert!(
        !whole.contains("evenly from the best")
            && few.contains(&format!("Of {all} configurations with a value, 5 are drawn"))
    );
    assert!(whole.contains("href=\"/level/filters:256\"") && whole.contains("href=\"/configuration/0\""));
    assert!(!whole.contains("NaN"));
    let comparisons = example.analysis.comparisons.len();
    let deltas = with(&example, |parts| parts.deltas(3).unwrap()).into_string();
    assert_eq!(deltas.matches("<svg class=\"delta ").count(), 3);
    assert!(deltas.contains(&format!("Of {comparisons} changes, {} are left out", comparisons - 3)));
    assert!(
        deltas.contains(&format!("corrected by Holm over {comparisons} comparisons")),
        "the family stays what it is"
    );
}

#[test]
fn curves_of_several_configurations_are_told_apart_without_their_colours() {
    let example = Example::reference();
    for which in Which::ALL {
        let chart = with(&example, |parts| parts.overlay(&[0, 1, 2, 99_999], which).unwrap().unwrap()).into_string();
        assert_eq!(chart.matches("<g class=\"series c").count(), 3, "{}", which.name());
        for number in ["1", "2", "3"] {
            assert!(chart.contains(&format!(">{number}</text>")), "{} has no number {number}", which.name());
        }
        assert_eq!(chart.matches("<li class=\"c").count(), 3);
    }
    assert!(with(&example, |parts| parts.overlay(&[], Which::ValLoss).unwrap()).is_none());
}

#[test]
fn a_trial_has_curves_and_a_matrix_where_its_numbers_fit() {
    let example = Example::reference();
    let curve = example.material.curves.first().unwrap();
    let drawn = parts::trial_curves(&curve.epochs, "a <b>").unwrap().unwrap().into_string();
    assert_eq!(drawn.matches("<svg class=\"chart\"").count(), 2);
    assert!(drawn.contains("a &lt;b&gt;"));
    assert!(parts::trial_curves(&[], "none").unwrap().is_none());
    let classes = CLASSES.map(str::to_owned);
    let matrix = parts::trial_confusion(&classes, &[3; 64], "one").unwrap().into_string();
    assert_eq!(matrix.matches("<td class=\"heat").count(), 64);
    assert!(parts::trial_confusion(&classes, &[3; 63], "one").is_none());
    assert!(parts::trial_confusion(&[], &[], "one").is_none());
}
