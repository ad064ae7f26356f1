//! H, the bare HTTP server: the library that the program is built on, with a fixed JSON answer, in a separate
//! process so that its processor time is separate from the generator's.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::load::{self, Lane};
use crate::measure::{Meter, Row};
use crate::outcome::Outcome;
use crate::process::ProcessId;
use crate::server;

/// The subcommand with which this program becomes the echo server.
pub(crate) const SUBCOMMAND: &str = "echo-server";

/// The request.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

/// The answer: about 300 bytes, as for a listing of nothing new.
pub(crate) const ANSWER: &str = concat!(
    r#"{"Records":[],"NextToken":null,"Count":0,"DatasetSyncCount":10,"LastModifiedBy":"#,
    r#""us-east-1:00000000-0000-0000-0000-000000000000","MergedDatasetNames":[],"DatasetExists":true,"#,
    r#""DatasetDeletedAfterRequestedSyncCount":false,"SyncSessionToken":"#,
    r#""AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8w"}"#,
);

const START_SECONDS_MAX: u64 = 30;

/// Sends requests to an echo server over `clients` connections until the end of the cell.
pub(crate) async fn measure(name: &'static str, clients: usize, cell: Duration) -> Outcome<Row> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(SUBCOMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let address = server::addresses(&mut child).recv_timeout(Duration::from_secs(START_SECONDS_MAX))?;
    let mut lanes = Lane::open(address, clients).await?;
    for lane in &mut lanes {
        lane.queue.push_back(REQUEST.to_vec());
    }
    let meter = Meter::of(ProcessId(child.id()));
    let mut row = Row::new(name, clients)?;
    let before = meter.read()?;
    load::cycle(&mut lanes, Instant::now() + cell, &row.latencies).await?;
    meter.add_since(&before, &mut row)?;
    child.kill()?;
    child.wait()?;
    Ok(row)
}

/// Serves until standard input ends, so that it never outlives the process that started it.
pub(crate) fn serve_as_process() -> Outcome<()> {
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        serve(listener).await
    })
}

/// Answers every request with [`ANSWER`].
pub(crate) async fn serve(listener: TcpListener) -> Outcome<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}
