//! Servers and requests of these tests.

use std::fs;

use crate::harness::{Response, Server, Start};

/// A server that shares a new folder with these files and directories. The names of directories end in a slash, and
/// each file contains its name.
pub(crate) fn share(names: &[&str]) -> Server {
    share_with(&[], names)
}

/// Like [`share`], with options for the server.
pub(crate) fn share_with(options: &[&str], names: &[&str]) -> Server {
    let server = Start::new().folder().options(options.iter().copied()).start();
    for name in names {
        let path = server.directory().join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name.as_bytes()).unwrap();
        }
    }
    server
}

/// Sends a request on a new connection, with the Host of a browser on the same machine and these field lines.
pub(crate) fn ask(server: &Server, method: &str, target: &str, fields: &[&str]) -> Response {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost:{}\r\n", server.port());
    for field in fields {
        request += field;
        request += "\r\n";
    }
    request += "\r\n";
    let mut client = server.connect();
    client.send(request);
    if method == "HEAD" { client.head() } else { client.response() }
}

pub(crate) fn get(server: &Server, target: &str) -> Response {
    ask(server, "GET", target, &[])
}

/// The lines of a listing in the text format.
pub(crate) fn lines(server: &Server, target: &str) -> Vec<String> {
    let separator = if target.contains('?') { '&' } else { '?' };
    let response = get(server, &format!("{target}{separator}format=text"));
    assert_eq!(response.status, 200, "{}", response.head);
    response.text().lines().map(str::to_owned).collect()
}
