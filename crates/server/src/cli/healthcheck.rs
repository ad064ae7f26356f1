//! `carryall healthcheck`: for supervisors and containers without an HTTP client.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::invocation::Invocation;
use super::{ownership, print};
use crate::admin::{OperatorError, control};
use crate::cli::banner::reachable;
use crate::config::Config;

/// The time limit of the whole check.
const CHECK_SECONDS_MAX: u64 = 5;
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

pub(super) async fn run(invocation: Invocation) -> Result<(), OperatorError> {
    let time = Duration::from_secs(CHECK_SECONDS_MAX);
    match tokio::time::timeout(time, check(&invocation.config)).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(format!("the server did not answer within {CHECK_SECONDS_MAX} seconds").into()),
    }
    print::either(invocation.output, &json!({ "Status": "ready" }), |_| "ready".to_owned())
}

async fn check(config: &Config) -> Result<(), OperatorError> {
    // A data directory's own server is asked, whatever listens on the configured address.
    if let Some(dir) = config.data_dir() {
        ownership::check_to_ask(dir)?;
        if let Ok(stream) = control::connect(dir).await {
            return control::ask_ready(stream).await;
        }
    }
    if config.listen.port() == 0 || config.tls.is_some() {
        return Err(
            "no server runs on the data directory; without one, this needs a fixed port without TLS".into()
        );
    }
    let address = reachable(config.listen);
    let answer =
        get_ready(address).await.map_err(|error| format!("no server answers on {address}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(status) => Err(format!("the server on {address} is not ready: {status} {body}").into()),
        None => Err(format!("the answer from {address} is not HTTP").into()),
    }
}

async fn get_ready(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
