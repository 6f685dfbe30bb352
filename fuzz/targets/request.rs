#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Refused or not, it ends.
    let _ = sweep_coordinator::untrusted::request(bytes);
});
