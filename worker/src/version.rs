//! The versions of the coordinator that are compatible with this worker.

/// Whether a worker of version `ours` is compatible with a coordinator of version `theirs`: within one major version,
/// because the messages of `sweep.v1` only grow.
///
/// # Errors
/// They are incompatible; the message says why.
pub(crate) fn check(ours: &str, theirs: &str) -> Result<(), String> {
    match (major(ours), major(theirs)) {
        (Some(our_major), Some(their_major)) if our_major == their_major => Ok(()),
        (Some(our_major), Some(_)) => Err(format!(
            "the coordinator has version {theirs}, this worker {ours}: use a coordinator of major version {our_major}, or \
             a worker of the coordinator's major version"
        )),
        // Development builds may have other version names; their messages decide.
        (_, None) | (None, _) => Ok(()),
    }
}

fn major(version: &str) -> Option<u64> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_versions_talk_and_major_ones_refuse_with_a_sentence() {
        for (ours, theirs) in [("0.1.0", "0.1.0"), ("0.1.0", "0.2.7"), ("1.4.0", "1.0.0-rc.1"), ("0.1.0", "test")] {
            assert_eq!(check(ours, theirs), Ok(()));
        }
        let sentence = check("0.1.0", "1.0.0").unwrap_err();
        assert!(sentence.contains("1.0.0") && sentence.contains("0.1.0"), "{sentence}");
        assert!(check("2.0.0", "1.9.9").is_err());
    }
}
