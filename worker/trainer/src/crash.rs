//! Panics below us. Burn panics where a device fails or memory ends; a trial that meets one has failed with a class and
//! a sentence, and the trainer is ready for the next. Nobody is shown a backtrace.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sweep_spec::FailureClass;

use crate::failure::{Failure, Stop};

/// More of a panic's message than this is not for people.
const MAX_SENTENCE: usize = 300;

/// From here on panics go to the log.
pub(crate) fn take_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(message = %message(panic.payload()), place, "a trial panicked");
    }));
}

/// What `work` gives, or the failure that a panic in it stands for.
pub(crate) fn catch<T>(work: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
    // Nothing that `work` can leave half-done outlives it: a trial's state is made and dropped inside.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(classify(&message(payload.as_ref())).into()))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}

/// The class of a panic. Its text is the only thing that the libraries give.
fn classify(message: &str) -> Failure {
    let text = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let (class, what) = if says(&[
        "out of memory",
        "out_of_memory",
        "outofmemory",
        "alloc_failed",
        "memory allocation",
        "capacity overflow",
    ]) {
        (FailureClass::OutOfMemory, "there was too little memory")
    } else if says(&[
        "illegal_address",
        "illegal address",
        "launch_failed",
        "device_lost",
        "device lost",
        "device is lost",
        "ecc_uncorrectable",
        "unspecified launch failure",
    ]) {
        (FailureClass::DeviceLost, "the device failed in the middle of the trial")
    } else if says(&["no_device", "nvrtc", "libcuda", "driver", "cuda_path", "cuda installation"]) {
        (FailureClass::DeviceUnavailable, "the device cannot be used")
    } else {
        (FailureClass::Trainer, "the trainer crashed")
    };
    let line: String = message.lines().next().unwrap_or_default().chars().take(MAX_SENTENCE).collect();
    Failure::new(class, format!("{what}: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_failure_of_its_class() {
        let cases = [
            ("CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\"", FailureClass::OutOfMemory),
            ("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS)", FailureClass::DeviceLost),
            ("Unable to dynamically load the \"nvrtc\" library", FailureClass::DeviceUnavailable),
            ("index out of bounds", FailureClass::Trainer),
        ];
        for (message, class) in cases {
            let Err(Stop::Failed(failure)) = catch::<()>(|| panic!("{message}\nsecond line")) else { panic!() };
            assert_eq!(failure.class, class, "{message}");
            assert!(!failure.reason.contains("second line"));
        }
    }

    #[test]
    fn work_that_ends_well_is_left_alone() {
        assert_eq!(catch(|| Ok(7)).unwrap(), 7);
        assert!(matches!(catch::<()>(|| Err(Stop::Left)), Err(Stop::Left)));
    }
}
