//! The signal that stops the server.

use tokio::sync::watch;

/// Waits until the server is told to stop, or nobody is left who could tell.
pub async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
