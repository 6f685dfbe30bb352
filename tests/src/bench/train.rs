//! How many images a second the reference's networks train on one thread, and how much of that time is not forward,
//! backward or optimizer.

use sweep_spec::{Cnn, Configuration};
use sweep_trainer::bench;

use super::Error;
use super::machine;

#[derive(Debug, Clone, clap::Args)]
pub struct Train {
    /// Heights and widths of the images, in pixels.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 64])]
    pub sizes: Vec<u32>,
    /// Images per step.
    #[arg(long, default_value_t = 32)]
    pub batch_size: u32,
    /// Steps of each measurement; a first one, of a single step, is thrown away.
    #[arg(long, default_value_t = 6)]
    pub steps: u32,
    /// Only networks whose name contains this text.
    #[arg(long, default_value = "")]
    pub only: String,
}

/// Runs it and returns the figures.
///
/// # Errors
/// A network cannot be trained here.
pub fn train(options: Train) -> Result<serde_json::Value, Error> {
    let load_before = machine::load();
    let cache = tempfile::tempdir()?;
    let mut rows = Vec::new();
    for (name, network) in networks().into_iter().filter(|(name, _)| name.contains(&options.only)) {
        for size in &options.sizes {
            let measure = |steps| bench::train(&network, *size, options.batch_size, steps, cache.path());
            measure(1)?;
            let measured = measure(options.steps)?;
            rows.push(serde_json::json!({
                "network": name,
                "image_size": size,
                "params": measured.params,
                "images_per_second": measured.images_per_second,
                "share_outside": measured.phases.share_outside(),
            }));
        }
    }
    Ok(serde_json::json!({
        "bench": "train",
        "batch_size": options.batch_size,
        "steps": options.steps,
        "threads": 1,
        "networks": rows,
        "cores": machine::cores(),
        "load_before": load_before,
    }))
}

/// The reference's first network, its deeper one without and with pooling, and the widest with everything on.
fn networks() -> Vec<(&'static str, Configuration)> {
    let deep = Cnn { conv_layers: 4, ..Cnn::default() };
    let pooled = Cnn { max_pool: true, ..deep.clone() };
    let wide = Cnn { filters: 256, dense_layers: 2, batch_norm: true, ..pooled.clone() };
    [("1x64", Cnn::default()), ("4x64", deep), ("4x64 pooled", pooled), ("4x256 pooled, batch-norm", wide)]
        .map(|(name, cnn)| (name, Configuration::Cnn(cnn)))
        .to_vec()
}
