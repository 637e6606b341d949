//! Listening sockets: parses the value of `--listen`, and opens the listeners.

pub(super) mod deferring;
mod inherited;
mod tcp;
mod unix;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::str::FromStr;

use log::debug;

pub use self::inherited::InheritedSocket;
use self::inherited::InheritedSockets;
pub use self::tcp::{Bind, url_of};
pub(super) use self::unix::CreatedPath;
pub use self::unix::{UnixSocket, UnixSocketMode};
use crate::semantics::request::Endpoint;

/// The length of the backlog. The system reduces it to its own limit.
const BACKLOG: i32 = 4096;

/// Where to listen: one value of `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// On a TCP port; 0 picks a free one.
    Tcp(Bind, u16),
    /// On a Unix socket at this path.
    Unix(PathBuf),
    /// On a socket that the process inherits, already listening.
    Inherited(InheritedSocket),
}

impl ListenAddress {
    /// The TCP port to open.
    pub fn port(&self) -> Option<u16> {
        match self {
            ListenAddress::Tcp(_, port) => Some(*port),
            ListenAddress::Unix(_) | ListenAddress::Inherited(_) => None,
        }
    }
}

/// Parses `ADDRESS:PORT`, `unix:PATH`, `fd:NUMBER` or `fd:NAME`. The error is one line without the value.
impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(value: &str) -> Result<ListenAddress, String> {
        if let Some(path) = value.strip_prefix("unix:") {
            return unix::parse_path(path).map(ListenAddress::Unix);
        }
        if let Some(socket) = value.strip_prefix("fd:") {
            return socket.parse().map(ListenAddress::Inherited);
        }
        let expected = "expected ADDRESS:PORT, unix:PATH, or fd:NUMBER or fd:NAME";
        if value.ends_with(']') {
            return Err(format!("the port is missing, as in {}:80", value.escape_debug()));
        }
        let (address, port) = value.rsplit_once(':').ok_or(expected)?;
        // Without brackets it would be unclear where the address ends.
        if address.contains(':') && !(address.starts_with('[') && address.ends_with(']')) {
            return Err(format!("{expected}; an IPv6 address is written in brackets"));
        }
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number);
        let port = port.ok_or("the port must be a number from 0 to 65535")?;
        Ok(ListenAddress::Tcp(address.parse()?, port))
    }
}

/// How listeners are opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenOptions {
    /// The permissions of Unix sockets.
    pub unix_mode: UnixSocketMode,
    /// Whether other processes of the same user may listen on the same TCP ports, if they set this option as well.
    pub reuse_port: bool,
}

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener, Owner),
    /// A Unix socket.
    Unix(UnixSocket),
}

/// Who holds a listening socket open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This process alone. Connections in the backlog are reset when it closes the socket.
    Process,
    /// Also the service manager that the process inherited the socket from. Connections in the backlog wait for its next
    /// process.
    ServiceManager,
}

/// Where a listener can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A path; `None` for an inherited socket that has none.
    Unix(Option<PathBuf>),
}

impl Listener {
    /// Where the listener can be reached.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_address(&self) -> io::Result<LocalAddress> {
        match self {
            Listener::Tcp(listener, _) => listener.local_addr().map(LocalAddress::Tcp),
            Listener::Unix(socket) => socket.path().map(LocalAddress::Unix),
        }
    }

    /// Lets the system hold back connections until their clients have sent something, if it can. Whoever opened an inherited
    /// socket decides about that one.
    fn defer_accepting(&self) {
        if let Listener::Tcp(listener, Owner::Process) = self
            && let Err(reason) = deferring::begin(listener)
        {
            debug!("connections are accepted before their requests arrive: {reason}");
        }
    }

    /// Who holds the socket open.
    pub fn owner(&self) -> Owner {
        match self {
            Listener::Tcp(_, owner) => *owner,
            Listener::Unix(socket) => socket.owner(),
        }
    }
}

/// Why a listener could not be opened.
#[derive(Debug)]
pub struct ListenError {
    at: String,
    reason: String,
}

impl ListenError {
    fn new(at: impl fmt::Display, reason: impl fmt::Display) -> ListenError {
        ListenError { at: at.to_string(), reason: reason.to_string() }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.at, self.reason)
    }
}

impl std::error::Error for ListenError {}

/// Opens the listeners of all addresses, `public` ones and those for the administrator (`admin`). `localhost` has two,
/// if the machine has both of its addresses.
///
/// # Errors
/// If an address is in use, cannot be used, or does not belong to this machine, or if the process has not inherited
/// such a socket. The listeners before it are closed.
pub fn open(
    public: &[ListenAddress],
    admin: &[ListenAddress],
    options: ListenOptions,
) -> Result<Vec<(Endpoint, Listener)>, ListenError> {
    // Of several processes on one port, a scrape would reach now this one and now that one.
    let admin_options = ListenOptions { reuse_port: false, ..options };
    let public = public.iter().map(|address| (Endpoint::Public, address, options));
    let admin = admin.iter().map(|address| (Endpoint::Admin, address, admin_options));
    // One for all, because reading the environment empties it.
    let mut inherited = None;
    let mut listeners = Vec::new();
    for (endpoint, address, options) in public.chain(admin) {
        let opened = open_address(address, options, &mut inherited)?;
        // The administrator's few connections would gain nothing. Their listeners close without a wait when the process ends.
        if endpoint == Endpoint::Public {
            opened.iter().for_each(Listener::defer_accepting);
        }
        listeners.extend(opened.into_iter().map(|listener| (endpoint, listener)));
    }
    Ok(listeners)
}

fn open_address(
    address: &ListenAddress,
    options: ListenOptions,
    inherited: &mut Option<InheritedSockets>,
) -> Result<Vec<Listener>, ListenError> {
    match address {
        ListenAddress::Tcp(at, port) => {
            let opened = tcp::listeners(*at, *port, options.reuse_port)?;
            Ok(opened.into_iter().map(|listener| Listener::Tcp(listener, Owner::Process)).collect())
        }
        ListenAddress::Unix(path) => Ok(vec![Listener::Unix(UnixSocket::bind(path, options.unix_mode)?)]),
        // The environment is read only if it is needed, since other programs may have left variables there.
        ListenAddress::Inherited(socket) => {
            inherited.get_or_insert_with(InheritedSockets::from_environment).take(socket)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn only_public_tcp_listeners_of_this_process_hold_back_silent_connections() {
        let plain = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        // Not where SYN cookies are off.
        let is_possible = deferring::begin(plain()).is_ok();
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let (tcp, unix) = ("127.0.0.1:0".parse(), format!("unix:{}/socket", scratch.path().display()).parse());
        let (tcp, unix) = (tcp.expect("an address"), unix.expect("a path"));
        let public = [ListenAddress::clone(&tcp), unix];
        let listeners = open(&public, &[tcp], ListenOptions::default()).expect("free addresses");
        let are_on: Vec<_> = listeners
            .iter()
            .map(|(endpoint, listener)| match listener {
                Listener::Tcp(listener, _) => (*endpoint, deferring::is_on(listener)),
                Listener::Unix(_) => (*endpoint, false),
            })
            .collect();
        assert_eq!(are_on, [(Endpoint::Public, is_possible), (Endpoint::Public, false), (Endpoint::Admin, false)]);
        let inherited = Listener::Tcp(plain(), Owner::ServiceManager);
        inherited.defer_accepting();
        assert!(matches!(inherited, Listener::Tcp(listener, _) if !deferring::is_on(&listener)));
    }

    #[test]
    fn an_address_is_a_port_a_path_or_an_inherited_socket() {
        let parsed = |value: &str| value.parse::<ListenAddress>();
        assert_eq!(parsed("localhost:80"), Ok(ListenAddress::Tcp(Bind::Localhost, 80)));
        assert_eq!(parsed("[::]:0"), Ok(ListenAddress::Tcp(Bind::Address([0_u16; 8].into()), 0)));
        assert_eq!(parsed("127.0.0.1:65535"), Ok(ListenAddress::Tcp(Bind::Address([127, 0, 0, 1].into()), 65_535)));
        assert_eq!(parsed("unix:/run/a:b"), Ok(ListenAddress::Unix(PathBuf::from("/run/a:b"))));
        assert_eq!(parsed("fd:3"), Ok(ListenAddress::Inherited(InheritedSocket::Number(3))));
        assert_eq!(parsed("fd:web"), Ok(ListenAddress::Inherited(InheritedSocket::Name("web".to_owned()))));
        for (value, named) in [
            ("", "ADDRESS:PORT"),
            ("80", "ADDRESS:PORT"),
            ("::1:80", "brackets"),
            ("[::1]", "port is missing, as in [::1]:80"),
            ("127.0.0.1:", "port"),
            ("127.0.0.1:+80", "port"),
            ("127.0.0.1:65536", "port"),
            ("example.org:80", "IP address"),
            ("[fe80::1]:80", "%eth0"),
            ("unix:", "path"),
            ("fd:", "number or name"),
            ("fd:2", "from 3"),
        ] {
            let error = parsed(value).expect_err(value);
            assert!(error.contains(named), "{value}: {error}");
        }
    }
}
