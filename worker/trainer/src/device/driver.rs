//! The NVIDIA driver's library, asked directly: how many devices there are and what they are.

#![expect(unsafe_code, reason = "a foreign library is loaded and called")]

use std::ffi::{CStr, c_char, c_int};

use libloading::Library;

use super::unavailable;
use crate::failure::Failure;

const DRIVERS: [&str; 2] = ["libcuda.so.1", "libcuda.so"];
const COMPILERS: [&str; 4] = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11"];
const NAME_BYTES: usize = 256;
/// Numbers of attributes in the driver's interface.
const CAPABILITY: [c_int; 2] = [75, 76];

/// The driver, ready to be asked.
#[derive(Debug)]
pub(super) struct Driver {
    library: Library,
    count: u32,
}

/// What the driver says of a device.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) memory_bytes: u64,
    pub(super) capability: (c_int, c_int),
}

impl Driver {
    /// # Errors
    /// There is no driver, or it does not start.
    pub(super) fn load() -> Result<Self, Failure> {
        let library = load(&DRIVERS)
            .ok_or_else(|| unavailable("there is no NVIDIA driver here: libcuda.so.1 cannot be loaded"))?;
        let mut driver = Self { library, count: 0 };
        // SAFETY: the types are those of the driver's interface, which has been stable since its first version.
        let status = unsafe { driver.function::<unsafe extern "C" fn(u32) -> c_int>("cuInit")?(0) };
        check("cuInit", status)?;
        let mut count: c_int = 0;
        // SAFETY: as above; the pointer is valid for the call.
        let status = unsafe {
            driver.function::<unsafe extern "C" fn(*mut c_int) -> c_int>("cuDeviceGetCount")?(&raw mut count)
        };
        check("cuDeviceGetCount", status)?;
        driver.count = u32::try_from(count).unwrap_or(0);
        Ok(driver)
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn device(&self, number: u32) -> Result<Found, Failure> {
        let mut device: c_int = 0;
        let mut name = [0 as c_char; NAME_BYTES];
        let mut memory: usize = 0;
        let mut capability = [0 as c_int; 2];
        // SAFETY: the types are those of the driver's interface; every pointer is valid for its call, and the name's
        // length is given with it.
        unsafe {
            let get = self.function::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>("cuDeviceGet")?;
            check("cuDeviceGet", get(&raw mut device, number as c_int))?;
            let get = self.function::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>("cuDeviceGetName")?;
            check("cuDeviceGetName", get(name.as_mut_ptr(), NAME_BYTES as c_int, device))?;
            let get = self.function::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>("cuDeviceTotalMem_v2")?;
            check("cuDeviceTotalMem", get(&raw mut memory, device))?;
            let get =
                self.function::<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int>("cuDeviceGetAttribute")?;
            for (place, attribute) in capability.iter_mut().zip(CAPABILITY) {
                check("cuDeviceGetAttribute", get(place, attribute, device))?;
            }
        }
        name[NAME_BYTES - 1] = 0;
        // SAFETY: the last byte is 0, as was just made sure.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        Ok(Found { name, memory_bytes: memory as u64, capability: (capability[0], capability[1]) })
    }

    /// # Safety
    /// `F` has to be the type of that function.
    unsafe fn function<F: Copy>(&self, name: &str) -> Result<F, Failure> {
        // SAFETY: the caller's.
        let symbol = unsafe { self.library.get::<F>(name.as_bytes()) };
        symbol.map(|symbol| *symbol).map_err(|error| unavailable("the NVIDIA driver is too old").because(error))
    }
}

/// Whether the run-time compiler can be loaded.
pub(super) fn has_compiler() -> bool {
    load(&COMPILERS).is_some()
}

fn load(names: &[&str]) -> Option<Library> {
    // SAFETY: these are the vendor's libraries, whose initialisers do nothing that depends on us.
    names.iter().find_map(|name| unsafe { Library::new(name) }.ok())
}

fn check(call: &str, status: c_int) -> Result<(), Failure> {
    match status {
        0 => Ok(()),
        100 => Err(unavailable("the NVIDIA driver is here, but it sees no device")),
        803 => Err(unavailable("the NVIDIA driver and its library have different versions: restart the machine")),
        _ => Err(unavailable(format!("the NVIDIA driver does not work: {call} gives error {status}"))),
    }
}
