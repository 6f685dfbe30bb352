//! Compares our counts and ratios with the reference study (`reference.csv`: its printed tables, with parameter counts
//! recomputed from its formula).

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in its helpers too")]

use sweep_spec::count::{Counts, Input, Layer, LayerKind, ratio, walk};
use sweep_spec::levels::{Factor, Family};
use sweep_spec::{Cnn, Configuration, Vgg19};

const INPUT: Input = Input { image_size: 64, channels: 3, classes: 8 };

/// Training images of the reference's data set: every printed accuracy is a whole number of them.
const TRAINING_IMAGES: f64 = 1881.0;

struct Row {
    configuration: Configuration,
    params: u64,
    train_accuracy: String,
    ratio: String,
}

fn rows() -> Vec<Row> {
    let text = include_str!("reference.csv");
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let row = |line: &str| {
        let values: Vec<&str> = line.split(',').collect();
        let value = |name: &str| values[header.iter().position(|column| *column == name).unwrap()];
        let number = |factor: Factor| value(factor.name()).parse().unwrap();
        let switch = |factor: Factor| value(factor.name()).parse().unwrap();
        assert_eq!(value("family"), Family::Cnn.name());
        let configuration = Configuration::Cnn(Cnn {
            conv_layers: number(Factor::ConvLayers),
            filters: number(Factor::Filters),
            kernel_size: number(Factor::KernelSize),
            dense_layers: number(Factor::DenseLayers),
            dense_units: number(Factor::DenseUnits),
            batch_norm: switch(Factor::BatchNorm),
            max_pool: switch(Factor::MaxPool),
            dropout: value(Factor::Dropout.name()).parse().unwrap(),
        });
        Row {
            configuration,
            params: value("params").parse().unwrap(),
            train_accuracy: value("train_accuracy").to_owned(),
            ratio: value("ratio").to_owned(),
        }
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn all_nineteen_parameter_counts_are_exact() {
    let rows = rows();
    assert_eq!(rows.len(), 19);
    for row in rows {
        assert_eq!(Counts::of(&row.configuration, INPUT).unwrap().params, row.params, "{:?}", row.configuration);
    }
}

#[test]
fn all_nineteen_ratios_come_out_to_their_printed_digits() {
    for row in rows() {
        let printed: f64 = row.train_accuracy.parse().unwrap();
        let six_digits = row.train_accuracy.len() == "0.613503".len();
        let accuracy = if six_digits {
            f64::from(((printed * TRAINING_IMAGES).round() / TRAINING_IMAGES) as f32)
        } else {
            printed
        };
        let (digits, exponent) = row.ratio.split_once('e').unwrap();
        let decimals = digits.split_once('.').unwrap().1.len();
        let ours = format!("{:.decimals$e}", ratio(accuracy, row.params));
        let exponent: i32 = exponent.parse().unwrap();
        assert_eq!(ours, format!("{digits}e{exponent}"), "{:?}", row.configuration);
    }
}

#[test]
fn vgg19_has_its_base_and_its_total() {
    let vgg = Configuration::Vgg19(Vgg19::default());
    let mut base = 0;
    let mut flattened = 0;
    walk(&vgg, INPUT, |layer| {
        if layer.kind == LayerKind::Convolution {
            base += layer.params;
        }
        if layer.kind == LayerKind::Flatten {
            flattened = layer.channels;
        }
    })
    .unwrap();
    assert_eq!(base, 20_024_384);
    assert_eq!(flattened, 2 * 2 * 512);
    let total = Counts::of(&vgg, INPUT).unwrap().params;
    assert_eq!(total, 24_229_960);
    assert!(total.abs_diff(24_200_000) < 242_000);
    // The reference prints 3.92e-09 for a training accuracy of 0.952.
    assert!((3.915e-9..3.945e-9).contains(&ratio(0.952, total)));
}

fn layers(configuration: &Configuration, input: Input) -> Vec<Layer> {
    let mut layers = Vec::new();
    walk(configuration, input, |layer| layers.push(*layer)).unwrap();
    layers
}

#[test]
fn the_walk_shows_every_layer_in_order_with_its_shape() {
    let cnn = Cnn { conv_layers: 2, filters: 4, kernel_size: 3, dense_units: 5, ..Cnn::default() };
    let cnn = Configuration::Cnn(Cnn { batch_norm: true, max_pool: true, dropout: 0.5, ..cnn });
    let input = Input { image_size: 7, channels: 1, classes: 2 };
    let shown: Vec<_> = layers(&cnn, input).iter().map(|layer| (layer.kind, layer.size, layer.channels)).collect();
    use LayerKind::{BatchNorm, Convolution, Dense, Dropout, GlobalAveragePool, MaxPool, Relu};
    let block = |size: u32| [(Convolution, size, 4), (BatchNorm, size, 4), (Relu, size, 4), (MaxPool, size / 2, 4)];
    let head =
        [(GlobalAveragePool, 1, 4), (Dense, 1, 5), (BatchNorm, 1, 5), (Relu, 1, 5), (Dropout, 1, 5), (Dense, 1, 2)];
    let expected: Vec<_> = block(7).into_iter().chain(block(3)).chain(head).collect();
    assert_eq!(shown, expected);
}

#[test]
fn flops_are_two_for_each_multiply_add() {
    let cnn = Configuration::Cnn(Cnn { filters: 4, kernel_size: 3, dense_units: 5, ..Cnn::default() });
    let input = Input { image_size: 8, channels: 3, classes: 2 };
    let convolution = 2 * (8 * 8) * (3 * 3 * 3) * 4;
    let dense = 2 * (4 * 5 + 5 * 2);
    assert_eq!(Counts::of(&cnn, input).unwrap().flops_per_image, convolution + dense);
}

#[test]
fn pooling_to_nothing_is_an_error_that_says_where() {
    let cnn = Configuration::Cnn(Cnn { conv_layers: 8, max_pool: true, ..Cnn::default() });
    let shrunk = Counts::of(&cnn, INPUT).unwrap_err();
    assert_eq!((shrunk.image_size, shrunk.pooling, shrunk.poolings), (64, 7, 8));
    let vgg = Configuration::Vgg19(Vgg19::default());
    assert!(Counts::of(&vgg, Input { image_size: 31, ..INPUT }).is_err());
    assert!(Counts::of(&vgg, Input { image_size: 32, ..INPUT }).is_ok());
}

#[test]
fn memory_grows_with_the_batch_and_the_network_and_never_overflows() {
    let small = Counts::of(&Configuration::Cnn(Cnn::default()), INPUT).unwrap();
    let large = Counts::of(&Configuration::Cnn(Cnn { filters: 256, ..Cnn::default() }), INPUT).unwrap();
    assert!(small.training_memory_bytes(64) > small.training_memory_bytes(32));
    assert!(large.training_memory_bytes(32) > small.training_memory_bytes(32));
    // By hand for the first model: every convolution and rectifier output of a batch of 32 is 32 × 64 × 64 × 64 numbers.
    let outputs = 32 * 64 * 64 * 64 * 4;
    let predicted = small.training_memory_bytes(32);
    assert!((2 * outputs..8 * outputs + 256 * 1024 * 1024).contains(&predicted), "{predicted}");
    let most = Cnn { conv_layers: 64, filters: u32::MAX, kernel_size: u32::MAX, ..Cnn::default() };
    let most = Counts::of(&Configuration::Cnn(most), Input { image_size: u32::MAX, ..INPUT }).unwrap();
    assert_eq!((most.params, most.flops_per_image), (u64::MAX, u64::MAX));
    assert!(most.training_memory_bytes(u32::MAX) >= u64::MAX / 4);
}
