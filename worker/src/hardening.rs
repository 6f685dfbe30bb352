//! Prevents other processes of the same user, above all trainers, from reading this process: its environment and memory
//! contain its token and credentials of the checkpoint store.

/// Denies processes without root's capabilities access to this process's environment, memory and open files through
/// `/proc/PID/environ`, `/proc/PID/mem`, `/proc/PID/fd` and ptrace. Also disables core dumps.
///
/// # Errors
/// The system refuses it.
#[cfg(target_os = "linux")]
pub(crate) fn forbid_inspection() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Other systems have no such switch.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub(crate) fn forbid_inspection() -> std::io::Result<()> {
    Ok(())
}

/// Whether processes of this user have capabilities that bypass it, as root's have outside of containers.
#[cfg(target_os = "linux")]
pub(crate) fn is_open_to_children() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    let enough = CapabilitySet::SYS_PTRACE | CapabilitySet::SYS_ADMIN | CapabilitySet::PERFMON;
    capabilities(None).is_ok_and(|own| own.permitted.intersects(enough))
}

/// Other systems have no such capabilities.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_open_to_children() -> bool {
    false
}
