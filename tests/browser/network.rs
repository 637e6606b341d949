//! A network between the browser and the server, which a test can hold and cut: a TCP proxy. The browser sees one address
//! throughout.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::harness::wait_until;

/// How long the bytes up to a hold may take: half a gigabyte on a machine that does much else.
const HOLD_WAIT_MAX: Duration = Duration::from_secs(90);

#[derive(Default)]
struct State {
    /// The bytes that were passed on to the server.
    bytes_forwarded: u64,
    /// The network holds back every byte to the server after so many.
    hold_at: Option<u64>,
    /// Whether bytes are being held back.
    holds: bool,
    is_cut: bool,
    /// A connection ends when its threads have.
    connections: Vec<Weak<Connection>>,
    has_ended: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    server: SocketAddr,
}

/// The network. Its threads end when it is dropped.
pub(crate) struct Network {
    shared: Arc<Shared>,
    port: u16,
}

impl Network {
    /// Connects a free port with the server that listens on `server_port`, now or later.
    pub(crate) fn start(server_port: u16) -> Network {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, server_port));
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), server });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&accepting, &listener));
        Network { shared, port }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Resets every connection, and from now on also every new one.
    pub(crate) fn cut(&self) {
        let mut state = self.shared.lock();
        state.is_cut = true;
        state.hold_at = None;
        state.connections.iter().filter_map(Weak::upgrade).for_each(|connection| connection.reset());
        self.shared.changed.notify_all();
    }

    /// Ends a [`cut`](Network::cut).
    pub(crate) fn restore(&self) {
        self.shared.lock().is_cut = false;
    }

    /// Passes `bytes` more bytes on to the server, and holds back all others until it is released.
    pub(crate) fn hold_after(&self, bytes: u64) {
        let mut state = self.shared.lock();
        state.hold_at = Some(state.bytes_forwarded + bytes);
        state.holds = false;
    }

    /// Waits until bytes are held back.
    pub(crate) fn wait_until_held(&self) {
        let started = Instant::now();
        let mut state = self.shared.lock();
        while !state.holds {
            let left = HOLD_WAIT_MAX.checked_sub(started.elapsed()).expect("the bytes up to the hold, in time");
            state = self.shared.changed.wait_timeout(state, left).expect("a state").0;
        }
    }

    /// Passes everything on again.
    pub(crate) fn release(&self) {
        let mut state = self.shared.lock();
        state.hold_at = None;
        state.holds = false;
        self.shared.changed.notify_all();
    }

    /// Waits until no byte has arrived from the browser for so long.
    pub(crate) fn wait_until_silent(&self, silence: Duration) {
        let (mut last, mut since) = (self.bytes_forwarded(), Instant::now());
        wait_until("silence", || {
            let now = self.bytes_forwarded();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            since.elapsed() >= silence
        });
    }

    /// How many bytes were passed on to the server, the heads of requests included.
    pub(crate) fn bytes_forwarded(&self) -> u64 {
        self.shared.lock().bytes_forwarded
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.cut();
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes that are about to be passed on to the server, after any hold.
    fn count(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.lock();
        while !state.is_cut && state.hold_at.is_some_and(|hold_at| state.bytes_forwarded >= hold_at) {
            state.holds = true;
            self.changed.notify_all();
            state = self.changed.wait(state).expect("a state");
        }
        state.bytes_forwarded += bytes;
        if state.is_cut { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

/// The two ends of a connection through the network.
struct Connection {
    browser: TcpStream,
    server: TcpStream,
}

impl Connection {
    /// Makes the threads of this connection end. When they have, both ends are closed, and with this option reset.
    fn reset(&self) {
        for stream in [&self.browser, &self.server] {
            // The connection may have ended already.
            let _ = set_socket_linger(stream, Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Read);
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for browser in listener.incoming() {
        let browser = browser.expect("a connection of the browser");
        let server = TcpStream::connect(shared.server);
        let mut state = shared.lock();
        if state.has_ended {
            return;
        }
        let (Ok(server), false) = (server, state.is_cut) else {
            // The drop resets it.
            let _ = set_socket_linger(&browser, Some(Duration::ZERO));
            continue;
        };
        let connection = Arc::new(Connection { browser, server });
        state.connections.retain(|connection| connection.strong_count() > 0);
        state.connections.push(Arc::downgrade(&connection));
        for is_upload in [true, false] {
            let (shared, connection) = (Arc::clone(shared), Arc::clone(&connection));
            thread::spawn(move || match is_upload {
                true => pass_on(&connection, &connection.browser, &connection.server, |bytes| shared.count(bytes)),
                false => pass_on(&connection, &connection.server, &connection.browser, |_| Ok(())),
            });
        }
    }
}

/// Passes bytes on until the connection ends. A reset of one end resets the other.
fn pass_on(connection: &Connection, from: &TcpStream, to: &TcpStream, count: impl Fn(u64) -> io::Result<()>) {
    let mut space = vec![0; 256 * 1024];
    let mut pass = || -> io::Result<usize> {
        let bytes = (&mut &*from).read(&mut space)?;
        count(bytes as u64)?;
        (&mut &*to).write_all(&space[..bytes])?;
        Ok(bytes)
    };
    loop {
        match pass() {
            Ok(0) => return to.shutdown(Shutdown::Write).unwrap_or(()),
            Ok(_) => {}
            Err(_) => return connection.reset(),
        }
    }
}
