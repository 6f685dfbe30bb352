//! The cost model against machines whose truth is known.

use sweep_spec::count::{Counts, Input};
use sweep_spec::{Configuration, Protocol, Spec};

use super::super::work::Size;
use super::*;

const SPEC: &str = "
version: 1
name: costs
dataset: { kind: synthetic_scenes, seed: 1, train_images: 512, test_images: 128, image_size: 16, channels: 3, classes: 8 }
baseline: { family: cnn }
stages:
  - name: all
    grid: { conv_layers: [1, 2, 3], filters: [4, 8, 16, 32], dense_layers: [1, 2], dense_units: [32, 128] }
";

fn works() -> Vec<Work> {
    let spec = Spec::parse(SPEC.as_bytes(), &[], &Default::default()).unwrap();
    let plan = sweep_spec::Plan::new(&spec);
    let size = Size::of(&spec.dataset).unwrap();
    plan.released(&[]).configurations().map(|planned| Work::new(&planned.counts, &spec.protocol, size)).collect()
}

fn class(name: &str) -> Class {
    Class { device_name: name.to_owned(), instruction_set: "avx2".to_owned(), threads: 1 }
}

/// A machine that is unlike the nominal one: fast at arithmetic, slow at steps.
fn truth(work: &Work) -> f64 {
    let [flops, outputs, images, steps, updates] = work.parts();
    0.3 * flops + 1.5 * outputs + 0.2 * images + 4.0 * steps + 0.5 * updates
}

struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn observe(model: &mut Model, name: &str, work: Work, seconds: f64) {
    let peak_memory_bytes = work.memory_bytes / 2;
    model.observe(Observation { class: class(name), work, seconds, overhead: 0.5, peak_memory_bytes });
    model.refresh();
}

#[test]
fn without_a_measurement_nothing_is_said() {
    let model = Model::default();
    assert!(model.is_empty() && model.predict(Some(&class("a")), &works()[0]).is_none());
}

#[test]
fn one_measurement_gives_the_scale_and_much_doubt() {
    let works = works();
    let mut model = Model::default();
    observe(&mut model, "a", works[0], truth(&works[0]));
    let same = model.predict(Some(&class("a")), &works[0]).unwrap();
    assert!((same.seconds - truth(&works[0]) - 0.5).abs() < 1e-9, "its own time and the fixed part");
    let said = same.prediction();
    assert!(said.high / said.expected > 1.8, "{said:?}");
    assert_eq!(same.memory_bytes, works[0].memory_bytes / 2);
}

#[test]
fn two_measurements_are_sane_and_many_are_right() {
    let works = works();
    let mut random = Random(3);
    let mut model = Model::default();
    for count in 1..=200 {
        let work = works[(count * 7) % works.len()];
        observe(&mut model, "a", work, truth(&work) * (0.03 * random.normal()).exp());
        for work in &works {
            let said = model.predict(Some(&class("a")), work).unwrap();
            assert!(said.seconds.is_finite() && said.seconds > 0.0 && said.own > 0.0, "{count}: {said:?}");
        }
    }
    for work in &works {
        let said = model.predict(Some(&class("a")), work).unwrap();
        let off = ((said.seconds - 0.5) / truth(work) - 1.0).abs();
        assert!(off < 0.06, "{off}");
    }
}

#[test]
fn intervals_hold_what_they_promise() {
    let works = works();
    let mut random = Random(11);
    let (mut held, mut asked) = (0, 0);
    for _ in 0..60 {
        let mut model = Model::default();
        for _ in 0..10 {
            let work = works[(random.uniform() * works.len() as f64) as usize];
            observe(&mut model, "a", work, truth(&work) * (0.08 * random.normal()).exp());
        }
        for work in &works {
            let said = model.predict(Some(&class("a")), work).unwrap().prediction();
            let came = truth(work) * (0.08 * random.normal()).exp() + 0.5;
            held += i32::from((said.low..=said.high).contains(&came));
            asked += 1;
        }
    }
    let share = f64::from(held) / f64::from(asked);
    assert!(share > 0.88, "{share}");
}

#[test]
fn another_device_is_predicted_with_more_doubt_until_it_is_measured() {
    let works = works();
    let mut model = Model::default();
    works.iter().for_each(|work| observe(&mut model, "a", *work, truth(work)));
    let known = model.predict(Some(&class("a")), &works[3]).unwrap().prediction();
    let other = model.predict(Some(&class("b")), &works[3]).unwrap().prediction();
    assert!(other.high / other.low > 3.0 * known.high / known.low);
    observe(&mut model, "b", works[3], 10.0 * truth(&works[3]));
    let measured = model.predict(Some(&class("b")), &works[3]).unwrap();
    assert!((measured.seconds / (10.0 * truth(&works[3])) - 1.0).abs() < 0.2);
    assert_eq!(model.class_named("b"), Some(&class("b")));
    assert_eq!(model.classes()[0], (&class("a"), works.len()));
}

#[test]
fn invalid_measurements_are_ignored() {
    let works = works();
    let mut model = Model::default();
    for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        observe(&mut model, "a", works[0], seconds);
    }
    let nothing = Counts { params: 0, flops_per_image: 0, activations_per_image: 0, largest_activation: 0 };
    let empty = Work::new(&nothing, &Protocol::default(), Size { train: 0, test: 0 });
    observe(&mut model, "a", empty, 1.0);
    assert!(model.is_empty());
    observe(&mut model, "a", works[0], 1.0);
    assert!(model.predict(None, &empty).unwrap().prediction().high.is_finite());
}

#[test]
fn a_network_far_outside_of_what_was_measured_has_a_wider_interval() {
    let works = works();
    let mut model = Model::default();
    works.iter().take(12).for_each(|work| observe(&mut model, "a", *work, truth(work)));
    let input = Input { image_size: 128, channels: 3, classes: 8 };
    let counts = Counts::of(&Configuration::Cnn(Default::default()), input).unwrap();
    let far = Work::new(&counts, &Protocol::default(), Size { train: 50_000, test: 10_000 });
    let width = |work: &Work| {
        let said = model.predict(Some(&class("a")), work).unwrap().prediction();
        said.high / said.low
    };
    assert!(width(&far) > 2.0 * width(&works[5]), "{} {}", width(&far), width(&works[5]));
}

#[test]
fn the_end_of_a_sweep_lies_within_its_interval_as_often_as_promised() {
    use super::super::schedule::{Batch, Left, forecast};

    let works = works();
    let mut random = Random(23);
    let (mut held, mut asked) = (0, 0);
    for _ in 0..80 {
        let mut model = Model::default();
        let mut took = |work: &Work| truth(work) * (0.08 * random.normal()).exp();
        works.iter().step_by(4).for_each(|work| observe(&mut model, "a", *work, took(work)));
        // Some that were not measured on two slots, the longest first, as the scheduler does it.
        let mut rest: Vec<(f64, f64)> = Vec::new();
        let mut batches = Vec::new();
        for work in works.iter().skip(1).step_by(2) {
            let each = model.predict(Some(&class("a")), work).unwrap();
            batches.push(Batch { trials: 1, each });
            rest.push((each.seconds, took(work) + 0.5));
        }
        rest.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut slots = [0.0_f64; 2];
        for (_, seconds) in &rest {
            let free = usize::from(slots[1] < slots[0]);
            slots[free] += seconds;
        }
        let end = forecast(&Left { running: Vec::new(), steps: vec![batches] }, 2).end.unwrap();
        held += i32::from((end.low..=end.high).contains(&slots[0].max(slots[1])));
        asked += 1;
        assert!(end.high / end.low < 1.6, "and it says something: {end:?}");
    }
    let share = f64::from(held) / f64::from(asked);
    assert!(share >= 0.85, "{share}");
}
