//! CUDA devices: `present` for builds with the cargo feature `cuda`, `absent` for others.
//!
//! Without a driver Burn's first CUDA call panics, and without NVRTC and the CUDA headers its first kernel does. So
//! `probe` first looks for these libraries in the same places as Burn.

#[cfg(not(feature = "cuda"))]
mod absent;
#[cfg(feature = "cuda")]
mod present;
#[cfg(feature = "cuda")]
mod probe;

#[cfg(not(feature = "cuda"))]
pub(super) use absent::{list, open, peak_memory_bytes};
#[cfg(feature = "cuda")]
pub(super) use present::{list, open, peak_memory_bytes};

/// The first word that looks like a version: digits with a dot in between. `/sys` contains it alone, `/proc` in a
/// sentence.
#[cfg(any(feature = "cuda", test))]
fn driver_version(text: &str) -> Option<&str> {
    let is_version = |word: &&str| {
        word.contains('.') && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    text.split_whitespace().find(is_version)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_version_is_found_alone_and_in_a_sentence() {
        let sentence = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build  (x@y)";
        assert_eq!(super::driver_version(sentence), Some("570.133.20"));
        assert_eq!(super::driver_version("550.54.15\n"), Some("550.54.15"));
        assert_eq!(super::driver_version("none. at . all"), None);
    }
}
