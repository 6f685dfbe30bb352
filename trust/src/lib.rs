//! Trust in certificates and files. `certificate` reads the facts of a certificate and `distrust` explains why one is
//! not trusted. `private` finds files that other users can read, change or lock. `bounded` reads files that others may
//! have written, and `lock` locks files against other processes. Coordinator, worker and `sweepctl` share these
//! sentences.
//!
//! This crate must not use connections or configuration, or name a flag of one program.

pub mod bounded;
mod certificate;
mod distrust;
pub mod lock;
pub mod private;
mod verifier;

pub use certificate::{Certificate, Damaged, Validity, shown};
pub use distrust::{Distrust, Reason, find, refused};
pub use tokio_rustls::rustls::client::danger::ServerCertVerifier;
pub use verifier::{Error, Roots, verifier};
