//! Options of the listening socket, which the operating system passes on to every accepted one.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io;
use rustix::net::sockopt::{set_socket_send_buffer_size, set_tcp_user_timeout};

/// The size of a connection's send buffer in the kernel, in bytes, which the memory budget does not include.
/// The kernel doubles it for its own bookkeeping.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Sets the options of connections that `listener` accepts. `stall_max` is the time in which a peer must acknowledge
/// data.
///
/// The program sees a stall only once the send buffer is full. A small answer, or a live channel with nothing but
/// heartbeats, never fills it, so the kernel has to watch what is in the buffer. It ends the connection of a peer that
/// acknowledges nothing, and of one that keeps its receive window closed, if data was pending for that long.
pub fn prepare(listener: &impl AsFd, stall_max: Duration) {
    let millis = u32::try_from(stall_max.as_millis()).unwrap_or(u32::MAX);
    warn_of(
        "send buffers have the system's default size",
        set_socket_send_buffer_size(listener, SEND_BUFFER_BYTES),
    );
    warn_of("peers that vanish are noticed late", set_tcp_user_timeout(listener, millis));
}

fn warn_of(effect: &str, set: io::Result<()>) {
    if let Err(error) = set {
        tracing::warn!(%error, "an option of the listening socket could not be set: {effect}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write as _};
    use std::net::{Ipv4Addr, SocketAddr};

    use rustix::net::sockopt::{set_socket_recv_buffer_size, tcp_user_timeout};
    use rustix::net::{AddressFamily, SocketType, connect, socket};
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    const STALL_MAX: Duration = Duration::from_millis(500);
    /// The time after which the test gives up.
    const PATIENCE: Duration = Duration::from_secs(30);

    async fn prepared() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        prepare(&listener, STALL_MAX);
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn an_accepted_connection_has_the_time_limit_of_the_listener() {
        let (listener, address) = prepared().await;
        let (_peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        assert_eq!(tcp_user_timeout(accepted.unwrap().0), Ok(500));
    }

    #[tokio::test]
    async fn a_silent_peer_is_ended_though_the_send_buffer_had_room_for_its_data() {
        let (listener, address) = prepared().await;
        let peer = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        set_socket_recv_buffer_size(&peer, 4096).unwrap();
        connect(&peer, &address).unwrap();
        let accepted = listener.accept().await.unwrap().0.into_std().unwrap();
        (&accepted).write_all(&vec![0; SEND_BUFFER_BYTES / 2]).unwrap();
        let mut accepted = TcpStream::from_std(accepted).unwrap();
        let ended = timeout(PATIENCE, accepted.read(&mut [0; 1])).await.expect("the peer is kept");
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
