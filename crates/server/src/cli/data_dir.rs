//! The server's own files in the data directory, beside those of the store: `master.key` and `credentials`, both for
//! this user alone. The directory is locked before either is made.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use carryall_core::ids::AccessKeyId;
use carryall_store::{DirLock, OpenError};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::ownership;
use crate::admin::control;
use crate::clock::Clock;
use crate::trust::root_key::RootKey;
use crate::trust::seal::MasterKey;

const MASTER_KEY_FILE: &str = "master.key";
const CREDENTIALS_FILE: &str = "credentials";
/// The beginning of the comment in `credentials` that carries the check value. Files of earlier versions have none.
const CHECK_VALUE: &str = "# check value of the key: ";
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

/// Locks `dir`, or connects to the server that has locked it. A directory that another user can change is refused.
pub async fn acquire(dir: &Path) -> Result<Owner, String> {
    ownership::check(dir)?;
    let give_up = Instant::now() + Duration::from_secs(HOLD_SECONDS_MAX);
    loop {
        match DirLock::acquire(dir) {
            Ok(lock) => {
                // Another user may have created it since the check.
                ownership::check_itself(dir)?;
                return Ok(Owner::ThisProcess(lock));
            }
            Err(OpenError::InUse { dir: held }) => {
                if let Ok(stream) = control::connect(dir).await {
                    return Ok(Owner::Server(stream));
                }
                if Instant::now() >= give_up {
                    return Err(OpenError::InUse { dir: held }.to_string());
                }
            }
            Err(
                error @ (OpenError::NewerVersion { .. }
                | OpenError::Damaged { .. }
                | OpenError::Io { .. }
                | OpenError::NotYet { .. }),
            ) => return Err(error.to_string()),
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

/// The root key that is kept in `dir`; `None` if there is none. A file that another user can change is refused.
pub fn kept_root_key(dir: &Path) -> Result<Option<RootKey>, String> {
    ownership::check(dir)?;
    Ok(read_credentials(dir)?.map(|kept| kept.key))
}

/// The root key of the directory that is held; made and kept if there is none.
pub fn root_key(lock: &DirLock, clock: &Clock) -> Result<(RootKey, Origin), String> {
    let (key, text, origin) = match read_credentials(lock.dir())? {
        Some(Kept { key, is_checked: true, .. }) => return Ok((key, Origin::Kept)),
        // The file is of an earlier version, or the operator removed the line after setting another key.
        Some(Kept { key, text, .. }) => (key, text, Origin::Kept),
        None => {
            let key = RootKey::generate(clock);
            let text = credentials_text(&key);
            (key, text, Origin::Generated)
        }
    };
    let text = Zeroizing::new(format!("{CHECK_VALUE}{}\n{}", check_value(&key), *text));
    let path = credentials_path(lock.dir());
    write_private(&path, text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((key, origin))
}

/// The content of `credentials`.
struct Kept {
    key: RootKey,
    text: Zeroizing<String>,
    /// True if the file has a check value, which then is that of the key.
    is_checked: bool,
}

fn read_credentials(dir: &Path) -> Result<Option<Kept>, String> {
    let path = credentials_path(dir);
    let text = match read_private(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let key = parse_credentials(&text).map_err(|why| format!("{}: {why}", path.display()))?;
    let check = text.lines().find_map(|line| line.strip_prefix(CHECK_VALUE));
    if check.is_some_and(|check| check.trim_end() != check_value(&key)) {
        return Err(format!(
            "{} is damaged: its check value is not that of the key in it. Restore the file, or remove it to have a new \
             root key generated; a key that was set by hand needs the line that begins with '{}' removed",
            path.display(),
            CHECK_VALUE.trim_end()
        ));
    }
    Ok(Some(Kept { key, is_checked: check.is_some(), text }))
}

/// A digest of both halves of the key, by which damage to the file is noticed.
fn check_value(key: &RootKey) -> String {
    let halves = Zeroizing::new(format!("{}\n{}\n", key.access_key_id, key.secret.expose_secret()));
    STANDARD_NO_PAD.encode(digest(&SHA256, halves.as_bytes()))
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

    fn secret_of(dir: &Path) -> Result<String, String> {
        let key = kept_root_key(dir)?.ok_or("there is none")?;
        Ok(key.secret.expose_secret().to_owned())
    }

    #[test]
    fn a_run_of_bytes_inserted_into_credentials_never_yields_another_secret() {
        let home = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(home.path()).unwrap();
        root_key(&lock, &Clock::system()).unwrap();
        let path = credentials_path(home.path());
        let whole = std::fs::read_to_string(&path).unwrap();
        let secret = secret_of(home.path()).unwrap();
        for at in 0..whole.len() {
            for damaged in [
                format!("{}AAAA{}", &whole[..at], &whole[at..]),
                whole[..at].to_owned(),
                format!("{}{}", &whole[..at], &whole[(at + 4).min(whole.len())..]),
            ] {
                std::fs::write(&path, &damaged).unwrap();
                if let Ok(read) = secret_of(home.path()) {
                    assert_eq!(read, secret, "{damaged}");
                }
            }
        }
        let damaged = whole.replace(&secret, &format!("{}A", &secret[1..]));
        std::fs::write(&path, damaged).unwrap();
        let message = root_key(&lock, &Clock::system()).err().unwrap();
        assert!(message.contains("credentials is damaged") && !message.contains(&secret[1..]), "{message}");
    }

    #[test]
    fn credentials_of_an_earlier_version_are_read_and_get_a_check_value() {
        let home = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(home.path()).unwrap();
        let path = credentials_path(home.path());
        let old = "[default]\naws_access_key_id = AKIAEXAMPLEEXAMPLE00\naws_secret_access_key = hunter2\n";
        std::fs::write(&path, old).unwrap();
        let (key, origin) = root_key(&lock, &Clock::system()).unwrap();
        assert_eq!((key.secret.expose_secret(), origin), ("hunter2", Origin::Kept));
        let new = std::fs::read_to_string(&path).unwrap();
        assert!(new.starts_with(CHECK_VALUE) && new.ends_with(old), "{new}");
        std::fs::write(&path, new.replace("hunter2", "hunter3")).unwrap();
        assert!(secret_of(home.path()).is_err());
    }

    #[tokio::test]
    async fn a_directory_that_others_can_write_to_is_not_taken() {
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
        let message = acquire(home.path()).await.err().unwrap();
        assert!(message.contains("chmod -R go-w"), "{message}");
        assert!(!home.path().join("lock").exists());
    }
}
