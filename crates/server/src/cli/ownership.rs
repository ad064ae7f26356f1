//! Checks that no other user can change the data directory or a file in it. A user who can replace
//! `master.key` can make credentials for every identity. One who can replace `control.sock` can impersonate
//! the server.

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
    /// The file belongs to this user, who is neither root nor the user of this process.
    Owner(u32),
    /// The mode lets the group or all users write.
    Mode(u32),
}

/// Refuses `dir` if another user can write to it or to anything in it, or owns any of it. Files of root are accepted.
/// A directory that does not exist is accepted: it will be created for this user alone.
pub(super) fn check(dir: &Path) -> Result<(), String> {
    check_file(dir, dir)?;
    check_entries(dir, dir)
}

/// Checks the directory itself, without its contents.
pub(super) fn check_itself(dir: &Path) -> Result<(), String> {
    check_file(dir, dir)
}

/// Checks one file, and the file that it links to.
fn check_file(path: &Path, dir: &Path) -> Result<(), String> {
    let us = rustix::process::geteuid().as_raw();
    let Some(found) = existing(fs::symlink_metadata(path), path)? else { return Ok(()) };
    if found.is_symlink() {
        // The mode of a link says nothing, but its owner can replace it.
        refuse(exposure(found.uid(), 0, us), path, dir, us)?;
        let Some(target) = existing(fs::metadata(path), path)? else { return Ok(()) };
        return refuse(exposure(target.uid(), target.mode(), us), path, dir, us);
    }
    refuse(exposure(found.uid(), found.mode(), us), path, dir, us)
}

fn check_entries(folder: &Path, dir: &Path) -> Result<(), String> {
    let Some(entries) = existing(fs::read_dir(folder), folder)? else { return Ok(()) };
    for entry in entries {
        let Some(entry) = existing(entry, folder)? else { continue };
        let path = entry.path();
        check_file(&path, dir)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            check_entries(&path, dir)?;
        }
    }
    Ok(())
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

fn exposure(owner: u32, mode: u32, us: u32) -> Option<Exposure> {
    if owner != us && owner != ROOT {
        return Some(Exposure::Owner(owner));
    }
    (mode & OTHERS_WRITE != 0).then_some(Exposure::Mode(mode & 0o7777))
}

fn refuse(exposure: Option<Exposure>, path: &Path, dir: &Path, us: u32) -> Result<(), String> {
    let (path, dir) = (path.display(), dir.display());
    match exposure {
        None => Ok(()),
        Some(Exposure::Owner(owner)) => Err(format!(
            "{path} belongs to user {owner}, who can change it; this is user {us}. If you trust its content, run: chown -R \
             {us} {dir}"
        )),
        Some(Exposure::Mode(mode)) => Err(format!(
            "other users can write to {path} (mode {mode:04o}). If you trust its content, run: chmod -R go-w {dir}"
        )),
    }
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
    fn a_directory_that_is_still_to_be_created_is_accepted() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(check(&home.path().join("new")), Ok(()));
    }
}
