//! Compiles the protos with protox: no protoc is needed.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "sweep/v1/common.proto",
        "sweep/v1/coordinator.proto",
        "sweep/v1/worker.proto",
        "sweep/v1/sweep.proto",
        "sweep/v1/access.proto",
        "sweep/v1/store.proto",
    ];
    println!("cargo::rerun-if-changed=sweep");
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
