//! A stream to a file: newline-delimited JSON, synced to disk before a put succeeds, rotated by size.
//!
//! Puts that wait for the disk are gathered and written with one sync, in the order of their arrival. Each
//! path has one writer, shared by all ports. A writer whose file was moved or removed creates a new one, so a
//! reader may take a file by renaming it.
//!
//! A line that a crash tore was never acknowledged. It is not cut off, because a file is never truncated
//! here: the next record begins on a new line after it. Readers skip a line that is not JSON; its record
//! follows again as a whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::cause::one_line;
use crate::port::{Checked, Finding, Outcome, StreamMessage, StreamPort, Undelivered};
use crate::settings::FileDestination;

/// The stream to one path; every port that writes there shares the same writer.
pub(crate) struct FileStream(pub(crate) Arc<FileWriter>);

impl StreamPort for FileStream {
    fn message_bytes_max(&self) -> Option<usize> {
        None
    }

    fn put(&self, message: StreamMessage) -> Outcome<'_, ()> {
        Box::pin(self.0.put(message.json))
    }

    fn check(&self) -> Checked<'_> {
        Box::pin(async {
            let writer = Arc::clone(&self.0);
            let opened = tokio::task::spawn_blocking(move || writer.append(&[])).await;
            let trouble = match opened {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(one_line(&error.to_string())),
                Err(_) => Some("the server is stopping".to_owned()),
            };
            vec![Finding { what: format!("open the file {}", self.0.destination.path.display()), trouble }]
        })
    }
}

/// The only writer of a path.
pub(crate) struct FileWriter {
    destination: FileDestination,
    queue: Mutex<Queue>,
    current: Mutex<Option<CurrentFile>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// True while a thread drains the queue; it takes every arrival before it stops.
    draining: bool,
}

struct Waiting {
    line: Bytes,
    done: oneshot::Sender<Result<(), Undelivered>>,
}

impl FileWriter {
    pub(crate) fn new(destination: FileDestination) -> Self {
        Self { destination, queue: Mutex::default(), current: Mutex::default() }
    }

    async fn put(self: &Arc<Self>, line: Bytes) -> Result<(), Undelivered> {
        if line.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err(Undelivered::Refused { cause: "the message is more than one line".to_owned() });
        }
        let (done, answer) = oneshot::channel();
        if self.enqueue(Waiting { line, done }) {
            let writer = Arc::clone(self);
            tokio::task::spawn_blocking(move || writer.drain());
        }
        answer
            .await
            .unwrap_or_else(|_| Err(Undelivered::Retry { cause: "the server is stopping".to_owned() }))
    }

    /// Adds a put to the queue. Returns true if the caller must start a thread that drains it.
    fn enqueue(&self, waiting: Waiting) -> bool {
        let mut queue = lock(&self.queue);
        queue.waiting.push(waiting);
        !std::mem::replace(&mut queue.draining, true)
    }

    fn drain(&self) {
        while let Some(batch) = self.next_batch() {
            let (lines, waiters): (Vec<Bytes>, Vec<_>) = batch.into_iter().map(|w| (w.line, w.done)).unzip();
            let outcome = self.append(&lines).map_err(|error| self.undelivered(&error));
            for waiter in waiters {
                // The line of a put that is no longer awaited is written all the same.
                let _ = waiter.send(outcome.clone());
            }
        }
    }

    fn next_batch(&self) -> Option<Vec<Waiting>> {
        let mut queue = lock(&self.queue);
        queue.draining = !queue.waiting.is_empty();
        queue.draining.then(|| std::mem::take(&mut queue.waiting))
    }

    /// Writes all lines and syncs them. After an error the file is reopened, which ends a half-written line.
    fn append(&self, lines: &[Bytes]) -> io::Result<()> {
        let mut slot = lock(&self.current);
        let mut current = match slot.take() {
            Some(current) if current.is_at(&self.destination.path) => current,
            Some(_) | None => CurrentFile::open(&self.destination.path)?,
        };
        let mut gathered = Vec::new();
        for line in lines {
            let filled_bytes = current.bytes + bytes_of(&gathered);
            if filled_bytes > 0 && filled_bytes + bytes_of(line) + 1 > self.destination.file_bytes_max {
                current.write(&gathered)?;
                gathered.clear();
                current = self.rotate(current)?;
            }
            gathered.extend_from_slice(line);
            gathered.push(b'\n');
        }
        current.write(&gathered)?;
        *slot = Some(current);
        Ok(())
    }

    fn rotate(&self, full: CurrentFile) -> io::Result<CurrentFile> {
        drop(full);
        let path = &self.destination.path;
        for number in (1..self.destination.files_max.get()).rev() {
            move_if_there(&numbered(path, number), &numbered(path, number + 1))?;
        }
        move_if_there(path, &numbered(path, 1))?;
        CurrentFile::open(path)
    }

    fn undelivered(&self, error: &io::Error) -> Undelivered {
        let cause = one_line(&format!("file {}: {error}", self.destination.path.display()));
        match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::InvalidInput => Undelivered::Gone { cause },
            _ => Undelivered::Retry { cause },
        }
    }
}

/// The open file and its size.
struct CurrentFile {
    file: File,
    bytes: u64,
}

impl CurrentFile {
    /// Opens or creates the file, starts a new line for the next record if necessary, and makes the file's
    /// name durable.
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut bytes = metadata.len();
        if bytes > 0 && last_byte(&mut file)? != b'\n' {
            file.write_all(b"\n")?;
            bytes += 1;
        }
        sync_directory_of(path)?;
        Ok(Self { file, bytes })
    }

    /// True if `path` still names this file.
    fn is_at(&self, path: &Path) -> bool {
        let (Ok(own), Ok(named)) = (self.file.metadata(), fs::metadata(path)) else { return false };
        (own.dev(), own.ino()) == (named.dev(), named.ino())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.file.write_all(lines)?;
        self.file.sync_data()?;
        self.bytes += bytes_of(lines);
        Ok(())
    }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn bytes_of(lines: &[u8]) -> u64 {
    u64::try_from(lines.len()).unwrap_or(u64::MAX)
}

/// Locks a mutex. The state behind it is consistent even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
