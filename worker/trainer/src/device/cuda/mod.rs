//! CUDA devices. `present` is the answer of a build with the cargo feature `cuda`, `absent` that of one without.
//!
//! Without a driver Burn's first CUDA call panics, and so does its first kernel without NVRTC and the CUDA headers.
//! `probe` therefore looks for what Burn is going to look for, in the places that Burn looks in, before Burn does.

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
