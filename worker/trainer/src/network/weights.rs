//! A network's weights as a safetensors file: names after the layers, shapes as in PyTorch. `PROTOCOL.md` documents
//! names and layout, so a change here is a change of the format.

use std::borrow::Cow;
use std::collections::HashMap;

use burn::nn::{BatchNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use safetensors::tensor::{Dtype, SafeTensorError, View};

use super::Network;

/// The metadata of the file. One key only: the crate writes several in a random order, and equal weights have to give
/// equal bytes.
const ABOUT: (&str, &str) = (
    "layout",
    "float32, row-major; convN.weight is (outputs, inputs, rows, columns), denseN.weight and output.weight are (outputs, \
     inputs); the input of the first dense layer is (channels, rows, columns) flattened in this order, or the mean of each \
     channel",
);

/// One tensor on the host.
#[derive(Debug, PartialEq)]
pub(crate) struct Named {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Named {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Why weights cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The device returned something other than 32-bit floats.
    #[error("the tensor {name} is not float32: {what}")]
    Values { name: String, what: String },
    /// The crate rejected them.
    #[error(transparent)]
    Format(#[from] SafeTensorError),
}

/// Whether these bytes are a complete safetensors file, with any content.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    safetensors::SafeTensors::deserialize(bytes).is_ok()
}

/// The file. Equal weights give equal bytes.
pub(crate) fn file<B: Backend>(network: &Network<B>) -> Result<Vec<u8>, Error> {
    let tensors = named(network)?;
    let about = HashMap::from([(ABOUT.0.to_owned(), ABOUT.1.to_owned())]);
    Ok(safetensors::serialize(tensors.iter().map(|(name, tensor)| (name, tensor)), Some(about))?)
}

/// Every tensor with its name, in the network's order.
fn named<B: Backend>(network: &Network<B>) -> Result<Vec<(String, Named)>, Error> {
    let mut all = Vec::new();
    // Normalisations are numbered through the network, after convolutions first and then after dense layers.
    let mut norms = 0;
    for (index, block) in network.blocks.iter().enumerate() {
        let name = format!("conv{}", index + 1);
        put(&mut all, format!("{name}.weight"), block.convolution.weight.val())?;
        if let Some(bias) = &block.convolution.bias {
            put(&mut all, format!("{name}.bias"), bias.val())?;
        }
        put_norm(&mut all, &mut norms, block.norm.as_ref())?;
    }
    for (index, layer) in network.dense.iter().enumerate() {
        put_linear(&mut all, &format!("dense{}", index + 1), &layer.linear)?;
        put_norm(&mut all, &mut norms, layer.norm.as_ref())?;
    }
    put_linear(&mut all, "output", &network.output)?;
    Ok(all)
}

fn put_linear<B: Backend>(all: &mut Vec<(String, Named)>, name: &str, linear: &Linear<B>) -> Result<(), Error> {
    // Burn has (inputs, outputs).
    put(all, format!("{name}.weight"), linear.weight.val().transpose())?;
    if let Some(bias) = &linear.bias {
        put(all, format!("{name}.bias"), bias.val())?;
    }
    Ok(())
}

fn put_norm<B: Backend>(
    all: &mut Vec<(String, Named)>,
    norms: &mut usize,
    norm: Option<&BatchNorm<B>>,
) -> Result<(), Error> {
    let Some(norm) = norm else { return Ok(()) };
    *norms += 1;
    let name = format!("batch_norm{norms}");
    put(all, format!("{name}.weight"), norm.gamma.val())?;
    put(all, format!("{name}.bias"), norm.beta.val())?;
    put(all, format!("{name}.running_mean"), norm.running_mean.value_sync())?;
    put(all, format!("{name}.running_var"), norm.running_var.value_sync())
}

fn put<B: Backend, const D: usize>(
    all: &mut Vec<(String, Named)>,
    name: String,
    tensor: Tensor<B, D>,
) -> Result<(), Error> {
    let shape = tensor.dims().to_vec();
    let data = tensor.into_data();
    let values = data.as_slice::<f32>();
    let values = values.map_err(|error| Error::Values { name: name.clone(), what: format!("{error:?}") })?;
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    all.push((name, Named { shape, bytes }));
    Ok(())
}
