//! Converts panics of libraries to failures. Burn panics when a device fails or memory runs out; such a trial fails
//! with a class and a reason, and the trainer can run the next one. Users see no backtrace.
//!
//! A CUDA device works on a thread of Burn, which catches and drops panics; the trial then panics later because an
//! answer is missing. So panics of all threads are collected for the duration of a trial.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use sweep_spec::FailureClass;

use crate::failure::{Failure, Stop};

/// The longest part of a panic's message that a reason quotes, in characters.
const MAX_SENTENCE: usize = 300;

/// Panics that are kept. The first ones show the cause, later ones its consequences.
const MAX_KEPT: usize = 16;

/// The panics of this trial, on any thread. The panic hook is global to the process, and so is this list.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Texts that indicate a class, the most specific class first: running out of memory causes other errors too. They are
/// printed by Burn, CubeCL, cudarc and the CUDA driver, and compared in lower case.
const PATTERNS: [(FailureClass, &str, &[&str]); 3] = [
    (
        FailureClass::OutOfMemory,
        "not enough memory",
        &[
            "out of memory",
            "out-of-memory",
            "out_of_memory",
            "outofmemory",
            "can't allocate buffer of size",
            "memory allocation",
            "alloc_failed",
            "capacity overflow",
        ],
    ),
    (
        FailureClass::DeviceLost,
        "the device failed during the trial",
        &[
            "cuda_error_illegal_",
            "cuda_error_misaligned_address",
            "cuda_error_invalid_address_space",
            "cuda_error_invalid_pc",
            "cuda_error_launch_failed",
            "cuda_error_launch_timeout",
            "cuda_error_hardware_stack_error",
            "cuda_error_ecc_uncorrectable",
            "cuda_error_nvlink_uncorrectable",
            "cuda_error_contained",
            "cuda_error_external_device",
            "cuda_error_context_is_destroyed",
            "cuda_error_deinitialized",
            "cuda_error_unknown",
            "device_lost",
            "device lost",
            "device is lost",
        ],
    ),
    (
        FailureClass::DeviceUnavailable,
        "the device cannot be used",
        &[
            "cuda_error_no_device",
            "cuda_error_invalid_device",
            "cuda_error_device_unavailable",
            "cuda_error_device_not_licensed",
            "cuda_error_not_initialized",
            "cuda_error_stub_library",
            "cuda_error_system_",
            "cuda_error_compat_not_supported",
            "cuda_error_mps_",
            "cuda_error_no_binary_for_gpu",
            "cuda_error_unsupported_ptx_version",
            "cuda_error_jit_compiler_not_found",
            "unable to dynamically load",
            "missing symbol",
            "could not open source file",
            "invalid value for --gpu-architecture",
            "cuda installation not found",
            "nvrtc_error",
        ],
    ),
];

/// From here on panics go to the log.
pub(crate) fn take_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = message(panic.payload());
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(text = message, place, "a trial panicked");
        keep(message);
    }));
}

/// Returns the result of `work`, or the failure that a panic in it indicates.
pub(crate) fn catch<T>(work: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
    kept().clear();
    // Nothing that `work` leaves half-done survives it: a trial's state is created and dropped inside.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let own = message(payload.as_ref());
        let earlier = kept();
        Err(classify(std::iter::once(own.as_str()).chain(earlier.iter().map(String::as_str))).into())
    })
}

fn kept() -> std::sync::MutexGuard<'static, Vec<String>> {
    // A panic while holding the lock happened between two complete messages.
    PANICS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(message: String) {
    let mut kept = kept();
    if kept.len() < MAX_KEPT {
        kept.push(message);
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}

/// Classifies panics, beginning with the one that ended the trial: its text is most specific, and if it is not, an
/// earlier one explains it. The libraries provide no information but text.
fn classify<'a>(messages: impl Iterator<Item = &'a str> + Clone) -> Failure {
    for message in messages.clone() {
        for (class, what, signs) in PATTERNS {
            let telling = |line: &&str| signs.iter().any(|sign| line.to_lowercase().contains(sign));
            if let Some(line) = message.lines().find(telling) {
                return Failure::new(class, format!("{what}: {}", sentence(line)));
            }
        }
    }
    let first = messages.into_iter().next().and_then(|message| message.lines().next()).unwrap_or_default();
    Failure::new(FailureClass::Trainer, format!("the trainer crashed: {}", sentence(first)))
}

/// A line of a panic without Rust's own framing.
fn sentence(line: &str) -> String {
    let told = line.split_once("on an `Err` value: ").map_or(line, |(_, told)| told);
    told.trim().chars().take(MAX_SENTENCE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(messages: &[&str]) -> Failure {
        classify(messages.iter().copied())
    }

    #[test]
    fn a_panic_becomes_a_failure_of_its_class() {
        let cases = [
            ("CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\"", FailureClass::OutOfMemory),
            ("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS)", FailureClass::DeviceLost),
            ("Unable to dynamically load the \"nvrtc\" shared library", FailureClass::DeviceUnavailable),
            ("index out of bounds", FailureClass::Trainer),
        ];
        for (message, class) in cases {
            let Err(Stop::Failed(failure)) = catch::<()>(|| panic!("{message}\nsecond line")) else { panic!() };
            assert_eq!(failure.class, class, "{message}");
            assert!(!failure.reason.contains("second line"));
        }
    }

    #[test]
    fn the_line_that_tells_is_the_one_that_is_told() {
        let unwrapped = "called `Result::unwrap()` on an `Err` value: ";
        let cases = [
            (
                format!("{unwrapped}can't allocate buffer of size: 34359738368\nBacktrace:\n  0: somewhere"),
                FailureClass::OutOfMemory,
                "not enough memory: can't allocate buffer of size: 34359738368",
            ),
            (
                "Error while reading data: use `try_into_data` instead to catch the error at runtime: An error \
                 happened during execution\nCaused by:\n  An unknown error happened during launch\nCaused by:\n  \
                 DriverError(CUDA_ERROR_LAUNCH_FAILED, \"unspecified launch failure\")\nBacktrace\n  0: somewhere"
                    .to_owned(),
                FailureClass::DeviceLost,
                "the device failed during the trial: DriverError(CUDA_ERROR_LAUNCH_FAILED, \"unspecified \
                 launch failure\")",
            ),
            (
                "[Compilation Error] \n    default_program(1): catastrophic error: could not open source file \
                 \"cuda/barrier\"\n[Source]"
                    .to_owned(),
                FailureClass::DeviceUnavailable,
                "the device cannot be used: default_program(1): catastrophic error: could not open source file \
                 \"cuda/barrier\"",
            ),
            (format!("{unwrapped}CallError"), FailureClass::Trainer, "the trainer crashed: CallError"),
        ];
        for (message, class, reason) in cases {
            let failure = classified(&[&message]);
            assert_eq!((failure.class, failure.reason.as_str()), (class, reason));
        }
    }

    #[test]
    fn a_panic_that_tells_nothing_is_explained_by_an_earlier_one_of_another_thread() {
        let failure = classified(&["CallError", "it broke", "CUDA_ERROR_ECC_UNCORRECTABLE", "CUDA_ERROR_NO_DEVICE"]);
        assert_eq!(failure.class, FailureClass::DeviceLost);
        assert!(failure.reason.ends_with("CUDA_ERROR_ECC_UNCORRECTABLE"), "{failure}");
        let own = classified(&["CUDA_ERROR_OUT_OF_MEMORY", "CUDA_ERROR_NO_DEVICE"]);
        assert_eq!(own.class, FailureClass::OutOfMemory);
        assert_eq!(classified(&["CallError", "it broke"]).reason, "the trainer crashed: CallError");
    }

    #[test]
    fn work_that_ends_well_is_left_alone() {
        assert_eq!(catch(|| Ok(7)).unwrap(), 7);
        assert!(matches!(catch::<()>(|| Err(Stop::Left)), Err(Stop::Left)));
    }
}
