//! Training works: on real photographs, in a few epochs, well above chance, and the better network is better.

use std::path::{Path, PathBuf};

use sweep_require::Part;
use sweep_spec::protocol::{Augment, BatchNormalization, Normalize, Optimizer};

use super::*;

/// The folder `shared/data/scenes` next to the checkout, if it exists.
fn scenes() -> Option<PathBuf> {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find_map(|folder| Some(folder.join("shared/data")).filter(|data| data.join("scenes/train").is_dir()))
}

/// Validation accuracy of the best epoch on the scenes at 32×32.
fn accuracy(cnn: &Cnn, root: &Path, cache: &Path) -> f64 {
    let source = Source::ImageFolder { path: "scenes".into(), test_split: None };
    let dataset = Dataset { source, image_size: 32, channels: 1, classes: Classes::Count(8), digest: None };
    let augment = Augment { horizontal_flip: true, shift: 0.0 };
    // With the default momentum the running statistics need some 500 steps; this is 236 steps.
    let batch_normalization = BatchNormalization { momentum: 0.9, ..BatchNormalization::default() };
    let optimizer = Optimizer::Adam { learning_rate: 0.002, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 };
    let normalize = Normalize::Standardize;
    let protocol = Protocol { epochs: 4, augment, batch_normalization, optimizer, normalize, ..Protocol::default() };
    let mut request = request(cnn, 0, protocol, dataset, cache);
    request.folders.data_root = root.to_string_lossy().into_owned();
    let (finished, log) = answer(&request).unwrap();
    assert_eq!(log.params, finished.provenance.params);
    for epoch in &log.epochs {
        eprintln!("{epoch:?}");
    }
    finished.best.unwrap().val_accuracy
}

/// Chance is the largest class: 123 of 807 test images, 0.152. Four standard deviations of a fraction of 807 images are
/// at most 0.07, so a network that learns nothing stays below 0.23 even in the best of four epochs; 0.40 is far
/// outside, and the pooled network below, which reaches about 0.58, has device. It has to beat the baseline by more than
/// the same 0.07.
#[test]
fn photographs_of_scenes_are_learnt() {
    let Some(root) = scenes() else {
        sweep_require::skip(Part::Photographs, "there is no shared/data/scenes beside the checkout");
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let baseline = Cnn { filters: 8, kernel_size: 3, dense_units: 32, ..Cnn::default() };
    let better = Cnn { conv_layers: 3, batch_norm: true, max_pool: true, filters: 16, ..baseline.clone() };
    let (baseline, better) = (accuracy(&baseline, &root, cache.path()), accuracy(&better, &root, cache.path()));
    eprintln!("baseline {baseline:.4}, batch normalisation and pooling {better:.4}");
    assert!(better > 0.40, "{better}");
    assert!(better > baseline + 0.07, "{better} {baseline}");
}
