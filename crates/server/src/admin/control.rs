//! The control socket: operator commands sent to a running server. It is a Unix socket in the data directory,
//! with one line of JSON in and one line of JSON out. Anyone who can open the socket can do everything, so
//! only this user may.

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

const SOCKET_FILE: &str = "control.sock";
/// The longest socket path that the operating system accepts, in bytes.
const PATH_BYTES_MAX: usize = 100;
/// The longest request, in bytes.
const QUESTION_BYTES_MAX: u64 = 64 * 1024;
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Connections at a time; more wait to be accepted. A connection that sends no request is closed soon, so
/// many of them delay a request but do not stop it.
const CONNECTIONS_MAX: usize = 256;
/// The time limit for a connection to send its request.
const ARRIVAL_SECONDS_MAX: u64 = 2;
/// Requests in progress at a time; more wait.
const QUESTIONS_MAX: usize = 16;
/// The time limit of one request, from its arrival to the end of the answer.
const QUESTION_SECONDS_MAX: u64 = 60;

/// A request to a running server.
#[derive(Serialize, Deserialize)]
enum Question {
    /// The address that it listens on.
    Address,
    /// Its readiness.
    Ready,
    /// The result of a command, which the server carries out.
    Do(Verb),
}

/// An answer: the result, or the error in one line.
type Reply<T> = Result<T, OperatorError>;

/// A path to the socket that is short enough for the operating system, and the folder that keeps it valid.
fn path(dir: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = dir.join(SOCKET_FILE);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path, None));
    }
    // An open folder makes a path of any depth short.
    let folder = File::open(dir)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_FILE}", folder.as_raw_fd())), Some(folder)))
}

/// The server's side. The socket is removed on drop.
pub struct Control {
    listener: UnixListener,
    dir: PathBuf,
}

impl Control {
    /// Opens the socket in `dir`, which the caller has locked, so that an existing socket is a dead server's.
    /// The process's umask makes it private from the start; its exact mode is set right after.
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
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let questions = Arc::new(Semaphore::new(QUESTIONS_MAX));
        loop {
            let Ok(connection) = Arc::clone(&connections).acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control socket could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (app, address, questions) = (Arc::clone(app), address.to_owned(), Arc::clone(&questions));
            tokio::spawn(async move {
                let _connection = connection;
                match converse(&app, &address, &questions, stream).await {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        tracing::warn!(%error, "a request on the control socket took too long");
                    }
                    Err(error) => tracing::debug!(%error, "a request on the control socket failed"),
                }
            });
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A socket that stays is removed by the next start.
        let _ = std::fs::remove_file(self.dir.join(SOCKET_FILE));
    }
}

/// Reads one request and answers it.
async fn converse(app: &App, address: &str, questions: &Semaphore, mut stream: UnixStream) -> io::Result<()> {
    let Some(line) = question(&mut stream, Duration::from_secs(ARRIVAL_SECONDS_MAX)).await? else {
        return Ok(());
    };
    let time = Duration::from_secs(QUESTION_SECONDS_MAX);
    tokio::time::timeout(time, async {
        let _place = questions.acquire().await.map_err(io::Error::other)?;
        answer(app, address, &line, stream).await
    })
    .await?
}

/// The line that the peer sends within `time`; `None` if it only probed for a server, or sends nothing.
async fn question(stream: &mut UnixStream, time: Duration) -> io::Result<Option<String>> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(QUESTION_BYTES_MAX));
    match tokio::time::timeout(time, reader.read_line(&mut line)).await {
        Ok(read) => Ok((read? > 0).then_some(line)),
        Err(_) => Ok(None),
    }
}

async fn answer(app: &App, address: &str, line: &str, mut stream: UnixStream) -> io::Result<()> {
    let reply = match serde_json::from_str(line) {
        Ok(Question::Address) => line_of(&Reply::Ok(address)),
        Ok(Question::Ready) => line_of(&app.state.readiness().await),
        Ok(Question::Do(verb)) => {
            tracing::info!(?verb, "operator command");
            line_of(&admin::execute(app, verb).await)
        }
        Err(error) => line_of(&Reply::<()>::Err(format!("the request is not understood: {error}").into())),
    };
    stream.write_all(reply?.as_bytes()).await?;
    stream.shutdown().await
}

fn line_of<T: Serialize>(value: &T) -> io::Result<String> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    Ok(line)
}

/// Connects to the server that has locked `dir`, if one answers.
pub async fn connect(dir: &Path) -> io::Result<UnixStream> {
    let (path, _folder) = path(dir)?;
    UnixStream::connect(path).await
}

/// Asks the server to carry out a verb.
pub async fn ask(stream: UnixStream, verb: Verb) -> Reply<Answer> {
    put(stream, &Question::Do(verb)).await
}

/// Asks the server for its address, as the beginning of a URL.
pub async fn ask_address(stream: UnixStream) -> Reply<String> {
    put(stream, &Question::Address).await
}

/// Asks the server whether it is ready; the error is the reason if not.
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

#[cfg(test)]
mod tests {
    use carryall_store::{StoreOptions, StoreUrl};

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, Settings};
    use crate::trust::root_key::RootKey;
    use crate::trust::seal::MasterKey;

    async fn app() -> Arc<App> {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let config = Config::check(Settings::default()).unwrap();
        let clock = Clock::system();
        let (master, root) = (MasterKey::generate(&clock), RootKey::generate(&clock));
        App::open(config, store, &master, root, clock).await.ok().unwrap()
    }

    #[tokio::test]
    async fn connections_that_say_nothing_do_not_keep_a_verb_waiting() {
        let home = tempfile::tempdir().unwrap();
        let control = Control::open(home.path()).unwrap();
        let app = app().await;
        let server = tokio::spawn(async move { control.serve(&app, "http://127.0.0.1:1").await });
        let mut idle = Vec::new();
        for _ in 0..QUESTIONS_MAX * 4 {
            idle.push(connect(home.path()).await.unwrap());
        }
        let stream = connect(home.path()).await.unwrap();
        // Well below the time after which earlier versions closed idle connections.
        let answer = tokio::time::timeout(Duration::from_secs(QUESTION_SECONDS_MAX / 2), ask_ready(stream));
        assert_eq!(answer.await.unwrap(), Ok(()));
        server.abort();
    }

    #[tokio::test]
    async fn a_connection_that_sends_no_whole_line_in_time_has_no_question() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"{\"Do\"").await.unwrap();
        assert_eq!(question(&mut ours, Duration::from_millis(1)).await.unwrap(), None);
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"\"Ready\"\n").await.unwrap();
        let line = question(&mut ours, Duration::from_secs(ARRIVAL_SECONDS_MAX)).await.unwrap();
        assert_eq!(line.as_deref(), Some("\"Ready\"\n"));
    }
}
