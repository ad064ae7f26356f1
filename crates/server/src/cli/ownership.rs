//! Checks that no other user can change the data directory or a file in it. A user who can replace
//! `master.key` can make credentials for every identity. One who can replace `control.sock` can impersonate
//! the server.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The permission to write for the group and for all other users.
const OTHERS_WRITE: u32 = 0o022;
const ROOT: u32 = 0;

/// A property that lets another user change a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exposure {
    /// The file belongs to this user, who is neither root nor the user of the check.
    Owner(u32),
    /// The mode lets the group or all users write.
    Mode(u32),
}

/// Refuses `dir` if another user can write to it or to anything in it, or owns any of it. Files of root are accepted.
/// A directory that does not exist is accepted: it will be created for this user alone.
pub(super) fn check(dir: &Path) -> Result<(), String> {
    Check::new(dir, us())?.everything()
}

/// Checks the directory itself, without its contents.
pub(super) fn check_itself(dir: &Path) -> Result<(), String> {
    Check::new(dir, us())?.file(dir)
}

/// Checks `dir` for a command that only asks the server that runs on it. Root may ask the server of a service user, but
/// may not open that user's directory: the user could not open the files that root leaves in it, and could use links to
/// lead root to other files.
pub(super) fn check_to_ask(dir: &Path) -> Result<(), String> {
    let check = Check::new(dir, us())?;
    let user = user_to_trust(check.user, check.dir_owner);
    Check { user, ..check }.everything()
}

/// The user of this process.
fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The user whose files `us` trusts when asking a server: for root, the owner of the directory.
fn user_to_trust(us: u32, dir_owner: Option<u32>) -> u32 {
    if us == ROOT { dir_owner.unwrap_or(us) } else { us }
}

/// A check of one directory.
struct Check<'a> {
    dir: &'a Path,
    /// The owner of the directory, if it exists.
    dir_owner: Option<u32>,
    /// The user whose files are accepted, beside those of root.
    user: u32,
}

impl<'a> Check<'a> {
    fn new(dir: &'a Path, user: u32) -> Result<Self, String> {
        let dir_owner = existing(fs::metadata(dir), dir)?.map(|found| found.uid());
        Ok(Self { dir, dir_owner, user })
    }

    fn everything(&self) -> Result<(), String> {
        self.file(self.dir)?;
        self.entries()
    }

    /// Checks one file, and the file that it links to.
    fn file(&self, path: &Path) -> Result<(), String> {
        let Some(found) = existing(fs::symlink_metadata(path), path)? else { return Ok(()) };
        if found.is_symlink() {
            // The mode of a link says nothing, but its owner can replace it.
            self.refuse(exposure(found.uid(), 0, self.user), path)?;
            let Some(target) = existing(fs::metadata(path), path)? else { return Ok(()) };
            return self.refuse(exposure(target.uid(), target.mode(), self.user), path);
        }
        self.refuse(exposure(found.uid(), found.mode(), self.user), path)
    }

    /// Checks everything below the directory. Links to folders are followed, each folder once, so that a link that
    /// leads back ends the walk.
    fn entries(&self) -> Result<(), String> {
        let mut seen = HashSet::new();
        let mut folders = vec![self.dir.to_owned()];
        while let Some(folder) = folders.pop() {
            let Some(entries) = existing(fs::read_dir(&folder), &folder)? else { continue };
            for entry in entries {
                let Some(entry) = existing(entry, &folder)? else { continue };
                let path = entry.path();
                self.file(&path)?;
                let Some(found) = existing(fs::metadata(&path), &path)? else { continue };
                if found.is_dir() && seen.insert((found.dev(), found.ino())) {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    fn refuse(&self, exposure: Option<Exposure>, path: &Path) -> Result<(), String> {
        exposure.map_or(Ok(()), |exposure| Err(self.refusal(exposure, path)))
    }

    /// The message for the operator. A directory of another user is probably that of a running server, which a `chown`
    /// would take it from.
    fn refusal(&self, exposure: Exposure, path: &Path) -> String {
        let (path, dir, user) = (path.display(), self.dir.display(), self.user);
        match (exposure, self.dir_owner) {
            (Exposure::Owner(_), Some(owner)) if owner != user && owner != ROOT => {
                let remedy = format!(
                    "{dir} belongs to user {owner}; this is user {user}. Run the command as user {owner}: \
                     sudo -u '#{owner}' carryall …"
                );
                if user == ROOT {
                    return remedy;
                }
                format!(
                    "{remedy}; or, if no server runs as user {owner} and you trust the content: chown -R {user} {dir}"
                )
            }
            (Exposure::Owner(owner), _) => format!(
                "{path} belongs to user {owner}, who can change it, and not to user {user}. If you trust its content, \
                 run: chown -R {user} {dir}"
            ),
            (Exposure::Mode(mode), _) => format!(
                "other users can write to {path} (mode {mode:04o}). If you trust its content, run: chmod -R go-w {dir}"
            ),
        }
    }
}

/// Ignores files that cannot be found, because a running server creates and removes files meanwhile. Files
/// that this user may not open, such as `lost+found`, cannot be used by the server either.
fn existing<T>(found: io::Result<T>, path: &Path) -> Result<Option<T>, String> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied => {
                Ok(None)
            }
            _ => Err(format!("{}: {error}", path.display())),
        },
    }
}

fn exposure(owner: u32, mode: u32, user: u32) -> Option<Exposure> {
    if owner != user && owner != ROOT {
        return Some(Exposure::Owner(owner));
    }
    (mode & OTHERS_WRITE != 0).then_some(Exposure::Mode(mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    const US: u32 = 1000;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A data directory as a server creates it.
    fn data_dir(home: &Path) -> PathBuf {
        let dir = home.join("data");
        fs::create_dir_all(dir.join("store/tables")).unwrap();
        for folder in ["", "store", "store/tables"] {
            set_mode(&dir.join(folder), 0o700);
        }
        for file in ["master.key", "credentials", "lock", "acknowledged", "store/tables/7"] {
            fs::write(dir.join(file), "").unwrap();
            set_mode(&dir.join(file), 0o600);
        }
        dir
    }

    #[test]
    fn files_of_this_user_and_of_root_that_others_cannot_write_are_accepted() {
        assert_eq!(exposure(US, 0o100_600, US), None);
        assert_eq!(exposure(US, 0o40_755, US), None);
        assert_eq!(exposure(ROOT, 0o40_755, US), None);
    }

    #[test]
    fn a_file_that_another_user_owns_or_can_write_is_refused() {
        assert_eq!(exposure(65_534, 0o100_600, US), Some(Exposure::Owner(65_534)));
        assert_eq!(exposure(US, 0o100_600, ROOT), Some(Exposure::Owner(US)));
        assert_eq!(exposure(US, 0o100_620, US), Some(Exposure::Mode(0o620)));
        assert_eq!(exposure(US, 0o41_777, US), Some(Exposure::Mode(0o1777)));
    }

    #[test]
    fn root_is_sent_to_the_user_of_the_directory_and_never_takes_it_from_its_server() {
        const SERVICE: u32 = 998;
        let dir = Path::new("/var/lib/carryall");
        let of = |dir_owner, user| Check { dir, dir_owner: Some(dir_owner), user };
        let message = of(SERVICE, ROOT).refusal(Exposure::Owner(SERVICE), dir);
        assert!(message.contains("belongs to user 998") && message.contains("sudo -u '#998'"), "{message}");
        assert!(!message.contains("chown"), "{message}");
        let message = of(SERVICE, US).refusal(Exposure::Owner(SERVICE), dir);
        assert!(message.contains("sudo -u '#998'") && message.contains("chown -R 1000"), "{message}");
        // A stray file in the directory of this user itself.
        for user in [ROOT, US] {
            let message = of(user, user).refusal(Exposure::Owner(SERVICE), &dir.join("master.key"));
            assert!(message.contains(&format!("master.key belongs to user {SERVICE}")), "{message}");
            assert!(message.contains(&format!("chown -R {user}")), "{message}");
        }
    }

    #[test]
    fn only_root_trusts_the_owner_of_the_directory_and_only_to_ask_its_server() {
        assert_eq!(user_to_trust(ROOT, Some(998)), 998);
        assert_eq!(user_to_trust(ROOT, None), ROOT);
        assert_eq!(user_to_trust(US, Some(998)), US);
        let home = tempfile::tempdir().unwrap();
        let dir = data_dir(home.path());
        assert_eq!(check_to_ask(&dir), Ok(()));
        let stranger = Check { user: us() + 1, ..Check::new(&dir, us()).unwrap() };
        assert_eq!(stranger.everything().is_err(), us() != ROOT);
        set_mode(&dir.join("store"), 0o777);
        assert!(check_to_ask(&dir).unwrap_err().contains("chmod -R go-w"));
    }

    #[test]
    fn a_directory_that_others_can_write_to_anywhere_is_refused_with_the_mend() {
        let home = tempfile::tempdir().unwrap();
        let dir = data_dir(home.path());
        assert_eq!(check(&dir), Ok(()));
        for file in [".", "master.key", "lock", "acknowledged", "store", "store/tables", "store/tables/7"] {
            let path = if file == "." { dir.clone() } else { dir.join(file) };
            let before = fs::metadata(&path).unwrap().mode();
            set_mode(&path, before | 0o022);
            let message = check(&dir).unwrap_err();
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(message.contains("chmod -R go-w"), "{message}");
            set_mode(&path, before);
        }
        assert_eq!(check(&dir), Ok(()));
    }

    #[test]
    fn a_link_is_judged_by_what_it_leads_to() {
        let home = tempfile::tempdir().unwrap();
        let dir = data_dir(home.path());
        let target = home.path().join("elsewhere");
        fs::write(&target, "").unwrap();
        set_mode(&target, 0o600);
        fs::remove_file(dir.join("master.key")).unwrap();
        symlink(&target, dir.join("master.key")).unwrap();
        assert_eq!(check(&dir), Ok(()));
        set_mode(&target, 0o606);
        assert!(check(&dir).unwrap_err().contains("master.key"));
    }

    #[test]
    fn a_linked_folder_is_looked_into_and_a_link_that_leads_back_ends() {
        let home = tempfile::tempdir().unwrap();
        let dir = data_dir(home.path());
        let target = home.path().join("elsewhere");
        fs::rename(dir.join("store"), &target).unwrap();
        symlink(&target, dir.join("store")).unwrap();
        symlink(&dir, target.join("back")).unwrap();
        symlink(&target, target.join("itself")).unwrap();
        assert_eq!(check(&dir), Ok(()));
        set_mode(&target.join("tables/7"), 0o620);
        let message = check(&dir).unwrap_err();
        assert!(message.contains("tables/7") && message.contains("chmod -R go-w"), "{message}");
    }

    #[test]
    fn a_directory_that_is_still_to_be_created_is_accepted() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(check(&home.path().join("new")), Ok(()));
    }
}
