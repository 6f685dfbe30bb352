//! CUDA devices. Burn panics at its first call where something is missing, so everything that it will need is looked for
//! before: the driver, a device, the run-time compiler, the headers. Each has its own sentence.

use std::path::PathBuf;

use burn::DispatchDevice;
use burn_cuda::CudaDevice;
use sweep_spec::trainer::Device;

use super::driver::{self, Driver};
use super::{Room, unavailable};
use crate::failure::Failure;

/// Where Burn looks for a CUDA installation that no variable names.
const PLACES: [(&str, &str); 3] =
    [("/usr/local/cuda", "/usr/local/cuda"), ("/opt/cuda", "/opt/cuda"), ("/usr/bin/nvcc", "/usr")];

pub(super) fn open(number: u32) -> Result<Room, Failure> {
    let driver = probe()?;
    if number >= driver.count() {
        let (name, count) = (format!("cuda:{number}"), driver.count());
        return Err(unavailable(format!("{name} is not available: the driver sees {count} devices, from cuda:0 on")));
    }
    check_compiler()?;
    let device = driver.device(number)?;
    Ok(Room {
        device: DispatchDevice::Cuda(CudaDevice { index: number as usize }),
        name: format!("cuda:{number}"),
        description: device.name,
        instruction_set: format!("compute capability {}.{}", device.capability.0, device.capability.1),
    })
}

pub(super) fn list() -> Result<Vec<Device>, Failure> {
    let driver = probe()?;
    check_compiler()?;
    let describe = |number| {
        let device = driver.device(number)?;
        Ok(Device { name: format!("cuda:{number}"), description: device.name, memory_bytes: Some(device.memory_bytes) })
    };
    (0..driver.count()).map(describe).collect()
}

fn probe() -> Result<Driver, Failure> {
    let driver = Driver::load()?;
    if driver.count() == 0 {
        return Err(unavailable("the NVIDIA driver is here, but it sees no device"));
    }
    Ok(driver)
}

/// What compiles kernels when they are first used.
fn check_compiler() -> Result<(), Failure> {
    if !driver::has_compiler() {
        return Err(unavailable(
            "the CUDA run-time compiler (libnvrtc) cannot be loaded: install it, or add its folder to LD_LIBRARY_PATH",
        ));
    }
    let installed = std::env::var_os("CUDA_PATH").map(PathBuf::from).or_else(|| {
        PLACES.into_iter().find(|(sign, _)| PathBuf::from(sign).exists()).map(|(_, place)| PathBuf::from(place))
    });
    let Some(folder) = installed.map(|folder| folder.join("include")) else {
        return Err(unavailable(
            "the CUDA headers are not found: set CUDA_PATH to a folder that holds include/cuda_runtime.h",
        ));
    };
    if !folder.join("cuda_runtime.h").is_file() {
        return Err(unavailable(format!(
            "the CUDA headers are not found: {} holds no cuda_runtime.h (CUDA_PATH names the folder above it)",
            folder.display()
        )));
    }
    Ok(())
}
