//! Access control: roles, the permission of each call, and the known tokens. The decision is pure (`permissions.rs`,
//! `keyring.rs`) and is made in two places, one for each protocol: `grpc.rs` and `http.rs`.
//!
//! Code in this folder may not know the effect of a call. Handlers get only the [`Caller`].

pub mod cookie;
pub mod grpc;
pub mod http;
pub mod keyring;
pub(crate) mod login;
pub mod permissions;
pub mod refresh;
pub(crate) mod revocable_body;
pub mod secret;
pub(crate) mod sessions;
pub(crate) mod sign_in_links;

pub use keyring::{Caller, Keyring, Refusal};
pub use permissions::Permission;
pub use secret::Secret;
pub use sweep_store::{Role, SessionKey};
