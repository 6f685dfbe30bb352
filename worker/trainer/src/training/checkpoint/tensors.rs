//! The tensors of a network with their optimizer state, as little-endian floats in the network's own order: rank and
//! whether there are moments (1 byte each), sides (8 each), values (4 each), and with moments the steps (8), the first
//! and the second moments (4 each). Shapes are stored only for comparison: the number of values to read comes from the
//! existing network.

use std::io::{self, Read, Write};

use burn::DispatchDevice;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::Optimizer;
use burn::optim::record::AdaptorRecord;
use burn::tensor::{Tensor, TensorData};

use super::bytes::{Bytes, read_floats, write_floats};
use super::refusal::Refusal;
use crate::device::{Inner, Training};
use crate::network::Network;
use crate::training::adam::Moments;
use crate::training::state::{State, TrialOptimizer};

type Record = <TrialOptimizer as Optimizer<Network<Training>, Training>>::Record;

/// One tensor on the host.
#[derive(Debug)]
pub(super) struct HostTensor {
    values: Vec<f32>,
    moments: Option<HostMoments>,
}

#[derive(Debug)]
struct HostMoments {
    steps: u64,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The shape of each tensor of a network, in its order.
pub(super) fn shapes(network: &Network<Training>) -> Vec<Vec<usize>> {
    struct Shapes(Vec<Vec<usize>>);
    impl ModuleVisitor<Training> for Shapes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Training, D>>) {
            self.0.push(param.dims().to_vec());
        }
    }
    let mut shapes = Shapes(Vec::new());
    network.visit(&mut shapes);
    shapes.0
}

/// Writes all tensors, with at most one of them on the host.
pub(super) fn write(state: &State, out: &mut dyn Write) -> io::Result<()> {
    // A network in validation mode has the running statistics of the last step; one in training mode may be a step
    // behind.
    let mut writing = Writing { out, record: state.optimizer.to_record(), result: Ok(()) };
    state.validating().visit(&mut writing);
    writing.result
}

struct Writing<'a> {
    out: &'a mut dyn Write,
    record: Record,
    result: io::Result<()>,
}

impl ModuleVisitor<Inner> for Writing<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Inner, D>>) {
        if self.result.is_ok() {
            let moments = self.record.remove(&param.id).map(AdaptorRecord::into_state);
            self.result = write_one(param.val(), moments, self.out);
        }
    }
}

fn write_one<const D: usize>(
    tensor: Tensor<Inner, D>,
    moments: Option<Moments<Inner, D>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    out.write_all(&[D as u8, u8::from(moments.is_some())])?;
    for side in tensor.dims() {
        out.write_all(&(side as u64).to_le_bytes())?;
    }
    write_tensor(tensor, out)?;
    if let Some(moments) = moments {
        out.write_all(&moments.steps.to_le_bytes())?;
        write_tensor(moments.first, out)?;
        write_tensor(moments.second, out)?;
    }
    Ok(())
}

fn write_tensor<const D: usize>(tensor: Tensor<Inner, D>, out: &mut dyn Write) -> io::Result<()> {
    let data = tensor.into_data();
    let values = data.as_slice::<f32>().map_err(|error| io::Error::other(format!("{error:?}")))?;
    write_floats(values, out)
}

/// Reads a tensor for each of `shapes`.
pub(super) fn read(shapes: &[Vec<usize>], bytes: &mut Bytes<impl Read>) -> Result<Vec<HostTensor>, Refusal> {
    shapes.iter().map(|shape| read_one(shape, bytes)).collect()
}

fn read_one(shape: &[usize], bytes: &mut Bytes<impl Read>) -> Result<HostTensor, Refusal> {
    let [rank, has_moments] = bytes.array()?;
    if usize::from(rank) != shape.len() || has_moments > 1 {
        return Err(Refusal::Contents("it has the tensors of another network"));
    }
    for &side in shape {
        if bytes.u64()? != side as u64 {
            return Err(Refusal::Contents("it has the tensors of another network"));
        }
    }
    let count = shape.iter().product();
    let values = read_floats(count, bytes)?;
    let moments = if has_moments == 1 {
        let steps = bytes.u64()?;
        Some(HostMoments { steps, first: read_floats(count, bytes)?, second: read_floats(count, bytes)? })
    } else {
        None
    };
    Ok(HostTensor { values, moments })
}

/// Loads the tensors that `read` returned for the shapes of this network.
pub(super) fn restore(state: &mut State, tensors: Vec<HostTensor>, device: &DispatchDevice) {
    let mut loading = Loading { tensors: tensors.into_iter(), record: state.optimizer.to_record(), device };
    loading.record.clear();
    state.network = state.network.clone().map(&mut loading);
    state.optimizer = state.optimizer.clone().load_record(loading.record);
}

struct Loading<'a> {
    tensors: std::vec::IntoIter<HostTensor>,
    record: Record,
    device: &'a DispatchDevice,
}

impl ModuleMapper<Training> for Loading<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<Training, D>>) -> Param<Tensor<Training, D>> {
        let Some(tensor) = self.tensors.next() else { return param };
        let (id, old, mapper) = param.consume();
        let shape = old.dims();
        let data = |values| TensorData::new(values, shape);
        if let Some(HostMoments { steps, first, second }) = tensor.moments {
            let tensor = |values| Tensor::<Inner, D>::from_data(data(values), self.device);
            let moments = Moments { steps, first: tensor(first), second: tensor(second) };
            self.record.insert(id, AdaptorRecord::from_state(moments));
        }
        let tensor = Tensor::from_data(data(tensor.values), self.device).set_require_grad(old.is_require_grad());
        Param::from_mapped_value(id, tensor, mapper)
    }
}
