//! The start: the banner, and the errors that prevent it.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener};

use spindle::config::USAGE;

use crate::harness::{Client, Exited, Server, Start, raise_descriptor_limit};

/// An address that no machine has: it is reserved for documentation (RFC 5737).
const UNASSIGNED_ADDRESS: &str = "192.0.2.1";

/// The first line of the banner of a server without a directory.
const NO_FILES: &str = "Serving no files: no directory is given.\n";

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Starts the server with these options only, and waits until it exits.
fn start(options: &[&str]) -> Exited {
    Start::new().without_port().options(options.iter().copied()).run_to_exit()
}

/// Asserts that the server printed only readable lines to standard error, and that they contain `word`.
fn assert_is_clear(ended: &Exited, lines: usize, code: i32, word: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), lines, "{ended:?}");
    assert!(ended.stderr.ends_with('\n'), "{ended:?}");
    assert!(ended.stderr.lines().all(|line| line.starts_with("spindle: ")), "{ended:?}");
    assert!(ended.stderr.contains(word), "{word} is missing: {ended:?}");
    for word in ["panic", "RUST_BACKTRACE", "src/", "Os {"] {
        assert!(!ended.stderr.contains(word), "{word}: {ended:?}");
    }
    assert!(!ended.stderr.chars().any(|character| character.is_control() && character != '\n'), "{ended:?}");
}

fn assert_start_fails(options: &[&str], word: &str) {
    assert_is_clear(&start(options), 1, 1, word);
}

fn assert_usage_is_wrong(options: &[&str], word: &str) {
    let ended = start(options);
    assert_is_clear(&ended, 2, 2, word);
    assert!(ended.stderr.contains("--help"), "{ended:?}");
}

#[test]
fn a_missing_directory_and_a_file_in_its_place_are_named() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let file = scratch.path().join("file");
    fs::write(&file, "").expect("a file");
    let missing = scratch.path().join("missing");
    assert_start_fails(&["--port", "0", "--directory", missing.to_str().expect("text")], "missing");
    assert_start_fails(&["--port", "0", "--directory", file.to_str().expect("text")], "file");
    assert_start_fails(&["--port", "0", "--directory", "/nowhere\u{1b}[31m\nspindle: forged"], "nowhere");
}

#[test]
fn a_port_in_use_is_named_with_its_address() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    assert_start_fails(&["--port", &port.to_string()], &format!("127.0.0.1:{port}"));
    if !has_ipv6() {
        println!("skipped: this machine has no [::1]");
        return;
    }
    let taken = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    assert_start_fails(&["--port", &port.to_string()], &format!("[::1]:{port}"));
    assert_start_fails(&["--port", &port.to_string(), "--bind", "::"], &format!("[::]:{port}"));
}

#[test]
fn a_port_is_free_again_as_soon_as_its_server_has_exited() {
    let mut first = Server::plain();
    let port = first.port().to_string();
    assert_start_fails(&["--port", &port], "in use");
    // A connection that the server closes first keeps the port in TIME_WAIT.
    let mut client = first.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.rest();
    drop(client);
    first.signal(rustix::process::Signal::TERM);
    assert_eq!(first.wait(), Some(0));
    let second = Start::new().without_port().options(["--port", port.as_str()]).start();
    assert_eq!(second.get("/").status, 200);
}

#[test]
fn an_address_of_another_machine_is_named() {
    assert_start_fails(&["--port", "0", "--bind", UNASSIGNED_ADDRESS], UNASSIGNED_ADDRESS);
    assert_start_fails(&["--port", "0", "--bind", "2001:db8::1"], "2001:db8::1");
}

#[test]
fn errors_in_the_options_are_named() {
    assert_usage_is_wrong(&["--prot", "80"], "--prot");
    assert_usage_is_wrong(&["-x"], "-x");
    assert_usage_is_wrong(&["folder", "stray"], "stray");
    assert_usage_is_wrong(&["folder", "stray\u{1b}]0;title\u{7}\nspindle: forged"], "stray");
    for port in ["65536", "-1", "+80", "http", "", "0x50", "80 ", "99999999999999999999"] {
        assert_usage_is_wrong(&["--port", port], "--port");
    }
    for address in ["example.org", "127.0.0.1:80", "", "1.2.3", "[::1", "127.0.0.01"] {
        assert_usage_is_wrong(&["--bind", address], "--bind");
    }
    for timeout in ["0", "-1", "1.5", "10s", "", "86401", "18446744073709551616"] {
        assert_usage_is_wrong(&["--head-timeout", timeout], "--head-timeout");
        assert_usage_is_wrong(&["--idle-timeout", timeout], "--idle-timeout");
    }
    for size in ["", "M", "-1", "1 M", "1MB", "18446744073709551615K", "1.5G"] {
        assert_usage_is_wrong(&["--max-upload", size], "--max-upload");
    }
    for policy in ["", "on", "Off", "replace,create"] {
        assert_usage_is_wrong(&["--uploads", policy], "--uploads");
    }
    assert_usage_is_wrong(&["--directory", ""], "--directory");
    for option in ["--port", "--bind", "--directory", "--uploads", "--max-upload", "--head-timeout", "--idle-timeout"] {
        assert_usage_is_wrong(&[option], option);
    }
    assert_usage_is_wrong(&["--port", "0", "--port", "0"], "--port");
    assert_usage_is_wrong(&["--strict", "--strict"], "--strict");
    assert_usage_is_wrong(&["-q", "-v"], "--quiet");
    assert_usage_is_wrong(&["--strict=yes"], "yes");
    assert_usage_is_wrong(&["-port", "80"], "--port");
    assert_usage_is_wrong(&["--no-list", "/"], "--no-list");
    for option in [&["--fsync"][..], &["--max-upload", "1G"], &["--upload-max-age", "1"], &["--uploads-pending", "1"]] {
        for without_uploads in [&["/"][..], &["/", "--site"], &["/", "--uploads", "off"], &["-d/", "--uploads", "off"]]
        {
            assert_usage_is_wrong(&[option, without_uploads].concat(), option[0]);
        }
    }
}

#[test]
fn an_error_sets_the_exit_code_even_if_stderr_cannot_be_written() {
    let ended = Start::new().options(["--bind", UNASSIGNED_ADDRESS]).stderr_to("/dev/full").run_to_exit();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let ended = Start::new().options(["--prot"]).stderr_to("/dev/full").run_to_exit();
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn a_free_port_is_the_same_on_every_address_and_the_banner_lists_each() {
    let server = Server::plain();
    let port = server.port();
    assert_ne!(port, 0);
    let expected = match has_ipv6() {
        true => format!("Listening on http://127.0.0.1:{port}\nListening on http://[::1]:{port}\n"),
        false => format!("Listening on http://127.0.0.1:{port}\n"),
    };
    assert_eq!(server.banner, format!("{NO_FILES}{expected}"));
    for address in &server.addresses {
        assert_eq!(Client::connect(*address).get("/echo/here").text(), "here", "{address}");
    }
}

#[test]
fn the_banner_names_the_directory_and_whether_uploads_are_on() {
    for (options, permissions) in [
        (&[][..], "others may read, add and replace files"),
        (&["--uploads", "create"], "others may read, and add files"),
        (&["--uploads", "off"], "others may read"),
    ] {
        let server = Start::new().directory().options(options.iter().copied()).start();
        let directory = server.directory().canonicalize().expect("a directory");
        let expected = format!("Serving {} at /files/: {permissions}.\n", directory.display());
        assert!(server.banner.starts_with(&expected), "{}", server.banner);
    }
}

#[test]
fn a_single_address_is_the_only_one_served() {
    let server = Start::new().options(["-b", "127.0.0.1"]).start();
    assert_eq!(server.banner, format!("{NO_FILES}Listening on http://127.0.0.1:{}\n", server.port()));
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_unspecified_ipv6_address_includes_ipv4() {
    if !has_ipv6() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let server = Start::new().options(["--bind", "::"]).start();
    // The banner contains only URLs that a client can use.
    assert!(!server.banner.contains("[::]"), "{}", server.banner);
    assert!(server.banner.contains(&format!("Listening on http://[::1]:{}\n", server.port())), "{}", server.banner);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    assert_eq!(Client::connect(address).get("/").status, 200, "over IPv4");
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, server.port()));
    assert_eq!(Client::connect(address).get("/").status, 200, "over IPv6");
}

#[test]
fn ipv4_clients_of_an_ipv6_socket_are_counted_by_their_ipv4_address() {
    if !has_ipv6() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let server = Start::new().directory().options(["--bind", "::", "--connections-per-address", "1"]).start();
    let mut upload = Client::connect_from([127, 0, 0, 1], server.port());
    upload.send("PUT /files/up HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    assert_eq!(Client::connect_from([127, 0, 0, 2], server.port()).get("/").status, 200);
    assert_eq!(Client::connect_from([127, 0, 0, 1], server.port()).get("/").status, 503);
    upload.send("y");
    assert_eq!(upload.response().status, 201);
}

/// A link-local address (fe80:…) is only valid together with its interface. The banner has a URL that clients accept.
#[test]
fn a_link_local_address_is_served() {
    let Some((address, interface)) = link_local_address() else {
        println!("skipped: no interface of this machine has a link-local address");
        return;
    };
    for bind in [format!("{address}%{}", interface.name), format!("[{address}%{}]", interface.index)] {
        let server = Start::new().options(["--bind", &bind]).start();
        let (port, index) = (server.port(), interface.index);
        let served_at = SocketAddrV6::new(address, port, 0, index);
        assert_eq!(server.banner, format!("{NO_FILES}Listening on http://[{address}%25{index}]:{port}\n"));
        assert_eq!(server.addresses, [SocketAddr::V6(served_at)]);
        assert_eq!(Client::connect(served_at.into()).get("/echo/here").text(), "here");
        let url = server.banner.trim().rsplit_once("Listening on ").expect("a URL").1;
        match std::process::Command::new("curl").args(["--silent", "--globoff", &format!("{url}/echo/here")]).output() {
            Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "here", "{output:?}"),
            Err(reason) => println!("skipped with curl: {reason}"),
        }
    }
}

struct Interface {
    name: String,
    index: u32,
}

impl Interface {
    fn scoped(&self, address: Ipv6Addr) -> SocketAddrV6 {
        SocketAddrV6::new(address, 0, 0, self.index)
    }
}

/// A link-local address that can be listened on: as Linux lists it, in hexadecimal digits.
fn link_local_address() -> Option<(Ipv6Addr, Interface)> {
    let list = fs::read_to_string("/proc/net/if_inet6").ok()?;
    list.lines().find_map(|line| {
        let [digits, index, _, _, _, name] = line.split_whitespace().collect::<Vec<_>>()[..] else { return None };
        let address = Ipv6Addr::from(u128::from_str_radix(digits, 16).ok()?);
        let interface = Interface { name: name.to_owned(), index: u32::from_str_radix(index, 16).ok()? };
        let is_usable = address.is_unicast_link_local() && TcpListener::bind(interface.scoped(address)).is_ok();
        is_usable.then_some((address, interface))
    })
}

#[test]
fn an_unknown_or_missing_interface_is_named() {
    assert_usage_is_wrong(&["--bind", "fe80::1%no-such-one"], "no-such-one");
    assert_usage_is_wrong(&["--bind", "[fe80::1%]"], "fe80::1%");
    assert_usage_is_wrong(&["--bind", "fe80::1"], "fe80::1%eth0");
    assert_usage_is_wrong(&["--bind", "::1%lo"], "link-local");
    assert_usage_is_wrong(&["--bind", "127.0.0.1%lo"], "127.0.0.1%lo");
}

#[test]
fn short_options_mean_the_same_as_long_ones() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    fs::write(scratch.path().join("f"), "content").expect("a file");
    let directory = scratch.path().to_str().expect("text");
    let server = Start::new().without_port().options(["-p", "0", "-b", "127.0.0.1", "-d", directory, "-q"]).start();
    assert_eq!(server.get("/files/f").text(), "content");
}

#[test]
fn no_date_omits_the_date_field() {
    let with = Server::plain().get("/");
    assert!(with.field("Date").is_some_and(|date| date.ends_with(" GMT")), "{with:?}");
    let without = Start::new().options(["--no-date"]).start().get("/");
    assert_eq!(without.field("Date"), None);
}

#[test]
fn strict_refuses_a_request_without_host() {
    let request = "GET / HTTP/1.1\r\n\r\n";
    assert_eq!(Server::plain().connect().exchange(request).status, 200);
    assert_eq!(Start::new().options(["--strict"]).start().connect().exchange(request).status, 400);
}

#[test]
fn help_and_version_go_to_standard_output() {
    for option in ["--help", "-h"] {
        let ended = start(&[option]);
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), USAGE, ""));
    }
    for option in ["--version", "-V"] {
        let ended = start(&[option]);
        let expected = format!("spindle {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((ended.code, ended.stdout, ended.stderr), (Some(0), expected, String::new()));
    }
}

#[test]
fn the_soft_limit_on_descriptors_is_raised_to_the_hard_one() {
    raise_descriptor_limit();
    let server = Start::new().descriptors_soft_max(64).start();
    // More than the soft limit. Each is served while all are open.
    let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(server.descriptors() > 100);
}
