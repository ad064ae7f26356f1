//! The listening side of the harness's small servers: a free port of the loopback, a thread per connection,
//! and the means to refuse connections for a while.

use std::collections::HashMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::until;

/// The time after which a silent connection is given up.
const SILENCE_SECONDS_MAX: u64 = 120;

/// The state that the test wants: connections accepted, refused, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Open,
    Refusing,
    Closed,
}

#[derive(Debug)]
struct State {
    wanted: Wanted,
    listening: bool,
    /// The connections in service, so that none of them outlives the door.
    connections: HashMap<u64, TcpStream>,
    taken: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

/// Locks a mutex. The state is consistent even if a thread panicked while it held the lock.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A listening port.
pub(super) struct Door {
    address: SocketAddr,
    shared: Arc<Shared>,
    listens: Option<JoinHandle<()>>,
}

impl fmt::Debug for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Door").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Door {
    /// Listens, and serves each connection on its own thread.
    pub(super) fn open(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = State { wanted: Wanted::Open, listening: true, connections: HashMap::new(), taken: 0 };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (serve, of_thread) = (Arc::new(serve), Arc::clone(&shared));
        let listens = thread::spawn(move || listen(listener, address, &of_thread, &serve));
        Self { address, shared, listens: Some(listens) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses connections from now on, or accepts them again. Every connection made after the return is
    /// affected.
    pub(super) fn refuse(&self, refusing: bool) {
        self.want(if refusing { Wanted::Refusing } else { Wanted::Open });
        let mut state = self.shared.state();
        while state.listening == refusing {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Closes every open connection.
    pub(super) fn hang_up(&self) {
        for connection in self.shared.state().connections.values() {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    fn want(&self, wanted: Wanted) {
        self.shared.state().wanted = wanted;
        self.shared.changed.notify_all();
        // The accepting thread reads the wanted state when it gets a connection.
        drop(TcpStream::connect(self.address));
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.want(Wanted::Closed);
        self.hang_up();
        if let Some(listens) = self.listens.take() {
            let _ = listens.join();
        }
    }
}

fn listen(
    mut listener: TcpListener,
    address: SocketAddr,
    shared: &Arc<Shared>,
    serve: &Arc<impl Fn(TcpStream) + Send + Sync + 'static>,
) {
    loop {
        let accepted = listener.accept();
        let mut state = shared.state();
        match (state.wanted, accepted) {
            (Wanted::Closed, _) => return,
            (Wanted::Open, Ok((connection, _))) => {
                let Ok(kept) = connection.try_clone() else { continue };
                let number = state.taken;
                state.taken += 1;
                state.connections.insert(number, kept);
                drop(state);
                let limit = Some(Duration::from_secs(SILENCE_SECONDS_MAX));
                let _ = connection.set_read_timeout(limit);
                let _ = connection.set_nodelay(true);
                let (serve, shared) = (Arc::clone(serve), Arc::clone(shared));
                thread::spawn(move || {
                    serve(connection);
                    shared.state().connections.remove(&number);
                });
            }
            (Wanted::Open, Err(_)) => {}
            (Wanted::Refusing, _) => {
                drop(listener);
                state.listening = false;
                shared.changed.notify_all();
                while state.wanted == Wanted::Refusing {
                    state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.wanted == Wanted::Closed {
                    return;
                }
                listener = until("the port is free again", || TcpListener::bind(address).ok());
                state.listening = true;
                shared.changed.notify_all();
            }
        }
    }
}
