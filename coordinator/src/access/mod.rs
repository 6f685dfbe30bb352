//! Who may do what: roles, what each call needs, and the tokens that are known. The decision is pure (`need.rs`,
//! `keyring.rs`) and is asked for in two places, one for each door: `grpc.rs` and `http.rs`.
//!
//! What may not enter: what a call does. Handlers are told who calls ([`Caller`]) and nothing else.

pub mod cookie;
pub(crate) mod ending;
pub mod grpc;
pub mod http;
pub mod keyring;
pub(crate) mod login;
pub mod need;
pub(crate) mod opening;
pub mod refresh;
pub mod secret;
pub(crate) mod sessions;

pub use keyring::{Caller, Keyring, Refusal};
pub use need::Need;
pub use secret::Secret;
pub use sweep_store::{Role, SessionKey};
