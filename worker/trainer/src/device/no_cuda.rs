//! CUDA devices of a build without CUDA: there are none, and this says how to get them.

use sweep_spec::trainer::Device;

use super::{Room, unavailable};
use crate::failure::Failure;

const HOW: &str = "this build trains on the CPU only: for CUDA, build with `--features cuda`";

pub(super) fn open(number: u32) -> Result<Room, Failure> {
    Err(unavailable(format!("cuda:{number} is not available, {HOW}")))
}

pub(super) fn list() -> Result<Vec<Device>, Failure> {
    Err(unavailable(HOW))
}
