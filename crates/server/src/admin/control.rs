//! The ear of a running server for the operators' verbs: a Unix socket in the data directory, one line of JSON in, one
//! line of JSON out. Whoever may open the socket may do everything, so it is for this user alone.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::admin::{self, Answer, OperatorError, Verb};
use crate::app::App;
use crate::request::probes;

const SOCKET_FILE: &str = "control.sock";
/// Longest path that the operating system takes for a socket, in bytes.
const PATH_BYTES_MAX: usize = 100;
/// Longest question, in bytes.
const QUESTION_BYTES_MAX: u64 = 64 * 1024;
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Questions worked on at a time; more wait to be accepted.
const QUESTIONS_MAX: usize = 16;
/// Time for one question, from the connection to the answer.
const QUESTION_SECONDS_MAX: u64 = 60;

/// What a running server can be asked.
#[derive(Serialize, Deserialize)]
enum Question {
    /// Where it listens.
    Address,
    /// Whether it is ready.
    Ready,
    /// To do a verb.
    Do(Verb),
}

/// What it answers: the outcome, or in one line why there is none.
type Reply<T> = Result<T, OperatorError>;

/// A path to the socket that is short enough for the operating system, and what keeps it valid.
fn path(dir: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = dir.join(SOCKET_FILE);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path, None));
    }
    // Through an open folder any depth can be reached.
    let folder = File::open(dir)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_FILE}", folder.as_raw_fd())), Some(folder)))
}

/// The server's side. The socket is removed when it is dropped.
pub struct Control {
    listener: UnixListener,
    dir: PathBuf,
}

impl Control {
    /// Opens the socket in `dir`, which the caller holds: one that lies there is a dead server's. The process's umask
    /// makes it private from its first moment; its exact mode is set right after.
    pub fn open(dir: &Path) -> io::Result<Self> {
        match std::fs::remove_file(dir.join(SOCKET_FILE)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (path, _folder) = path(dir)?;
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, dir: dir.to_owned() })
    }

    /// Answers until dropped.
    pub async fn serve(&self, app: &Arc<App>, address: &str) {
        let room = Arc::new(Semaphore::new(QUESTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control socket could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (app, address) = (Arc::clone(app), address.to_owned());
            tokio::spawn(async move {
                let _place = place;
                let time = Duration::from_secs(QUESTION_SECONDS_MAX);
                match tokio::time::timeout(time, answer(&app, &address, stream)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "a question on the control socket failed"),
                    Err(_) => tracing::warn!("a question on the control socket took too long"),
                }
            });
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // One that stays is removed by the next start.
        let _ = std::fs::remove_file(self.dir.join(SOCKET_FILE));
    }
}

async fn answer(app: &App, address: &str, mut stream: UnixStream) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new((&mut stream).take(QUESTION_BYTES_MAX)).read_line(&mut line).await?;
    if line.is_empty() {
        // Somebody looked whether a server is here.
        return Ok(());
    }
    let reply = match serde_json::from_str(&line) {
        Ok(Question::Address) => line_of(&Reply::Ok(address)),
        Ok(Question::Ready) => line_of(&probes::readiness(app).await),
        Ok(Question::Do(verb)) => {
            tracing::info!(?verb, "an operator asks");
            line_of(&admin::execute(app, verb).await)
        }
        Err(error) => line_of(&Reply::<()>::Err(format!("the question is not understood: {error}").into())),
    };
    stream.write_all(reply?.as_bytes()).await?;
    stream.shutdown().await
}

fn line_of<T: Serialize>(value: &T) -> io::Result<String> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    Ok(line)
}

/// Reaches the server that holds `dir`, if one answers.
pub async fn connect(dir: &Path) -> io::Result<UnixStream> {
    let (path, _folder) = path(dir)?;
    UnixStream::connect(path).await
}

/// Has the server do a verb.
pub async fn ask(stream: UnixStream, verb: Verb) -> Reply<Answer> {
    put(stream, &Question::Do(verb)).await
}

/// Where the server listens, as the beginning of a URL.
pub async fn ask_address(stream: UnixStream) -> Reply<String> {
    put(stream, &Question::Address).await
}

/// Whether the server is ready; if not, why.
pub async fn ask_ready(stream: UnixStream) -> Reply<()> {
    put(stream, &Question::Ready).await
}

async fn put<T: DeserializeOwned>(stream: UnixStream, question: &Question) -> Reply<T> {
    let time = Duration::from_secs(QUESTION_SECONDS_MAX);
    let line = tokio::time::timeout(time, exchange(stream, question)).await;
    let line = line
        .map_err(|_| "the running server does not answer on its control socket".to_owned())?
        .map_err(|error| format!("the running server's control socket: {error}"))?;
    serde_json::from_str::<Reply<T>>(&line).map_err(|error| {
        format!("the running server's answer is not understood, perhaps it is of another version: {error}")
    })?
}

async fn exchange(mut stream: UnixStream, question: &Question) -> io::Result<String> {
    stream.write_all(line_of(question)?.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut line).await?;
    Ok(line)
}
