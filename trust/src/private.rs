//! Files that only their owner reads, changes or locks: how they are created and shared, and how files with a looser
//! mode or another owner are treated.
//!
//! Files belong to the owner alone. The exception is a folder that is shared with a group on purpose: it belongs to
//! another user, has the set-group-ID bit, and a group of this process may write to it. Kubernetes provides volumes in
//! this way (`fsGroup`), where the next process may have another user ID and the same group.

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

const SET_GROUP_ID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const GROUP: u32 = 0o070;
const GROUP_READS_AND_WRITES: u32 = 0o060;
const OTHERS: u32 = 0o007;
const OTHERS_WRITE: u32 = 0o002;
const ROOT: u32 = 0;
/// The file that is made to see who owns it.
const PROBE: &str = ".sweep-owner";
const MOST_TRIES: u32 = 1_000;

/// With whom files are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Not shared.
    Owner,
    /// Shared with this group.
    Group(u32),
}

/// The owner of a file and the access of others.
#[derive(Debug, Clone, Copy)]
struct Found {
    owner: u32,
    group: u32,
    mode: u32,
}

impl Found {
    fn of(found: &Metadata) -> Self {
        Self { owner: found.uid(), group: found.gid(), mode: found.mode() & 0o7777 }
    }
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Private,
    Open { mode: u32, wanted: u32 },
    Foreign,
}

/// Why files cannot be private.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It belongs to another user, who may change it at any time.
    #[error(
        "{} belongs to user {owner}, but this process runs as user {user}: use a path of your own, or change its owner \
        (chown {user} {})", path.display(), path.display()
    )]
    Foreign {
        path: PathBuf,
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// Its metadata cannot be read or changed.
    #[error("cannot make {} private", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A file or folder that others could use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub path: PathBuf,
    /// The mode that it has.
    pub mode: u32,
    /// The mode that it should have.
    pub wanted: u32,
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was open to other users: mode {:o}, now {:o}", self.path.display(), self.mode, self.wanted)
    }
}

impl Sharing {
    /// How files in this folder are shared; the folder may still have to be made.
    pub fn of(folder: &Path) -> Self {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let full = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let there = full.ancestors().filter_map(|folder| fs::metadata(folder).ok());
        Self::granted(there.map(|found| Found::of(&found)), user(), &groups())
    }

    /// The sharing of a path, by its folders from the innermost outwards. A folder that this process made is shared
    /// like its parent.
    fn granted(folders: impl IntoIterator<Item = Found>, user: u32, groups: &[u32]) -> Self {
        let by = folders.into_iter().find(|folder| folder.owner != user);
        let on_purpose = |folder: &Found| {
            let bits = SET_GROUP_ID | GROUP;
            folder.owner != user && folder.mode & bits == bits && groups.contains(&folder.group)
        };
        by.filter(on_purpose).map_or(Self::Owner, |folder| Self::Group(folder.group))
    }

    /// The mode of a new file.
    pub fn file_mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group(_) => 0o660,
        }
    }

    /// The mode of a new folder.
    pub fn folder_mode(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group(_) => 0o770,
        }
    }

    /// The permissions that private files never have.
    fn excess(self) -> u32 {
        match self {
            Self::Owner => GROUP | OTHERS,
            Self::Group(_) => OTHERS,
        }
    }

    /// From now on this process, and every process that it starts, makes no file for others.
    pub fn limit_new_files(self) {
        rustix::process::umask(Mode::from_raw_mode(self.excess()));
    }

    /// Opens a file to be read and written; where it is missing, it is made private.
    ///
    /// # Errors
    /// As of opening a file.
    pub fn open(self, path: &Path) -> io::Result<File> {
        match File::options().read(true).write(true).create_new(true).mode(self.file_mode()).open(path) {
            Ok(file) => {
                // The umask may have taken the group's part away.
                file.set_permissions(Permissions::from_mode(self.file_mode()))?;
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                File::options().read(true).write(true).open(path)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a folder and those above it that are missing, all of them private. One that is there stays as it is.
    ///
    /// # Errors
    /// As of making folders.
    pub fn make_folder(self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(self.folder_mode()).create(path)?;
        let mode = fs::metadata(path)?.mode() & SET_GROUP_ID | self.folder_mode();
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    /// Reads the access of others to a file or folder, and changes nothing. `None` if others have none.
    ///
    /// # Errors
    /// It belongs to another user, or cannot be read. A missing file is no error.
    pub fn look(self, path: &Path) -> Result<Option<Open>, Error> {
        let found = match fs::metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
        };
        let user = user();
        match self.judge(Found::of(&found), user) {
            Verdict::Private => Ok(None),
            Verdict::Open { mode, wanted } => Ok(Some(Open { path: path.to_owned(), mode, wanted })),
            Verdict::Foreign if gives_every_file_to(path, found.uid()) => Ok(None),
            Verdict::Foreign => Err(Error::Foreign { path: path.to_owned(), owner: found.uid(), user }),
        }
    }

    fn judge(self, found: Found, user: u32) -> Verdict {
        let Found { owner, group, mode } = found;
        if owner == user || user == ROOT {
            let wanted = mode & !self.excess();
            return if wanted == mode { Verdict::Private } else { Verdict::Open { mode, wanted } };
        }
        // Root can do what it likes, so what it owns is as safe as the machine; and we cannot change it.
        let shared = self == Self::Group(group) && mode & GROUP_READS_AND_WRITES == GROUP_READS_AND_WRITES;
        if owner == ROOT || shared { Verdict::Private } else { Verdict::Foreign }
    }

    /// Removes the access of others to a file or folder. Returns the access that was removed.
    ///
    /// # Errors
    /// It belongs to another user, or its mode cannot be changed.
    pub fn mend(self, path: &Path) -> Result<Option<Open>, Error> {
        let Some(open) = self.look(path)? else { return Ok(None) };
        let changed = fs::set_permissions(path, Permissions::from_mode(open.wanted));
        changed.map_err(|source| Error::Io { path: path.to_owned(), source })?;
        // A filesystem without modes takes the call and keeps what it has.
        let kept = fs::metadata(path).map(|found| found.mode() & 0o7777).unwrap_or(open.mode);
        Ok((kept != open.mode).then_some(Open { wanted: kept, ..open }))
    }
}

/// Prevents others from replacing files in a folder that may contain other things too: removes only their write access,
/// and only if nothing else restricts it. Returns the access that was removed.
///
/// # Errors
/// The folder's mode cannot be changed.
pub fn keep_writers_out(folder: &Path) -> Result<Option<Open>, Error> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let found = fs::metadata(folder).map_err(io)?;
    let mode = found.mode() & 0o7777;
    let replaceable = mode & OTHERS_WRITE != 0 && mode & STICKY == 0;
    if !replaceable || !is_ours(&found) {
        return Ok(None);
    }
    let wanted = mode & !OTHERS_WRITE;
    fs::set_permissions(folder, Permissions::from_mode(wanted)).map_err(io)?;
    Ok(Some(Open { path: folder.to_owned(), mode, wanted }))
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn is_ours(found: &Metadata) -> bool {
    found.uid() == user()
}

fn groups() -> Vec<u32> {
    let more = rustix::process::getgroups().unwrap_or_default();
    std::iter::once(rustix::process::getegid()).chain(more).map(|group| group.as_raw()).collect()
}

/// Whether a filesystem reports this user as the owner of every file, including ours, as some network filesystems do.
/// The owner then means nothing.
fn gives_every_file_to(path: &Path, owner: u32) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    owner_of_a_new_file(folder).is_ok_and(|found| found == owner && found != user())
}

/// The owner of a new file of this process in a folder, as its filesystem reports it. No other call returns this. If
/// the filesystem supports it, the file has no name, so it disappears however this process ends.
fn owner_of_a_new_file(folder: &Path) -> io::Result<u32> {
    let nameless = OFlags::TMPFILE.bits().cast_signed();
    match File::options().write(true).mode(0o600).custom_flags(nameless).open(folder) {
        Ok(made) => Ok(made.metadata()?.uid()),
        Err(_) => owner_of_a_named_file(folder),
    }
}

/// The same on a network filesystem without unnamed files. The name is fixed, so that the next call removes a file that
/// a killed process left.
fn owner_of_a_named_file(folder: &Path) -> io::Result<u32> {
    let probe = folder.join(PROBE);
    let mut tries = 0;
    loop {
        remove_if_there(&probe)?;
        let made = match File::options().write(true).create_new(true).mode(0o600).open(&probe) {
            Ok(made) => made,
            // Another process of ours looks at the same moment.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < MOST_TRIES => {
                tries += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        let found = made.metadata().map(|found| found.uid());
        drop(made);
        remove_if_there(&probe)?;
        return found;
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn new_files_are_private_under_any_umask() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        assert_eq!(Sharing::of(&below), Sharing::Owner);
        Sharing::Owner.make_folder(&below).unwrap();
        drop(Sharing::Owner.open(&below.join("file")).unwrap());
        assert_eq!((mode(&folder.path().join("a")), mode(&below), mode(&below.join("file"))), (0o700, 0o700, 0o600));
        let shared = folder.path().join("shared");
        Sharing::Group(0).make_folder(&shared).unwrap();
        drop(Sharing::Group(0).open(&shared.join("file")).unwrap());
        assert_eq!((mode(&shared), mode(&shared.join("file"))), (0o770, 0o660));
    }

    #[test]
    fn existing_files_keep_their_content_and_lose_the_access_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "content").unwrap();
        with_mode(&file, 0o664);
        assert_eq!(Sharing::Owner.look(&file).unwrap().unwrap().wanted, 0o600);
        assert_eq!(mode(&file), 0o664, "looking changes nothing");
        drop(Sharing::Owner.open(&file).unwrap());
        assert_eq!(mode(&file), 0o664, "neither does opening");
        let open = Sharing::Owner.mend(&file).unwrap().unwrap();
        assert_eq!((open.mode, open.wanted, mode(&file)), (0o664, 0o600, 0o600));
        assert_eq!(Sharing::Owner.mend(&file).unwrap(), None);
        assert_eq!(fs::read(&file).unwrap(), b"content");
        with_mode(&file, 0o664);
        Sharing::Group(0).mend(&file).unwrap();
        assert_eq!(mode(&file), 0o660, "a group that it is shared with keeps it");
        assert_eq!(Sharing::Owner.mend(&folder.path().join("none")).unwrap(), None);
        with_mode(folder.path(), 0o2755);
        Sharing::Owner.mend(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o2700);
    }

    #[test]
    fn a_folder_of_many_things_loses_only_what_lets_others_replace_files() {
        let folder = tempfile::tempdir().unwrap();
        for (before, after) in [(0o755, 0o755), (0o775, 0o775), (0o777, 0o775), (0o1777, 0o1777)] {
            with_mode(folder.path(), before);
            assert_eq!(keep_writers_out(folder.path()).unwrap().is_some(), before != after, "{before:o}");
            assert_eq!(mode(folder.path()), after, "{before:o}");
        }
    }

    #[test]
    fn a_look_at_owners_leaves_nothing_behind_and_removes_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!((owner_of_a_new_file(folder.path()).unwrap(), names()), (user(), 0));
        fs::write(folder.path().join(PROBE), "").unwrap();
        assert_eq!((owner_of_a_named_file(folder.path()).unwrap(), names()), (user(), 0));
        // Many at once.
        let look = || (0..100).all(|_| owner_of_a_named_file(folder.path()).is_ok_and(|owner| owner == user()));
        let all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(look)).collect();
            threads.into_iter().all(|thread| thread.join().unwrap())
        });
        assert_eq!((all, names()), (true, 0));
    }

    #[test]
    fn a_folder_of_ours_is_not_shared_because_of_its_bits() {
        let folder = tempfile::tempdir().unwrap();
        with_mode(folder.path(), 0o2770);
        assert_eq!(Sharing::of(folder.path()), Sharing::Owner);
        assert_eq!(Sharing::of(&folder.path().join("below")), Sharing::Owner);
    }

    const US: u32 = 1000;
    const THEM: u32 = 1001;
    const TEAM: u32 = 2000;

    #[test]
    fn another_users_files_are_refused_and_roots_are_taken_as_they_are() {
        let judge = |sharing: Sharing, owner, group, mode| sharing.judge(Found { owner, group, mode }, US);
        assert_eq!(judge(Sharing::Owner, US, TEAM, 0o644), Verdict::Open { mode: 0o644, wanted: 0o600 });
        assert_eq!(judge(Sharing::Owner, US, TEAM, 0o600), Verdict::Private);
        for mode in [0o600, 0o660, 0o666] {
            assert_eq!(judge(Sharing::Owner, THEM, TEAM, mode), Verdict::Foreign, "{mode:o}");
            assert_eq!(judge(Sharing::Owner, ROOT, ROOT, mode), Verdict::Private, "{mode:o}");
        }
        let root = |mode| Sharing::Owner.judge(Found { owner: THEM, group: TEAM, mode }, ROOT);
        assert_eq!((root(0o600), root(0o604)), (Verdict::Private, Verdict::Open { mode: 0o604, wanted: 0o600 }));
    }

    #[test]
    fn on_a_volume_of_a_group_the_next_user_of_the_group_goes_on() {
        let team = Sharing::Group(TEAM);
        let judge = |owner, group, mode| team.judge(Found { owner, group, mode }, US);
        assert_eq!(judge(THEM, TEAM, 0o660), Verdict::Private);
        assert_eq!(judge(THEM, TEAM, 0o2770), Verdict::Private);
        assert_eq!(judge(THEM, TEAM, 0o600), Verdict::Foreign, "not for the group");
        assert_eq!(judge(THEM, THEM, 0o660), Verdict::Foreign, "for another group");
        assert_eq!(judge(US, TEAM, 0o664), Verdict::Open { mode: 0o664, wanted: 0o660 });
    }

    #[test]
    fn a_folder_is_shared_by_another_owner_the_bits_and_our_membership_together() {
        let folder = |owner, mode| Found { owner, group: TEAM, mode };
        let of = |nearest, above: Option<Found>, groups: &[u32]| {
            Sharing::granted(std::iter::once(nearest).chain(above), US, groups)
        };
        let (volume, ours) = (folder(ROOT, 0o2775), folder(US, 0o2770));
        assert_eq!(of(volume, None, &[TEAM]), Sharing::Group(TEAM), "the volume itself");
        assert_eq!(of(ours, Some(volume), &[TEAM]), Sharing::Group(TEAM), "what we made in it");
        let deep = Sharing::granted([ours, ours, volume], US, &[TEAM]);
        assert_eq!(deep, Sharing::Group(TEAM), "what we made in what we made in it");
        assert_eq!(
            of(folder(THEM, 0o2770), Some(volume), &[TEAM]),
            Sharing::Group(TEAM),
            "what the last user made in it"
        );
        for (nearest, above, groups) in [
            (volume, None, &[US][..]),
            (folder(ROOT, 0o0775), None, &[TEAM]),
            (folder(ROOT, 0o2755), None, &[TEAM]),
            (folder(ROOT, 0o1777), None, &[TEAM]),
            (ours, Some(ours), &[TEAM]),
            (ours, None, &[TEAM]),
        ] {
            assert_eq!(of(nearest, above, groups), Sharing::Owner, "{nearest:?} {above:?} {groups:?}");
        }
    }
}
