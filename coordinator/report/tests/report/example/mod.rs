//! A study to write reports of: the reference's stages on its eight classes under ten seeds, which Holm's correction
//! over its changes requires. Its numbers have the size of a real study. Metrics, images and confusions are drawn from
//! fixed seeds.

pub(crate) mod browser;
pub(crate) mod random;

use std::collections::BTreeMap;
use std::sync::Arc;

use sweep_analysis::analyse::{Request, analyse};
use sweep_analysis::result::Analysis;
use sweep_analysis::study::{Answer, Group, GroupKind, Made, Replicate, State, Study, Subject};
use sweep_report::{Curve, Format, Material, Report, Sheet};
use sweep_spec::spec::Limits;
use sweep_spec::trainer::{EpochMetrics, Validation};
use sweep_spec::{Configuration, Digest, Outcome, Plan, Spec};

use random::Random;

pub(crate) const CLASSES: [&str; 8] =
    ["coast", "forest", "highway", "inside_city", "mountain", "open_country", "street", "tall_building"];
/// Validation images of the reference's data.
const IMAGES: usize = 807;
const EPOCHS: u32 = 40;

/// The stages of the reference study. They keep given winners, as its author did.
pub(crate) const REFERENCE: &str = "
version: 1
name: scene-cnn
dataset: { kind: image_folder, path: scenes, image_size: 64, channels: 3, classes: 8 }
protocol: { epochs: 40, batch_size: 32, augment: { horizontal_flip: true, shift: 0.1 } }
seeds: 10
baseline: { family: cnn, conv_layers: 1, filters: 64, kernel_size: 5, dense_layers: 1, dense_units: 1024 }
stages:
  - { name: depth, vary: { conv_layers: [1, 2, 4, 8] }, keep: { conv_layers: 4 } }
  - { name: head, vary: { dense_layers: [1, 2, 4] }, keep: { dense_layers: 2 } }
  - { name: width, vary: { filters: [32, 64, 128, 256] }, keep: { filters: 256 } }
  - { name: regularization, grid: { max_pool: [false, true], batch_norm: [false, true], dropout: [0.0, 0.2] } }
  - { name: kernel, from: width, set: { dropout: 0.2 }, vary: { kernel_size: [3, 5, 7, 9] } }
extra:
  - { name: vgg19, family: vgg19 }
";

/// The input of a report.
pub(crate) struct Example {
    pub(crate) study: Study,
    pub(crate) analysis: Analysis,
    pub(crate) material: Material,
}

impl Example {
    /// The study of a spec, with all results.
    pub(crate) fn of(spec: &str) -> Self {
        let study = study(spec);
        let analysis = analyse(&study, &Request::default());
        let material = material(&study, spec);
        Self { study, analysis, material }
    }

    /// The reference's study.
    pub(crate) fn reference() -> Self {
        Self::of(REFERENCE)
    }

    /// Analyses the study again after a change.
    pub(crate) fn again(mut self) -> Self {
        self.analysis = analyse(&self.study, &Request::default());
        self
    }

    pub(crate) fn render(&self, format: Format) -> Vec<u8> {
        let report = Report { study: &self.study, analysis: &self.analysis, material: &self.material };
        report.render(format).expect("a report")
    }

    pub(crate) fn text(&self, format: Format) -> String {
        String::from_utf8(self.render(format)).expect("text is UTF-8")
    }
}

fn study(text: &str) -> Study {
    let spec = Spec::parse(text.as_bytes(), &[], &Limits::default()).expect("a spec");
    let plan = Plan::new(&spec);
    let released = plan.released(&[]);
    let mut subjects: BTreeMap<u64, Subject> = BTreeMap::new();
    for group in 0..plan.groups().len() {
        for point in plan.expand(group, &[]).expect("nothing waits") {
            let subject = subjects.entry(point.ordinal).or_insert_with(|| Subject {
                position: point.ordinal as u32,
                name: point.name.clone().unwrap_or_default(),
                label: point.label(&plan),
                baseline: point.configuration == spec.baseline,
                configuration: point.configuration.clone(),
                groups: Vec::new(),
                params: point.counts.params,
                flops: point.counts.flops_per_image,
                replicates: Vec::new(),
            });
            subject.groups.push(group);
        }
    }
    let mut subjects: Vec<Subject> = subjects.into_values().collect();
    let place = |configuration: &Configuration| {
        subjects.iter().find(|subject| subject.configuration == *configuration).map(|subject| subject.position)
    };
    let groups = plan.groups().iter().enumerate().map(|(index, group)| {
        let start = group.stage.and_then(|stage| released.start(stage)).unwrap_or(&spec.baseline);
        Group {
            name: group.name.clone(),
            kind: if group.stage.is_some() { GroupKind::Stage(index) } else { GroupKind::Extra },
            start: place(start),
            start_label: start.difference(&spec.baseline).to_string(),
            winner: None,
            chose_on: Vec::new(),
            ended: true,
        }
    });
    let groups = groups.collect();
    let mut validations = BTreeMap::new();
    for subject in &mut subjects {
        for &seed in &spec.seeds {
            let trial = plan.trial(&subject.configuration, seed).id().expect("an id");
            let accuracy = accuracy(&subject.configuration, seed);
            let epochs = epochs(accuracy, subject.position, seed);
            validations.insert(trial, validation(accuracy, subject.position, seed));
            subject.replicates.push(Replicate {
                seed,
                trial,
                state: State::Succeeded,
                reused: seed == 0,
                noise: false,
                answer: Some(answer(&epochs, subject.flops)),
            });
        }
    }
    Study { spec, groups, subjects, validations, classes: CLASSES.map(str::to_owned).to_vec() }
}

/// The approximate accuracy of such a network: the reference's table, with its noise.
fn accuracy(configuration: &Configuration, seed: u64) -> f64 {
    let Configuration::Cnn(cnn) = configuration else { return 0.879 + 0.004 * Random::of(&[99, seed]).normal() };
    let depth = 0.66 + 0.19 * (1.0 - 0.35_f64.powf(f64::from(cnn.conv_layers - 1)));
    let head = 0.004 * f64::from(cnn.dense_layers.min(3) - 1);
    let width = 0.006 * (f64::from(cnn.filters) / 64.0).log2();
    let kernel = -0.022 * (f64::from(cnn.kernel_size) - 5.0).abs() / 2.0;
    let regular = 0.014 * f64::from(cnn.max_pool) + 0.026 * f64::from(cnn.batch_norm)
        - 0.009 * f64::from(cnn.max_pool && cnn.batch_norm)
        + 0.3 * cnn.dropout * 0.05;
    let shared = 0.006 * Random::of(&[7, seed]).normal();
    let key = [u64::from(cnn.conv_layers), cnn.filters.into(), cnn.kernel_size.into(), cnn.dense_layers.into()];
    let own = [key.as_slice(), &[cnn.max_pool.into(), cnn.batch_norm.into(), cnn.dropout.to_bits(), seed]].concat();
    (depth + head + width + kernel + regular + shared + 0.005 * Random::of(&own).normal()).clamp(0.05, 0.97)
}

fn epochs(last: f64, position: u32, seed: u64) -> Vec<EpochMetrics> {
    let mut random = Random::of(&[u64::from(position), seed, 3]);
    let epoch = |epoch: u32| {
        let share = 1.0 - (-f64::from(epoch) / 7.0).exp();
        let wobble = 0.02 * (1.0 - f64::from(epoch) / f64::from(EPOCHS)) * random.normal();
        let val_accuracy =
            (0.125 + (last - 0.125) * share / (1.0 - (-f64::from(EPOCHS) / 7.0).exp()) + wobble).clamp(0.0, 1.0);
        let train_accuracy = (val_accuracy + 0.05 * share - 0.015).min(0.999);
        EpochMetrics {
            epoch,
            train_loss: -1.15 * train_accuracy.ln() + 0.02,
            train_accuracy,
            val_loss: -1.3 * val_accuracy.ln() + 0.15 * share,
            val_accuracy,
            learning_rate: 0.001,
            seconds: 6.4,
            images_per_second: 290.0,
        }
    };
    (1..=EPOCHS).map(epoch).collect()
}

fn answer(epochs: &[EpochMetrics], flops: u64) -> Answer {
    let best = epochs.iter().max_by(|a, b| a.val_accuracy.total_cmp(&b.val_accuracy)).copied();
    let seconds = 20.0 + flops as f64 * 1881.0 * 40.0 * 3.0 / 2e12;
    Answer {
        outcome: Outcome::Converged,
        last: epochs.last().copied(),
        best,
        test: None,
        seconds,
        made: Arc::new(Made {
            data_digest: Digest::of(b"scenes"),
            split_digest: Digest::of(b"split"),
            device: "cuda:0".to_owned(),
            device_name: "NVIDIA H100 80GB HBM3".to_owned(),
            instruction_set: "sm_90".to_owned(),
            trainer: "sweep-trainer 0.1.0".to_owned(),
            threads: 1,
            protocol_digest: None,
        }),
    }
}

/// Streets are taken for inside_city and tall_building, highways for streets and coasts, open country for anything green.
fn likely(label: usize, random: &mut Random) -> usize {
    let near: [&[usize]; 8] = [&[5, 2], &[4, 5], &[6, 0, 5], &[6, 7], &[5, 1], &[0, 4, 1], &[3, 7, 2], &[3, 6]];
    let near = near[label];
    near[(random.next() as usize) % near.len()]
}

fn validation(accuracy: f64, position: u32, seed: u64) -> Validation {
    let mut random = Random::of(&[u64::from(position), seed, 11]);
    let labels: Vec<u16> = (0..IMAGES).map(|image| (image * CLASSES.len() / IMAGES) as u16).collect();
    let mut confusion = vec![0; CLASSES.len() * CLASSES.len()];
    let (mut predicted, mut confidence) = (Vec::new(), Vec::new());
    for (image, &label) in labels.iter().enumerate() {
        let mut of_image = Random::of(&[image as u64, 17]);
        let hard = of_image.share();
        let wrong = random.share() < (1.0 - accuracy) * if hard < 0.08 { 7.0 } else { 0.5 };
        let habit = likely(label.into(), &mut of_image);
        let taken = match wrong {
            false => label.into(),
            true if random.share() < 0.7 => habit,
            true => likely(label.into(), &mut random),
        };
        confusion[usize::from(label) * CLASSES.len() + taken] += 1;
        predicted.push(taken as u16);
        confidence.push((0.4 + 0.6 * random.share()) as f32);
    }
    Validation { labels, predicted, confidence, confusion }
}

fn material(study: &Study, spec: &str) -> Material {
    let curve = |subject: &Subject, seed: u64| Curve {
        position: subject.position,
        seed,
        epochs: epochs(accuracy(&subject.configuration, seed), subject.position, seed),
    };
    let seeds = &study.spec.seeds;
    let curves = study.subjects.iter().flat_map(|subject| seeds.iter().map(move |seed| curve(subject, *seed)));
    Material {
        sweep: 12,
        name: study.spec.name.clone(),
        state: "succeeded".to_owned(),
        submitter: "marcos".to_owned(),
        submitted_ms: 1_795_600_000_000,
        ended_ms: Some(1_795_615_380_000),
        made_ms: 1_795_615_440_000,
        made_by: "Sweep 0.1.0".to_owned(),
        spec: spec.trim_start().to_owned(),
        overrides: Vec::new(),
        spec_digest: study.spec.digest().expect("a digest").to_string(),
        curves: curves.collect(),
        sheet: Some(sheet()),
        left_out: Vec::new(),
    }
}

/// Drawings in place of photographs: a sky, a ground, and an object between them.
fn sheet() -> Sheet {
    const SIDE: usize = 32;
    const COLUMNS: usize = 32;
    let rows = IMAGES.div_ceil(COLUMNS);
    let (width, height) = (COLUMNS * SIDE, rows * SIDE);
    let mut pixels = vec![0_u8; width * height * 3];
    for image in 0..IMAGES {
        let mut random = Random::of(&[image as u64, 23]);
        let class = image * CLASSES.len() / IMAGES;
        let sky = [150 + (random.next() % 60) as u8, 190, 230];
        let ground = [
            [194, 178, 128],
            [34, 90, 40],
            [90, 90, 95],
            [120, 80, 60],
            [110, 100, 90],
            [120, 160, 70],
            [80, 80, 85],
            [140, 140, 150],
        ][class];
        let horizon = 8 + (random.next() % 16) as usize;
        let (left, top) = ((random.next() % 20) as usize, (random.next() % 20) as usize);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let inside = (left..left + 10).contains(&x) && (top..top + 12).contains(&y) && !class.is_multiple_of(3);
                let colour = match (inside, y < horizon) {
                    (true, _) => [60 + (class * 20) as u8, 60, 70],
                    (false, true) => sky,
                    (false, false) => ground,
                };
                let at = ((image / COLUMNS * SIDE + y) * width + image % COLUMNS * SIDE + x) * 3;
                pixels[at..at + 3].copy_from_slice(&colour);
            }
        }
    }
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().expect("a header").write_image_data(&pixels).expect("pixels");
    Sheet { png, columns: COLUMNS as u32 }
}
