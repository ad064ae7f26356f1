//! The signal that stops the server.

use tokio::sync::watch;

/// Waits until the server is told to stop, or until the sender of the signal is gone.
pub async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
