//! Whom a program trusts. Certificates: what is in one, whether it holds now, and why a program does not trust one. Files
//! (`private`): which of them other users could read, change or lock; and how a file is read that others may have written
//! (`bounded`), or is locked against other processes (`lock`). Coordinator, worker and `sweepctl` say the same sentences about them.
//!
//! What may not enter: connections, configuration, hints that name a flag of one program.

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
