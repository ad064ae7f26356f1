//! The signal that stops the server.

use tokio::sync::watch;

/// Waits for the signal to stop, or until its sender is gone.
pub async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
