//! Keeps other processes of the same user, trainers above all, from looking into this one: its environment and its memory
//! hold the token that it shows, and credentials of the checkpoint store.

/// Keeps processes without the rights of root out of this one's environment, memory and open files, as
/// `/proc/PID/environ`, `/proc/PID/mem`, `/proc/PID/fd` and ptrace would show them. There will be no core dump either.
///
/// # Errors
/// The system refuses it.
#[cfg(target_os = "linux")]
pub(crate) fn forbid() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Other systems have no such switch.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub(crate) fn forbid() -> std::io::Result<()> {
    Ok(())
}

/// Whether processes of this user have rights with which they can look in all the same, as root's have outside of containers.
#[cfg(target_os = "linux")]
pub(crate) fn is_open_to_children() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    let enough = CapabilitySet::SYS_PTRACE | CapabilitySet::SYS_ADMIN | CapabilitySet::PERFMON;
    capabilities(None).is_ok_and(|own| own.permitted.intersects(enough))
}

/// Other systems have no such rights.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_open_to_children() -> bool {
    false
}
