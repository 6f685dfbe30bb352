//! Devices on which a trial trains: `auto`, `cpu` or `cuda:N`. A device is opened once, by name, and passed on; this
//! crate never uses Burn's default device or compares two devices.
//!
//! Networks train on `Training` and are validated on `Inner`, two types over one device: the compiler then rejects
//! operations on tensors of both, which Burn's own autodiff device would only detect by a panic.

mod cpu;
mod cuda;
pub(crate) mod kernel_cache;

use burn::backend::Autodiff;
use burn::{Dispatch, DispatchDevice};
use sweep_spec::FailureClass;
use sweep_spec::trainer::{Device, Devices};

use crate::failure::Failure;

/// The backend of validation; its device is chosen at run time.
pub(crate) type Inner = Dispatch;

/// The backend of training.
pub(crate) type Training = Autodiff<Dispatch>;

/// A device that trials can train on.
#[derive(Debug, Clone)]
pub(crate) struct ComputeDevice {
    device: DispatchDevice,
    /// As in the protocol: `cpu`, `cuda:0`.
    pub(crate) name: String,
    /// The model's name, for people.
    pub(crate) description: String,
    /// Results are bit-identical only within one instruction set.
    pub(crate) instruction_set: String,
    /// The driver and its version; `none` for the CPU.
    pub(crate) driver: String,
}

impl ComputeDevice {
    /// Opens the device with this name.
    ///
    /// # Errors
    /// `DeviceUnavailable` if this machine does not have it, `Spec` if the name is invalid.
    pub(crate) fn open(name: &str) -> Result<Self, Failure> {
        match name {
            "cpu" => Ok(Self::cpu()),
            "auto" => Ok(cuda::open(0).unwrap_or_else(|failure| {
                // If CUDA was not requested, its absence is not worth a message.
                if cfg!(feature = "cuda") {
                    tracing::info!(reason = %failure, "no cuda device, training on the cpu");
                } else {
                    tracing::debug!(reason = %failure, "no cuda device, training on the cpu");
                }
                Self::cpu()
            })),
            _ => match name.strip_prefix("cuda:").and_then(|number| number.parse().ok()) {
                Some(number) => cuda::open(number),
                None => Err(Failure::spec(format!("unknown device {name:?}: expected auto, cpu or cuda:N"))),
            },
        }
    }

    /// The CPU, with one thread.
    pub(crate) fn cpu() -> Self {
        Self {
            device: DispatchDevice::Flex(burn::backend::flex::FlexDevice),
            name: "cpu".to_owned(),
            description: cpu::model_name(),
            instruction_set: cpu::instruction_set(),
            driver: "none".to_owned(),
        }
    }

    /// The device as Burn's type.
    pub(crate) fn burn(&self) -> &DispatchDevice {
        &self.device
    }

    /// The most device memory that this process has had since the device was opened; `None` for the CPU.
    pub(crate) fn peak_memory_bytes(&self) -> Option<u64> {
        cuda::peak_memory_bytes(&self.device)
    }
}

/// The devices of this machine.
pub(crate) fn list() -> Devices {
    let cpu = ComputeDevice::cpu();
    let mut devices = vec![Device { name: cpu.name, description: cpu.description, memory_bytes: cpu::memory_bytes() }];
    let cuda_unavailable = match cuda::list() {
        Ok(found) => {
            devices.extend(found);
            None
        }
        Err(failure) => Some(failure.reason),
    };
    Devices { devices, cuda_unavailable }
}

fn unavailable(reason: impl Into<String>) -> Failure {
    Failure::new(FailureClass::DeviceUnavailable, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        let devices = list();
        assert_eq!(devices.devices[0].name, "cpu");
        assert!(ComputeDevice::open("auto").is_ok());
        assert_eq!(ComputeDevice::open("cpu").unwrap().name, "cpu");
    }

    #[test]
    fn a_name_without_meaning_is_the_specs_fault() {
        for name in ["", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:99999999999999999999"] {
            assert_eq!(ComputeDevice::open(name).unwrap_err().class, FailureClass::Spec, "{name}");
        }
    }

    #[test]
    fn a_cuda_device_that_is_not_there_is_an_answer() {
        let failure = ComputeDevice::open("cuda:4000").unwrap_err();
        assert_eq!(failure.class, FailureClass::DeviceUnavailable);
        assert!(!failure.reason.is_empty());
    }
}
