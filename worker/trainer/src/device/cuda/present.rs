//! CUDA devices in a build with CUDA: probed and described before Burn uses them.

use burn::DispatchDevice;
use burn::backend::cuda::CudaDevice;
use cudarc::driver::DriverError;
use cudarc::driver::result::{device, init, mem_pool};
use cudarc::driver::sys::{CUdevice, CUdevice_attribute, CUmemPool_attribute, CUmemoryPool};
use sweep_spec::trainer::Device;

use super::probe::{Probe, among, refused};
use crate::device::{ComputeDevice, unavailable};
use crate::failure::Failure;

/// Opens the device with this number for a trial, and resets its peak of memory.
pub(in crate::device) fn open(number: u32) -> Result<ComputeDevice, Failure> {
    let probe = Probe::of_this_machine();
    among(number, count(&probe)?)?;
    probe.compiler()?;
    probe.headers()?;
    let graphics = Graphics::get(number).map_err(|error| silent(number, error))?;
    let (description, instruction_set) =
        graphics.describe().and_then(|name| Ok((name, graphics.instruction_set()?))).map_err(|e| silent(number, e))?;
    if let Err(error) = graphics.forget_peak_memory() {
        tracing::debug!(%error, "cannot reset the device's peak memory");
    }
    Ok(ComputeDevice {
        device: DispatchDevice::Cuda(CudaDevice::new(number as usize)),
        name: name(number),
        description,
        instruction_set,
        driver: driver(),
    })
}

/// The driver's version from its kernel module, in the places where modules report it.
fn driver() -> String {
    let module = std::fs::read_to_string("/sys/module/nvidia/version");
    let text = module.or_else(|_| std::fs::read_to_string("/proc/driver/nvidia/version"));
    let version = text.as_deref().ok().and_then(super::driver_version);
    version.map_or_else(|| "nvidia, version not told".to_owned(), |version| format!("nvidia {version}"))
}

/// The devices that trials can use.
pub(in crate::device) fn list() -> Result<Vec<Device>, Failure> {
    let probe = Probe::of_this_machine();
    let count = count(&probe)?;
    among(0, count)?;
    probe.compiler()?;
    probe.headers()?;
    (0..count).map(|number| one(number).map_err(|error| silent(number, error))).collect()
}

/// The most memory that this process has had on the device since it was opened.
pub(in crate::device) fn peak_memory_bytes(device: &DispatchDevice) -> Option<u64> {
    let DispatchDevice::Cuda(device) = device else { return None };
    let peak = Graphics::get(u32::try_from(device.index).ok()?).and_then(|graphics| graphics.peak_memory_bytes());
    // For a device without memory pools, or one that failed, the process's own peak is reported.
    peak.ok().filter(|bytes| *bytes > 0)
}

fn one(number: u32) -> Result<Device, DriverError> {
    let graphics = Graphics::get(number)?;
    Ok(Device { name: name(number), description: graphics.describe()?, memory_bytes: graphics.memory_bytes().ok() })
}

/// The number of devices of a working driver.
fn count(probe: &Probe) -> Result<u32, Failure> {
    probe.driver()?;
    // From here on the calls find a library. The text of an error would need the same driver, so only its code is used.
    let count = init().and_then(|()| device::get_count()).map_err(|error| refused(&code(error)))?;
    Ok(u32::try_from(count).unwrap_or(0))
}

fn name(number: u32) -> String {
    format!("cuda:{number}")
}

fn code(error: DriverError) -> String {
    format!("{:?}", error.0)
}

fn silent(number: u32, error: DriverError) -> Failure {
    unavailable(format!("the NVIDIA driver cannot use cuda:{number}: {}", code(error)))
}

/// A device of the driver, which has to be initialised before.
struct Graphics(CUdevice);

impl Graphics {
    fn get(number: u32) -> Result<Self, DriverError> {
        device::get(i32::try_from(number).unwrap_or(i32::MAX)).map(Self)
    }

    /// The model's name.
    fn describe(&self) -> Result<String, DriverError> {
        device::get_name(self.0)
    }

    /// For example `sm_90`.
    fn instruction_set(&self) -> Result<String, DriverError> {
        let major = self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        Ok(format!("sm_{major}{minor}"))
    }

    fn attribute(&self, attribute: CUdevice_attribute) -> Result<i32, DriverError> {
        #[expect(unsafe_code, reason = "the device comes from the driver, which is all that is asked for")]
        unsafe {
            device::get_attribute(self.0, attribute)
        }
    }

    fn memory_bytes(&self) -> Result<u64, DriverError> {
        #[expect(unsafe_code, reason = "the device comes from the driver, which is all that is asked for")]
        let bytes = unsafe { device::total_mem(self.0) }?;
        Ok(bytes as u64)
    }

    /// The memory pool that Burn uses on the device.
    fn pool(&self) -> Result<CUmemoryPool, DriverError> {
        #[expect(unsafe_code, reason = "the device comes from the driver, which is all that is asked for")]
        unsafe {
            device::get_default_mem_pool(self.0)
        }
    }

    fn peak_memory_bytes(&self) -> Result<u64, DriverError> {
        let pool = self.pool()?;
        let mut bytes = 0_u64;
        #[expect(unsafe_code, reason = "the pool is the device's own, and this attribute is a 64-bit number")]
        unsafe {
            let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH;
            mem_pool::get_attribute(pool, attribute, (&raw mut bytes).cast())?;
        }
        Ok(bytes)
    }

    fn forget_peak_memory(&self) -> Result<(), DriverError> {
        let pool = self.pool()?;
        // The driver accepts no other value: it resets the peak to the memory that is reserved now.
        let mut bytes = 0_u64;
        #[expect(unsafe_code, reason = "the pool is the device's own, and this attribute is a 64-bit number")]
        unsafe {
            let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH;
            mem_pool::set_attribute(pool, attribute, (&raw mut bytes).cast())
        }
    }
}
