//! CUDA devices in a build without CUDA: none, with an error that explains how to build with CUDA.

use burn::DispatchDevice;
use sweep_spec::trainer::Device;

use crate::device::{ComputeDevice, unavailable};
use crate::failure::Failure;

const HOW: &str = "this build trains on the CPU only: for CUDA, build with `--features cuda`";

pub(in crate::device) fn open(number: u32) -> Result<ComputeDevice, Failure> {
    Err(unavailable(format!("cuda:{number} is not available, {HOW}")))
}

pub(in crate::device) fn list() -> Result<Vec<Device>, Failure> {
    Err(unavailable(HOW))
}

pub(in crate::device) fn peak_memory_bytes(_: &DispatchDevice) -> Option<u64> {
    None
}
