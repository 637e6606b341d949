//! What the attacker finds: a folder that is served, and what is outside of it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::path::{Path, PathBuf};

use spindle::system::confinement::{Files, FolderUse, Layers, confine};

/// Outside of the attacker's process.
pub(crate) struct World {
    scratch: tempfile::TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    _unix: UnixListener,
    _abstract: UnixListener,
}

impl World {
    pub(crate) fn new() -> World {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let folder = scratch.path().join("folder");
        fs::create_dir_all(folder.join("directory")).expect("a folder");
        fs::write(folder.join("file"), "served").expect("a file");
        fs::write(scratch.path().join("secret"), "secret").expect("a file");
        symlink(scratch.path().join("secret"), folder.join("link")).expect("a link");
        fs::create_dir(scratch.path().join("log")).expect("a directory");
        fs::write(scratch.path().join("log/access.log"), "log").expect("a file");
        fs::write(scratch.path().join("log/access.log.1"), "old log").expect("a file");
        let address = UnixAddress::from_abstract_name(abstract_name(scratch.path())).expect("a name");
        World {
            tcp: TcpListener::bind("127.0.0.1:0").expect("a listener"),
            udp: UdpSocket::bind("127.0.0.1:0").expect("a socket"),
            _unix: UnixListener::bind(scratch.path().join("socket")).expect("a listener"),
            _abstract: UnixListener::bind_addr(&address).expect("a listener"),
            scratch,
        }
    }

    /// What [`Scene::new`] needs.
    pub(crate) fn arguments(&self) -> [String; 3] {
        let port = |address: std::io::Result<SocketAddr>| address.expect("an address").port().to_string();
        let scratch = self.scratch.path().to_str().expect("a path that is text").to_owned();
        [scratch, port(self.tcp.local_addr()), port(self.udp.local_addr())]
    }
}

fn abstract_name(scratch: &Path) -> String {
    format!("spindle{}", scratch.display())
}

/// What the attacker has in its process. Opened before the confinement.
pub(crate) struct Scene {
    pub(crate) scratch: PathBuf,
    /// The folder that is served.
    pub(crate) folder: File,
    /// A program, as if the process had inherited it.
    pub(crate) program: File,
    /// Sockets that are not connected, as if the process had inherited them.
    pub(crate) udp: UdpSocket,
    pub(crate) tcp_port: u16,
    pub(crate) udp_port: u16,
    pub(crate) parent: u32,
}

impl Scene {
    pub(crate) fn new(arguments: &[String]) -> Scene {
        let [scratch, tcp, udp] = arguments else { panic!("{arguments:?}") };
        let scratch = PathBuf::from(scratch);
        Scene {
            folder: File::open(scratch.join("folder")).expect("the folder"),
            program: File::open("/bin/sh").expect("a shell"),
            udp: UdpSocket::bind("127.0.0.1:0").expect("a socket"),
            tcp_port: tcp.parse().expect("a port"),
            udp_port: udp.parse().expect("a port"),
            parent: std::os::unix::process::parent_id(),
            scratch,
        }
    }

    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    pub(crate) fn inside(&self, name: &str) -> PathBuf {
        self.scratch.join("folder").join(name)
    }

    pub(crate) fn abstract_address(&self) -> UnixAddress {
        UnixAddress::from_abstract_name(abstract_name(&self.scratch)).expect("a name")
    }

    /// Confines this process as a server that does `usage` in the folder, with an access log. Returns the line that says
    /// what is in force.
    pub(crate) fn confine(&self, layers: Layers, usage: FolderUse) -> String {
        use std::os::fd::AsFd;
        let files = Files {
            folder: Some((self.folder.as_fd(), usage)),
            appended: vec![self.outside("log/access.log")],
            ..Files::default()
        };
        confine(layers, &files, || ()).expect("a confinement").to_string()
    }
}
