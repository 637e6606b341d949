//! The administrator's listener: metrics, and whether the server lives and takes requests.

use std::net::SocketAddr;

use rustix::process::Signal;

use crate::harness::{Client, Response, Server, Start};

/// The address of the administrator's listener.
fn admin_address(server: &Server) -> SocketAddr {
    let line = server.banner.lines().find_map(|line| line.strip_prefix("Metrics on http://"));
    line.and_then(|url| url.strip_suffix("/metrics")).and_then(|address| address.parse().ok()).expect("an address")
}

fn start() -> Start {
    Start::new().options(["--admin", "127.0.0.1:0"])
}

fn scrape(server: &Server) -> String {
    Client::connect(admin_address(server)).get("/metrics").text().to_owned()
}

/// The value of a sample.
fn value(metrics: &str, sample: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {sample} in {metrics}"))
}

#[test]
fn the_metrics_count_what_clients_did() {
    let server = start().directory().start();
    let before = scrape(&server);
    assert_eq!(value(&before, "spindle_requests_total{method=\"GET\",class=\"2xx\"}"), 0.0);
    let mut client = server.connect();
    assert_eq!(client.upload("PUT", "/files/f", b"content").status, 201);
    assert_eq!(client.get("/files/f").status, 200);
    assert_eq!(client.get("/files/f").status, 200);
    assert_eq!(client.get("/files/g").status, 404);
    let metrics = scrape(&server);
    for (sample, expected) in [
        ("spindle_requests_total{method=\"GET\",class=\"2xx\"}", 2.0),
        ("spindle_requests_total{method=\"GET\",class=\"4xx\"}", 1.0),
        ("spindle_requests_total{method=\"PUT\",class=\"2xx\"}", 1.0),
        ("spindle_exchanges_total{outcome=\"complete\"}", 4.0),
        ("spindle_content_received_bytes_total", 7.0),
        ("spindle_exchange_duration_seconds_count", 4.0),
        ("spindle_uploads_accepted_total", 1.0),
        ("spindle_uploads_in_progress", 0.0),
    ] {
        assert_eq!(value(&metrics, sample), expected, "{sample}");
    }
    assert!(value(&metrics, "spindle_content_sent_bytes_total") >= 14.0);
    assert!(value(&metrics, "spindle_connections_waiting") >= 1.0, "the client's");
    drop(client);
}

#[test]
fn an_upload_in_progress_is_counted_until_it_ends() {
    let server = start().directory().start();
    let mut client = server.connect();
    client.send("PUT /files/f HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    crate::harness::wait_until("the upload", || value(&scrape(&server), "spindle_uploads_in_progress") == 1.0);
    drop(client);
    crate::harness::wait_until("its end", || value(&scrape(&server), "spindle_uploads_in_progress") == 0.0);
    assert_eq!(value(&scrape(&server), "spindle_uploads_accepted_total"), 0.0);
}

#[test]
fn neither_listener_serves_what_is_the_others() {
    let server = start().start();
    let admin = |target: &str| Client::connect(admin_address(&server)).get(target);
    for target in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(admin(target).status, 200, "{target}");
        assert_eq!(server.get(target).status, 404, "{target}");
    }
    for target in ["/", "/echo/a", "/files/a", "/metrics/"] {
        assert_eq!(admin(target).status, 404, "{target}");
    }
    let post = Client::connect(admin_address(&server)).upload("POST", "/metrics", b"");
    assert_eq!((post.status, post.field("Allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn openmetrics_is_sent_to_those_who_accept_it() {
    let server = start().start();
    let exchange = |accept: &str| -> Response {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
        Client::connect(admin_address(&server)).exchange(&request)
    };
    let open = exchange("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    assert!(open.field("Content-Type").is_some_and(|value| value.starts_with("application/openmetrics-text")));
    assert!(open.text().ends_with("# EOF\n"));
    let plain = exchange("*/*");
    assert!(plain.field("Content-Type").is_some_and(|value| value.starts_with("text/plain; version=0.0.4")));
    assert!(!plain.text().contains("EOF"));
}

#[test]
fn the_server_is_not_ready_while_it_waits_to_shut_down_and_serves_meanwhile() {
    let mut server = start().options(["--shutdown-delay", "1"]).start();
    let admin = admin_address(&server);
    let ready = || Client::connect(admin).get("/readyz").status;
    assert_eq!(ready(), 200);
    server.signal(Signal::TERM);
    crate::harness::wait_until("the end of readiness", || ready() == 503);
    let response = server.get("/echo/still");
    assert_eq!((response.text(), response.field("Connection")), ("still", None), "nothing has changed for clients");
    assert_eq!(Client::connect(admin).get("/healthz").status, 200);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn the_shutdown_can_be_watched_to_its_end() {
    let mut server = start().directory().start();
    let mut uploader = server.connect();
    uploader.send("PUT /files/f HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(uploader.response().status, 100);
    server.signal(Signal::TERM);
    let admin = admin_address(&server);
    let public = SocketAddr::from(([127, 0, 0, 1], server.port()));
    crate::harness::wait_until("the public listener's end", || std::net::TcpStream::connect(public).is_err());
    assert_eq!(Client::connect(admin).get("/readyz").status, 503);
    uploader.send("x");
    assert_eq!(uploader.response().status, 201);
    assert_eq!(server.wait(), Some(0));
}
