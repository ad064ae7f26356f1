//! What the server itself keeps in the data directory, beside the store's own files: `master.key` and `credentials`,
//! both for this user alone, and the hold on the directory that comes before either is made.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use carryall_core::ids::AccessKeyId;
use carryall_store::{DirLock, OpenError};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::admin::control;
use crate::clock::Clock;
use crate::trust::root_key::RootKey;
use crate::trust::seal::MasterKey;

const MASTER_KEY_FILE: &str = "master.key";
const CREDENTIALS_FILE: &str = "credentials";
/// Files that may lie in a directory whose data is not sealed yet.
const BEFORE_ANY_DATA: [&str; 3] = ["lock", "control.sock", CREDENTIALS_FILE];
/// How long to wait for a directory that is held by something that does not answer: a verb at work, or a server that
/// is starting or stopping.
const HOLD_SECONDS_MAX: u64 = 5;
const HOLD_PAUSE: Duration = Duration::from_millis(10);

/// Where a key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The settings.
    Settings,
    /// The data directory.
    Kept,
    /// It was made just now.
    Generated,
}

/// The process that holds the directory.
pub enum Owner {
    /// This one, until the lock is dropped.
    ThisProcess(DirLock),
    /// A server that answers on its control socket.
    Server(UnixStream),
}

/// Locks `dir`, or connects to the server that has it locked.
pub async fn acquire(dir: &Path) -> Result<Owner, OpenError> {
    let give_up = Instant::now() + Duration::from_secs(HOLD_SECONDS_MAX);
    loop {
        match DirLock::acquire(dir) {
            Ok(lock) => return Ok(Owner::ThisProcess(lock)),
            Err(OpenError::InUse { dir: held }) => {
                if let Ok(stream) = control::connect(dir).await {
                    return Ok(Owner::Server(stream));
                }
                if Instant::now() >= give_up {
                    return Err(OpenError::InUse { dir: held });
                }
            }
            Err(
                error @ (OpenError::NewerVersion { .. }
                | OpenError::Damaged { .. }
                | OpenError::Io { .. }
                | OpenError::NotYet { .. }),
            ) => return Err(error),
        }
        tokio::time::sleep(HOLD_PAUSE).await;
    }
}

/// The master key of the directory that is held. A new one is made only where nothing can have been sealed yet.
pub fn master_key(lock: &DirLock, clock: &Clock) -> Result<(MasterKey, Origin), String> {
    let path = lock.dir().join(MASTER_KEY_FILE);
    match read_private(&path) {
        Ok(text) => MasterKey::from_base64(&text)
            .map(|key| (key, Origin::Kept))
            .map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_over_data(lock.dir())?;
            let key = MasterKey::generate(clock);
            let text = Zeroizing::new(format!("{}\n", key.to_base64().expose_secret()));
            write_private(&path, text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok((key, Origin::Generated))
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Reads a file that is for this user alone, and makes it so again if others had been let in.
fn read_private(path: &Path) -> io::Result<Zeroizing<String>> {
    let text = Zeroizing::new(std::fs::read_to_string(path)?);
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let path = path.display();
        tracing::warn!(%path, "others could read this file (mode {mode:o}); it is 600 again, but what they read stays read");
    }
    Ok(text)
}

/// A new master key over old data would lock the data away, so its absence is told instead.
fn refuse_over_data(dir: &Path) -> Result<(), String> {
    let told = |error: io::Error| format!("{}: {error}", dir.display());
    for entry in std::fs::read_dir(dir).map_err(told)? {
        let name = entry.map_err(told)?.file_name();
        if !BEFORE_ANY_DATA.iter().any(|known| name == *known) {
            return Err(format!(
                "{} is missing, and {} holds data that was sealed with a master key: put the file back or set \
                 CARRYALL_MASTER_KEY",
                dir.join(MASTER_KEY_FILE).display(),
                dir.display()
            ));
        }
    }
    Ok(())
}

/// Where the generated root key is kept in `dir`.
pub fn credentials_path(dir: &Path) -> PathBuf {
    dir.join(CREDENTIALS_FILE)
}

/// The root key that is kept in `dir`; `None` if there is none.
pub fn kept_root_key(dir: &Path) -> Result<Option<RootKey>, String> {
    let path = credentials_path(dir);
    match read_private(&path) {
        Ok(text) => parse_credentials(&text).map(Some).map_err(|why| format!("{}: {why}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// The root key of the directory that is held; made and kept if there is none.
pub fn root_key(lock: &DirLock, clock: &Clock) -> Result<(RootKey, Origin), String> {
    if let Some(key) = kept_root_key(lock.dir())? {
        return Ok((key, Origin::Kept));
    }
    let key = RootKey::generate(clock);
    let path = credentials_path(lock.dir());
    write_private(&path, credentials_text(&key).as_bytes())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((key, Origin::Generated))
}

/// The AWS shared-credentials form, so that `AWS_SHARED_CREDENTIALS_FILE` may point at the file.
fn credentials_text(key: &RootKey) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.access_key_id,
        key.secret.expose_secret()
    ))
}

fn parse_credentials(text: &str) -> Result<RootKey, String> {
    let value = |wanted: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        let (_, value) =
            lines.find(|(name, _)| name.trim() == wanted).ok_or(format!("it has no {wanted}"))?;
        Ok::<_, String>(value.trim())
    };
    let access_key_id =
        AccessKeyId::parse(value("aws_access_key_id")?).map_err(|violation| violation.to_string())?;
    let secret = value("aws_secret_access_key")?;
    if secret.is_empty() {
        return Err("aws_secret_access_key is empty".to_owned());
    }
    Ok(RootKey { access_key_id, secret: SecretString::from(secret) })
}

/// Writes a file for this user alone, whole or not at all, and past the loss of power.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    match std::fs::remove_file(&unfinished) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_key_that_others_could_read_is_private_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("master.key");
        std::fs::write(&path, "text").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(*read_private(&path).unwrap(), "text");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn keys_are_made_once_for_this_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(home.path()).unwrap();
        let clock = Clock::system();
        let (master, origin) = master_key(&lock, &clock).unwrap();
        assert_eq!(origin, Origin::Generated);
        let (again, origin) = master_key(&lock, &clock).unwrap();
        assert_eq!(origin, Origin::Kept);
        assert_eq!(master.to_base64().expose_secret(), again.to_base64().expose_secret());
        let (root, origin) = root_key(&lock, &clock).unwrap();
        assert_eq!(origin, Origin::Generated);
        let (same, origin) = root_key(&lock, &clock).unwrap();
        assert_eq!((origin, &same.access_key_id), (Origin::Kept, &root.access_key_id));
        assert_eq!(same.secret.expose_secret(), root.secret.expose_secret());
        for file in [MASTER_KEY_FILE, CREDENTIALS_FILE] {
            assert_eq!(mode(&home.path().join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn a_lost_master_key_is_told_and_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(home.path()).unwrap();
        std::fs::create_dir(home.path().join("store")).unwrap();
        let message = master_key(&lock, &Clock::system()).err().unwrap();
        assert!(
            message.contains("master.key is missing") && message.contains("CARRYALL_MASTER_KEY"),
            "{message}"
        );
        assert!(!home.path().join(MASTER_KEY_FILE).exists());
    }

    #[test]
    fn a_broken_file_is_named_without_its_content() {
        let home = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(home.path()).unwrap();
        std::fs::write(home.path().join(MASTER_KEY_FILE), "hunter2").unwrap();
        let message = master_key(&lock, &Clock::system()).err().unwrap();
        assert!(message.contains("master.key") && !message.contains("hunter2"), "{message}");
        std::fs::write(home.path().join(CREDENTIALS_FILE), "aws_secret_access_key = hunter2").unwrap();
        let message = root_key(&lock, &Clock::system()).err().unwrap();
        assert!(message.contains("aws_access_key_id") && !message.contains("hunter2"), "{message}");
    }
}
