//! A configuration: one network, as a complete set of levels. Each family defines its factors and their defaults.

use serde::{Deserialize, Serialize};

/// One network, fully described. Its factors are the fields of its family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case", deny_unknown_fields)]
pub enum Configuration {
    /// The study's own family.
    Cnn(Cnn),
    /// The literature's model to compare with.
    Vgg19(Vgg19),
}

/// `conv_layers` blocks of [convolution, same padding → batch normalisation → ReLU → 2×2 max-pooling], global average
/// pooling, `dense_layers` of [dense → batch normalisation → ReLU → dropout], dense to the classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cnn {
    /// Convolution blocks.
    pub conv_layers: u32,
    /// Output channels of every convolution.
    pub filters: u32,
    /// Height and width of every convolution, in pixels.
    pub kernel_size: u32,
    /// Dense layers before the one to the classes.
    pub dense_layers: u32,
    /// Outputs of every such dense layer.
    pub dense_units: u32,
    /// Batch normalisation after every convolution and after every such dense layer.
    pub batch_norm: bool,
    /// 2×2 max-pooling with stride 2 at the end of every block.
    pub max_pool: bool,
    /// Probability that an output of a dense layer is dropped in training; 0 leaves the layer out.
    pub dropout: f64,
}

impl Default for Cnn {
    fn default() -> Self {
        Self {
            conv_layers: 1,
            filters: 64,
            kernel_size: 5,
            dense_layers: 1,
            dense_units: 1024,
            batch_norm: false,
            max_pool: false,
            dropout: 0.0,
        }
    }
}

/// VGG19 (Simonyan and Zisserman, 2014): sixteen 3×3 convolutions in five pooled blocks (64, 128, 256, 512, 512 filters;
/// 20,024,384 parameters on three channels), flattened, then `dense_layers` of [dense → batch normalisation → ReLU →
/// dropout] and dense to the classes. The reference does not describe its head: this default, on 64×64 images, has
/// 24,229,960 parameters in all for eight classes, where its printed ratio allows 24.2 to 24.3 million.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vgg19 {
    /// Dense layers before the one to the classes.
    pub dense_layers: u32,
    /// Outputs of every such dense layer.
    pub dense_units: u32,
    /// Batch normalisation after every convolution and after every such dense layer.
    pub batch_norm: bool,
    /// Probability that an output of a dense layer is dropped in training; 0 leaves the layer out.
    pub dropout: f64,
}

impl Default for Vgg19 {
    fn default() -> Self {
        Self { dense_layers: 3, dense_units: 1024, batch_norm: false, dropout: 0.0 }
    }
}

impl Vgg19 {
    /// Filters of each convolution, block by block; a 2×2 max-pooling ends every block.
    pub const BLOCKS: [&'static [u32]; 5] =
        [&[64, 64], &[128, 128], &[256, 256, 256, 256], &[512, 512, 512, 512], &[512, 512, 512, 512]];
    /// Height and width of every convolution, in pixels.
    pub const KERNEL_SIZE: u32 = 3;
}
