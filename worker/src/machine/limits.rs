//! The limits of control groups on this process: the smallest one from its group up to the mount point of the
//! hierarchy, for version 1, version 2, and both combined. All paths are below a root, so that tests can build trees;
//! unreadable or invalid files limit nothing.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The limits of this process; `None` for unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cores: Option<usize>,
}

/// Version 1 writes "no limit" as the largest number of whole pages; values from this size on are no limit.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// Reads the limits of the process in `root`/proc/self.
pub(crate) fn read(root: &Path) -> Limits {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::of).collect();
    let mut limits = Limits::default();
    for (controllers, group) in groups.lines().filter_map(membership) {
        for mount in mounts.iter().filter(|mount| mount.has_controllers(controllers)) {
            for folder in mount.way_up(group) {
                let folder = root.join(folder.strip_prefix("/").unwrap_or(&folder));
                limits.narrow(&folder, controllers);
            }
        }
    }
    limits
}

impl Limits {
    /// Applies the limits in one folder of a hierarchy.
    fn narrow(&mut self, folder: &Path, controllers: &str) {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let least = |one: Option<u64>, other: Option<u64>| [one, other].into_iter().flatten().min();
        let handles = |name: &str| controllers.split(',').any(|controller| controller == name);
        let mut cores = Vec::new();
        if controllers.is_empty() {
            for name in ["memory.max", "memory.high"] {
                self.memory_bytes = least(self.memory_bytes, bytes(&text(name)));
            }
            cores.extend(text("cpu.max").split_once(' ').and_then(|(quota, period)| share(quota, period)));
            cores.extend(count(&text("cpuset.cpus.effective")));
        }
        if handles("memory") {
            self.memory_bytes = least(self.memory_bytes, bytes(&text("memory.limit_in_bytes")));
        }
        if handles("cpu") {
            cores.extend(share(&text("cpu.cfs_quota_us"), &text("cpu.cfs_period_us")));
        }
        if handles("cpuset") {
            cores.extend(count(&text("cpuset.cpus")));
        }
        self.cores = self.cores.into_iter().chain(cores).min();
    }
}

/// A hierarchy and its mount point.
struct Mount {
    /// The group at the mount point.
    root: PathBuf,
    point: PathBuf,
    /// The controllers of version 1; `None` for version 2.
    controllers: Option<String>,
}

impl Mount {
    /// Parses a line of `/proc/self/mountinfo`: number, parent, device, root, point, options, tags, `-`, kind, source,
    /// options.
    fn of(line: &str) -> Option<Self> {
        let (place, what) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (unescaped(place.next()?), unescaped(place.next()?));
        let mut what = what.split(' ');
        let controllers = match what.next()? {
            "cgroup2" => None,
            "cgroup" => Some(what.nth(1)?.to_owned()),
            _ => return None,
        };
        Some(Self { root, point, controllers })
    }

    /// Whether a line of `/proc/self/cgroup` with these controllers belongs to this hierarchy.
    fn has_controllers(&self, controllers: &str) -> bool {
        match &self.controllers {
            None => controllers.is_empty(),
            Some(own) => {
                let own: Vec<&str> = own.split(',').collect();
                !controllers.is_empty() && controllers.split(',').all(|controller| own.contains(&controller))
            }
        }
    }

    /// The folders from a group up to the mount point. For a group outside the mount, only the mount point.
    fn way_up(&self, group: &str) -> Vec<PathBuf> {
        let group = Path::new(group);
        let inside = group.strip_prefix(&self.root).ok();
        let inside = inside.filter(|path| path.components().all(|part| matches!(part, Component::Normal(_))));
        let depth = inside.map_or(0, |path| path.components().count());
        let deepest = self.point.join(inside.unwrap_or(Path::new("")));
        deepest.ancestors().take(depth + 1).map(Path::to_path_buf).collect()
    }
}

/// The controllers and the group in a line of `/proc/self/cgroup`; version 2 has no controllers there.
fn membership(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(':')?;
    rest.split_once(':')
}

/// Decodes a path that escapes characters such as spaces as a backslash and three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii);
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    PathBuf::from(out)
}

/// A limit in bytes; `None` for `max`, for version 1's "no limit", and for other texts.
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT_BYTES)
}

/// The whole cores of a quota, at least one.
fn share(quota: &str, period: &str) -> Option<usize> {
    let (quota, period): (u64, u64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    usize::try_from(quota.checked_div(period)?).ok().map(|cores| cores.max(1))
}

/// The number of processors in a list such as `0-3,8`; `None` for an empty list, which means that the parent group's
/// list applies.
fn count(list: &str) -> Option<usize> {
    let mut cores = 0_usize;
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        cores = cores.checked_add(last.checked_sub(first)?)?.checked_add(1)?;
    }
    (cores > 0).then_some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits on a machine with these files.
    fn machine(files: &[(&str, &str)]) -> Limits {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        read(root.path())
    }

    const V2: (&str, &str) =
        ("proc/self/mountinfo", "31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
    const GIB: u64 = 1 << 30;

    #[test]
    fn version_2_has_the_smallest_limit_on_the_way_up() {
        let groups = ("proc/self/cgroup", "0::/a.slice/b.service/worker\n");
        let nested = machine(&[
            V2,
            groups,
            ("sys/fs/cgroup/a.slice/b.service/worker/memory.max", "max\n"),
            ("sys/fs/cgroup/a.slice/b.service/worker/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a.slice/b.service/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/a.slice/b.service/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a.slice/memory.max", "8589934592\n"),
            ("sys/fs/cgroup/a.slice/cpu.max", "400000 100000\n"),
        ]);
        assert_eq!(nested, Limits { memory_bytes: Some(2 * GIB), cores: Some(1) });
        let softer = [
            V2,
            groups,
            ("sys/fs/cgroup/a.slice/memory.high", "1073741824"),
            ("sys/fs/cgroup/a.slice/memory.max", "2147483648"),
            ("sys/fs/cgroup/a.slice/cpuset.cpus.effective", "0-2,7\n"),
        ];
        assert_eq!(machine(&softer), Limits { memory_bytes: Some(GIB), cores: Some(4) });
        // In a container with its own name space, the group is the mount point.
        let own = [V2, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "2147483648\n")];
        assert_eq!(machine(&own).memory_bytes, Some(2 * GIB));
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let groups = "5:memory:/docker/1\n4:cpuset:/docker/1\n2:cpu,cpuacct:/docker/1/deep\n1:name=systemd:/\n";
        let found = machine(&[
            ("proc/self/mountinfo", mounts),
            ("proc/self/cgroup", groups),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/1/deep/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/1/deep/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "350000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpuset/docker/1/cpuset.cpus", "0-15\n"),
        ]);
        assert_eq!(found, Limits { memory_bytes: Some(2 * GIB), cores: Some(3) });
    }

    #[test]
    fn a_container_of_version_1_sees_its_own_group_at_the_point() {
        // The group has the host's name, and the mount begins there.
        let mounts = "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let files = |group: &'static str| {
            machine(&[
                ("proc/self/mountinfo", mounts),
                ("proc/self/cgroup", group),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648"),
                ("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "1073741824"),
                ("sys/fs/cgroup/memory.limit_in_bytes", "7"),
            ])
        };
        assert_eq!(files("4:memory:/docker/1\n").memory_bytes, Some(2 * GIB));
        assert_eq!(files("4:memory:/docker/1/inner\n").memory_bytes, Some(GIB));
        assert_eq!(files("4:memory:/docker/12\n").memory_bytes, Some(2 * GIB), "a name that only begins alike");
        assert_eq!(files("4:memory:/docker/1/../../..\n").memory_bytes, Some(2 * GIB));
    }

    #[test]
    fn both_versions_beside_each_other_are_both_asked() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n";
        let found = machine(&[
            ("proc/self/mountinfo", mounts),
            ("proc/self/cgroup", "4:memory:/process\n0::/user\n"),
            ("sys/fs/cgroup/memory/process/memory.limit_in_bytes", "4294967296"),
            ("sys/fs/cgroup/uni fied/user/cpu.max", "200000 100000"),
            ("sys/fs/cgroup/uni fied/user/memory.max", "max"),
        ]);
        assert_eq!(found, Limits { memory_bytes: Some(4 * GIB), cores: Some(2) });
    }

    #[test]
    fn what_makes_no_sense_limits_nothing() {
        assert_eq!(machine(&[]), Limits::default());
        let nonsense = ["", "max", "-1", "x 1", "1 0", "\0", "99999999999999999999999", "3-1", "1-", "é"];
        for content in nonsense {
            let found = machine(&[
                V2,
                ("proc/self/cgroup", "0::/\nnothing\n:\n::\n9:\n"),
                ("sys/fs/cgroup/memory.max", content),
                ("sys/fs/cgroup/cpu.max", content),
                ("sys/fs/cgroup/cpuset.cpus.effective", content),
            ]);
            assert_eq!(found, Limits::default(), "{content:?}");
        }
        for mounts in ["- cgroup2", "1 2 3 - cgroup", " - - - ", "1 2 3 \\ \\9 x - cgroup2 y z"] {
            assert_eq!(machine(&[("proc/self/mountinfo", mounts), ("proc/self/cgroup", "0::/\n")]), Limits::default());
        }
        // Less than a core counts as one.
        let tiny = [V2, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "1000 100000")];
        assert_eq!(machine(&tiny).cores, Some(1));
    }
}
