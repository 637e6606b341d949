//! The administrator's listener: metrics, and whether the server lives and takes requests.

use std::net::SocketAddr;

use rustix::process::Signal;

use crate::harness::{Client, Response, Server, Start};

/// The address of the administrator's listener.
fn admin_address(server: &Server) -> SocketAddr {
    let line = server.banner.lines().find_map(|line| line.strip_prefix("Metrics on http://"));
    line.and_then(|url| url.strip_suffix("/metrics")).and_then(|address| address.parse().ok()).expect("an address")
}

/// The requests of [`Client`] have the Host `a`.
fn start() -> Start {
    Start::new().options(["--admin", "127.0.0.1:0", "--host", "a"])
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
    assert_eq!(value(&metrics, "spindle_connections_waiting"), 1.0, "the client's");
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

/// Otherwise a web page could read the metrics through the administrator's browser (DNS rebinding).
#[test]
fn only_addresses_the_machines_names_and_added_ones_are_served() {
    let server = start().start();
    let status = |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Client::connect(admin_address(&server)).exchange(&request)
    };
    for target in ["/metrics", "/healthz", "/readyz"] {
        for host in ["127.0.0.1:9421", "[::1]", "localhost", "localhost:80", "a", "A:9421"] {
            assert_eq!(status(target, host).status, 200, "{target} {host}");
        }
        for host in ["evil", "localhost.evil.example", "127.0.0.1.nip.example:9421"] {
            let refused = status(target, host);
            assert_eq!(refused.status, 421, "{target} {host}");
            assert!(!refused.text().contains("spindle_"), "{}", refused.text());
        }
    }
    let mut without_host = Client::connect(admin_address(&server));
    assert_eq!(without_host.exchange("GET /readyz HTTP/1.0\r\n\r\n").status, 200);
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

#[test]
fn what_an_administrator_needs_is_there() {
    let server = start().start();
    let text = scrape(&server);
    for name in [
        "spindle_build_info{version=\"0.1.0\"}",
        "process_start_time_seconds",
        "spindle_connections",
        "spindle_connections_waiting",
        "spindle_connections_limit",
        "spindle_connections_accepted_total",
        "spindle_connections_evicted_total{reason=\"share\"}",
        "spindle_connections_refused_total{reason=\"limit\"}",
        "spindle_accept_errors_total",
        "spindle_requests_total{method=\"GET\",class=\"5xx\"}",
        "spindle_exchanges_total{outcome=\"refused\"}",
        "spindle_content_received_bytes_total",
        "spindle_content_sent_bytes_total",
        "spindle_exchange_duration_seconds_bucket{le=\"+Inf\"}",
        "spindle_uploads_in_progress",
        "spindle_uploads_pending",
        "spindle_uploads_accepted_total",
        "spindle_uploads_refused_total",
        "spindle_file_cache_requests_total{result=\"hit\"}",
        "spindle_log_lines_lost_total",
        "spindle_turn_longest_seconds",
        "spindle_disk_call_longest_seconds",
    ] {
        value(&text, name);
    }
    let now_s = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs_f64();
    let started_s = value(&text, "process_start_time_seconds");
    assert!((now_s - 60.0..=now_s).contains(&started_s), "{started_s}");
}

#[test]
fn scrapes_and_connections_of_the_administrator_are_not_counted() {
    let server = start().start();
    let _idle = Client::connect(admin_address(&server));
    for _ in 0..5 {
        scrape(&server);
    }
    let metrics = scrape(&server);
    for sample in ["spindle_connections", "spindle_connections_waiting", "spindle_connections_accepted_total"] {
        assert_eq!(value(&metrics, sample), 0.0, "{sample}");
    }
    assert_eq!(value(&metrics, "spindle_exchanges_total{outcome=\"complete\"}"), 0.0);
    let client = server.connect();
    crate::harness::wait_until("the client", || value(&scrape(&server), "spindle_connections_waiting") == 1.0);
    drop(client);
    crate::harness::wait_until("its end", || value(&scrape(&server), "spindle_connections_waiting") == 0.0);
}

#[test]
fn at_the_connection_limit_the_administrator_sees_it_and_who_was_evicted() {
    let server = start().descriptors_max(64).start();
    let limit = value(&scrape(&server), "spindle_connections_limit");
    assert!((1.0..20.0).contains(&limit), "{limit}");
    // All wait with a part of a head, and those that come later replace them.
    // Those of one address would be refused until they have been idle for a while.
    let clients: Vec<Client> = (0..30)
        .map(|n| {
            let mut client = Client::connect_from([127, 0, 1, n], server.port());
            client.send("GET / HTTP/1.1\r\n");
            client
        })
        .collect();
    let mut metrics = String::new();
    crate::harness::wait_until("all clients", || {
        metrics = scrape(&server);
        value(&metrics, "spindle_connections_accepted_total") == 30.0
    });
    assert_eq!(value(&metrics, "spindle_connections_evicted_total{reason=\"idle\"}"), 30.0 - limit);
    assert_eq!(value(&metrics, "spindle_connections"), limit);
    // As many administrators as the limit allows, and some more.
    let admins: Vec<Client> = (0..20).map(|_| Client::connect(admin_address(&server))).collect();
    assert_eq!(value(&scrape(&server), "spindle_connections"), limit);
    assert_eq!(server.stderr(), "");
    drop((clients, admins));
}

#[test]
fn refused_exchanges_and_other_methods_are_counted() {
    let server = start().start();
    for request in ["nonsense\r\n\r\n", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut client = server.connect();
        client.send(request);
        assert!(client.response().status >= 400);
    }
    crate::harness::wait_until("the records", || {
        value(&scrape(&server), "spindle_exchanges_total{outcome=\"refused\"}") == 1.0
    });
    let metrics = scrape(&server);
    assert_eq!(value(&metrics, "spindle_requests_total{method=\"other\",class=\"4xx\"}"), 1.0);
    assert_eq!(value(&metrics, "spindle_requests_total{method=\"other\",class=\"5xx\"}"), 1.0);
}

#[test]
fn cache_hits_and_misses_are_counted() {
    let server = start().directory().start();
    server.write_file("f", b"content");
    assert_eq!(server.get("/files/f").status, 200);
    let count =
        |result: &str| value(&scrape(&server), &format!("spindle_file_cache_requests_total{{result=\"{result}\"}}"));
    assert_eq!((count("hit"), count("miss")), (0.0, 1.0), "it has just been written");
    crate::harness::wait_until("the file to settle", || {
        assert_eq!(server.get("/files/f").status, 200);
        count("hit") > 0.0
    });
    let (hits, misses) = (count("hit"), count("miss"));
    assert_eq!(server.get("/files/f").status, 200);
    assert_eq!((count("hit"), count("miss")), (hits + 1.0, misses));
}

/// The process before has begun the upload. This one knows of it from the moment in which a client asks for it.
#[test]
fn pending_uploads_are_counted_until_they_are_complete_also_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start().directory_at(directory.path()).start();
    let pending = |server: &Server| value(&scrape(server), "spindle_uploads_pending");
    let begin = "POST /files/f HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?0\r\nContent-Length: 1\r\n\r\na";
    let begun = server.connect().exchange(begin);
    let location = begun.field("Location").expect("a location").to_owned();
    assert_eq!((begun.status, pending(&server)), (201, 1.0));
    drop(server);
    let server = start().directory_at(directory.path()).start();
    let ask = format!("HEAD {location} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut client = server.connect();
    client.send(ask);
    assert_eq!(client.head().status, 204);
    assert_eq!(pending(&server), 1.0);
    let finish = format!(
        "PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Type: application/partial-upload\r\nUpload-Complete: ?1\r\n\
         Upload-Offset: 1\r\nContent-Length: 1\r\n\r\nb"
    );
    assert_eq!(server.connect().exchange(&finish).status / 100, 2);
    assert_eq!((pending(&server), value(&scrape(&server), "spindle_uploads_accepted_total")), (0.0, 1.0));
}

#[test]
fn lines_that_the_log_has_lost_are_counted() {
    let server = start().options(["--access-log", "/dev/full"]).start();
    assert_eq!(value(&scrape(&server), "spindle_log_lines_lost_total"), 0.0);
    // The lines that wait take a bounded buffer. Long requests fill it.
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(15_000));
    let mut client = server.connect();
    crate::harness::wait_until("lost lines", || {
        client.send(&long);
        client.response();
        value(&scrape(&server), "spindle_log_lines_lost_total") > 0.0
    });
}

#[test]
fn an_administrator_may_use_a_unix_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("admin.sock");
    let server = Start::new().options(["--admin", &format!("unix:{}", path.display())]).start();
    assert!(server.banner.contains("Metrics on"), "{}", server.banner);
    let mut socket = std::os::unix::net::UnixStream::connect(&path).expect("a connection");
    std::io::Write::write_all(&mut socket, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut response = String::new();
    std::io::Read::read_to_string(&mut socket, &mut response).expect("a response");
    assert!(response.starts_with("HTTP/1.1 200 ") && response.contains("\nspindle_connections 0\n"), "{response}");
}
