//! The messages and services of Sweep as `sweep/v1/*.proto` define them, generated. No logic enters here.

/// Package `sweep.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("sweep.v1");

    /// The compiled descriptors, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
