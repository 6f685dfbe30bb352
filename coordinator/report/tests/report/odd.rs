//! Unusual studies: hostile names, one configuration, forty configurations, equal results, no numbers.

use std::sync::Arc;

use sweep_analysis::analyse::{Request, analyse};
use sweep_analysis::result::{Exclusion, Verdict};
use sweep_analysis::study::State;
use sweep_report::parts::{Parts, Which};
use sweep_report::{Format, Report, Sheet};
use sweep_spec::spec::Metric;

use crate::example::Example;

/// A hostile name for a sweep, a class or a trainer.
const HOSTILE: &str =
    "</title><script>alert(1)</script>&\"'| \\input{x} $x_1^2$ %#~ \u{202e}日本 [a](javascript:b) `c` *d*\n\u{0}=1+1";

/// Every name that a person or a worker can choose is hostile.
pub(crate) fn hostile() -> Example {
    let mut example = small();
    let material = &mut example.material;
    for text in
        [&mut material.name, &mut material.submitter, &mut material.spec, &mut material.made_by, &mut material.state]
    {
        *text = HOSTILE.to_owned();
    }
    material.overrides.push((HOSTILE.to_owned(), HOSTILE.to_owned()));
    material.left_out.push(HOSTILE.to_owned());
    example.study.classes.iter_mut().for_each(|class| class.push_str(HOSTILE));
    example.study.groups.iter_mut().for_each(|group| {
        group.name = HOSTILE.to_owned();
        group.start_label = HOSTILE.to_owned();
    });
    for subject in &mut example.study.subjects {
        subject.name = format!("{HOSTILE}{}", subject.position);
        for answer in subject.replicates.iter_mut().filter_map(|replicate| replicate.answer.as_mut()) {
            Arc::make_mut(&mut answer.made).device_name = HOSTILE.to_owned();
            Arc::make_mut(&mut answer.made).trainer = HOSTILE.to_owned();
        }
    }
    let mut example = example.again();
    example.analysis.notes.push(HOSTILE.to_owned());
    example.analysis.excluded.push(Exclusion { position: 1, seed: Some(3), reason: HOSTILE.to_owned() });
    for comparison in &mut example.analysis.comparisons {
        comparison.remark = HOSTILE.to_owned();
        comparison.verdict = Verdict::Open(HOSTILE.to_owned());
    }
    example
}

fn of(seeds: usize, rest: &str) -> Example {
    Example::of(&format!(
        "version: 1\nname: odd\ndataset: {{ kind: synthetic_scenes, image_size: 24, channels: 3, seed: 0, train_images: 800, \
         test_images: 400 }}\nprotocol: {{ epochs: 40 }}\nseeds: {seeds}\nbaseline: {{ family: cnn, conv_layers: 1, filters: 8, \
         kernel_size: 3, dense_layers: 1, dense_units: 32 }}\n{rest}"
    ))
}

fn small() -> Example {
    of(
        3,
        "stages:\n  - { name: depth, vary: { conv_layers: [1, 2, 3] } }\n  - { name: width, vary: { filters: [8, 16] } }\n",
    )
}

/// Only the baseline, under one seed.
pub(crate) fn one() -> Example {
    of(1, "stages:\n  - { name: depth, vary: { conv_layers: [1] } }\n")
}

/// No trial has ended yet.
pub(crate) fn empty() -> Example {
    let mut example = small();
    for replicate in example.study.subjects.iter_mut().flat_map(|subject| &mut subject.replicates) {
        replicate.state = State::Queued;
        replicate.answer = None;
    }
    example.study.validations.clear();
    example.study.classes.clear();
    example.material.curves.clear();
    example.material.sheet = None;
    let mut example = example.again();
    example.analysis.noise = None;
    example
}

/// No chart can place any of the numbers.
pub(crate) fn without_numbers() -> Example {
    let mut example = small();
    for (index, comparison) in example.analysis.comparisons.iter_mut().enumerate() {
        comparison.delta = [Some(f64::NAN), Some(f64::INFINITY), None].get(index % 3).copied().flatten();
        comparison.t_interval = None;
        comparison.adjusted_p = Some(f64::NAN);
    }
    for standing in &mut example.analysis.standings {
        standing.value.as_mut().expect("a value").mean = f64::NAN;
        standing.front_share = Some(f64::NAN);
    }
    for epoch in example.material.curves.iter_mut().flat_map(|curve| &mut curve.epochs) {
        (epoch.train_loss, epoch.val_loss, epoch.val_accuracy, epoch.train_accuracy) =
            (f64::NAN, f64::INFINITY, f64::NAN, f64::NAN);
    }
    example
}

#[test]
fn no_name_becomes_a_tag_a_script_or_an_attribute() {
    let page = hostile().text(Format::Html);
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
    assert!(!page.contains("alert(1)</script>"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("&\"'|"), "a quotation mark in an attribute");
    let markdown = hostile().text(Format::Markdown);
    assert!(!markdown.contains("<script") && !markdown.contains("a](javascript"));
    let latex = hostile().text(Format::Latex);
    assert!(!latex.contains("\\input{") && !latex.replace("\\$", "").contains("$x"));
}

#[test]
fn one_configuration_makes_a_page_of_what_there_is() {
    let page = one().text(Format::Html);
    assert!(page.contains("There are no comparisons yet."));
    assert!(!page.contains("id=\"deltas\""));
    assert_eq!(page.matches("<svg class=\"chart\"").count(), 3, "a Pareto chart of one mark, and its curves");
    no_bad_number(&page);
}

#[test]
fn a_sweep_of_which_nothing_has_ended_says_so() {
    for format in [Format::Html, Format::Markdown, Format::Latex] {
        let text = empty().text(format);
        assert!(text.contains("of 12 trials have not ended"), "{format:?}: {text}");
        no_bad_number(&text);
    }
}

#[test]
fn forty_configurations_have_a_place_each() {
    let filters: Vec<String> = (1..=40).map(|filters| (filters * 4).to_string()).collect();
    let example = of(2, &format!("stages:\n  - {{ name: width, vary: {{ filters: [{}] }} }}\n", filters.join(", ")));
    let page = example.text(Format::Html);
    assert_eq!(page.matches("<details class=\"matrix\"").count(), 40);
    assert_eq!(page.matches("<li value=").count(), 40, "the list beneath the Pareto chart");
    assert!(page.matches("class=\"number\" x=").count() <= 40);
    assert!(page.len() < 6 << 20, "{} bytes", page.len());
    no_bad_number(&page);
}

#[test]
fn numbers_in_a_chart_never_cover_each_other() {
    let example = Example::reference();
    let page = example.text(Format::Html);
    let place = |text: &str, name: &str| -> f64 {
        let value = text.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split('"').next());
        value.and_then(|value| value.parse().ok()).expect("a place")
    };
    let labels = page.split("<text class=\"number\"").skip(1);
    let places: Vec<(f64, f64)> = labels.map(|label| (place(label, "x"), place(label, "y"))).collect();
    assert!(places.len() > 10, "{places:?}");
    for (index, (x, y)) in places.iter().enumerate() {
        for (other_x, other_y) in &places[..index] {
            assert!((x - other_x).abs() > 12.0 || (y - other_y).abs() > 9.0, "{x},{y} over {other_x},{other_y}");
        }
    }
}

#[test]
fn values_that_are_all_alike_and_values_that_are_none_make_no_broken_chart() {
    let mut alike = small();
    for replicate in alike.study.subjects.iter_mut().flat_map(|subject| &mut subject.replicates) {
        let epoch = replicate.answer.as_mut().and_then(|answer| answer.last.as_mut()).expect("an epoch");
        epoch.val_accuracy = 0.5;
    }
    for epoch in alike.material.curves.iter_mut().flat_map(|curve| &mut curve.epochs) {
        (epoch.train_loss, epoch.val_loss, epoch.val_accuracy, epoch.train_accuracy) = (0.0, 0.0, 0.5, 0.5);
    }
    let alike = alike.again();
    assert!(alike.analysis.comparisons.iter().all(|comparison| comparison.delta == Some(0.0)));
    let page = alike.text(Format::Html);
    assert!(page.contains("id=\"cost\"") && page.contains("id=\"deltas\""));
    no_bad_number(&page);
    let page = without_numbers().text(Format::Html);
    assert!(!page.contains("id=\"cost\"") && !page.contains("id=\"deltas\"") && !page.contains("id=\"curves\""));
    no_bad_number(&page);
}

#[test]
fn validations_that_do_not_fit_are_left_out_and_said() {
    let mut example = small();
    let last = example.study.validations.values_mut().next_back().expect("a validation");
    last.labels.reverse();
    let page = example.text(Format::Html);
    assert!(page.contains("validated on different images"));
    let mut example = small();
    let replicate = example.study.subjects[1].replicates.last_mut().expect("a replicate");
    Arc::make_mut(&mut replicate.answer.as_mut().expect("an answer").made).split_digest =
        sweep_spec::Digest::of(b"another split");
    assert!(example.text(Format::Html).contains("validated on different images"));
    let mut example = small();
    example.study.classes.pop();
    assert!(!example.text(Format::Html).contains("<details class=\"matrix\""));
    let mut example = small();
    example.material.sheet = Some(Sheet { png: b"no picture".to_vec(), columns: 32 });
    assert!(example.text(Format::Html).contains("The sweep stored no pictures of the images."));
}

/// Losses of every size: each chart is drawn, the numbers of its axis fit, and no mark leaves the drawing.
#[test]
fn losses_of_any_size_make_every_chart() {
    for size in [1e-300, 1e-9, 1.0, 250.0, 1e6, 1e34, 1e300] {
        let mut example = small();
        for epoch in example.material.curves.iter_mut().flat_map(|curve| &mut curve.epochs) {
            epoch.train_loss *= size;
            epoch.val_loss *= size;
        }
        for replicate in example.study.subjects.iter_mut().flat_map(|subject| &mut subject.replicates) {
            let last = replicate.answer.as_mut().and_then(|answer| answer.last.as_mut()).expect("an epoch");
            last.val_loss *= size;
        }
        example.analysis = analyse(&example.study, &Request { metric: Some(Metric::ValLoss), ..Request::default() });
        let report = Report { study: &example.study, analysis: &example.analysis, material: &example.material };
        let parts = Parts::new(&report);
        let overlay = parts.overlay(&[0, 1, 2], Which::ValLoss).expect("an overlay");
        let pareto = parts.pareto(100).expect("a chart");
        let curves = parts.curves().expect("curves");
        for (name, drawn) in
            [("overlay", overlay), ("pareto", pareto), ("curves", curves), ("changes", parts.deltas(100))]
        {
            let text = drawn.unwrap_or_else(|| panic!("{name} at {size}")).into_string();
            no_bad_number(&text);
            stays_inside(&text, &format!("{name} at {size}"));
        }
    }
}

/// Every point that Plotters draws lies within the `viewBox`.
fn stays_inside(text: &str, what: &str) {
    for svg in text.split("<svg class=\"chart\"").skip(1) {
        let size = svg.split_once("viewBox=\"0 0 ").and_then(|(_, rest)| rest.split('"').next()).expect("a size");
        let (width, height) = size.split_once(' ').expect("two numbers");
        let (width, height): (f64, f64) = (width.parse().expect("a width"), height.parse().expect("a height"));
        for points in svg.split(" points=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            for point in points.split_whitespace() {
                let (x, y) = point.split_once(',').expect("x and y");
                let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
                assert!((0.0..=width).contains(&x) && (0.0..=height).contains(&y), "{what}: {point} in {size}");
            }
        }
    }
}

fn no_bad_number(page: &str) {
    for word in ["NaN", "inf\"", "inf ", "\"-inf"] {
        assert!(!page.contains(word), "{word}");
    }
}
