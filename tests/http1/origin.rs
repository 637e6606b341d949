//! Fetch §3.2 and §3.3 (Origin), Fetch Metadata §2 (Sec-Fetch-Site): writes that a browser sends on
//! behalf of a page of another site.

use crate::script::routes_script;

fn request(method: &str, target: &str, lines: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\n{lines}\r\n")
}

#[track_caller]
fn assert_forbidden(method: &str, target: &str, lines: &str) {
    let result = routes_script(request(method, target, lines)).assert_stays_open(&[403]);
    assert_eq!(result.response().text(), "A browser says that this request comes from another site.\n");
}

/// The request reaches its route, which does not allow the method (405).
#[track_caller]
fn assert_allowed(method: &str, target: &str, lines: &str) {
    routes_script(request(method, target, lines)).assert_stays_open(&[405]);
}

#[test]
fn a_write_from_another_site_is_forbidden() {
    for site in ["cross-site", "same-site", "Same-Origin", "same-origin, none", "", "x"] {
        assert_forbidden("POST", "/", &format!("Host: h\r\nSec-Fetch-Site: {site}\r\n"));
    }
    for origin in
        ["null", "http://a", "https://h", "http://h:81", "http://h.a", "http://", "h", "", "http://h http://h"]
    {
        assert_forbidden("POST", "/", &format!("Host: h\r\nOrigin: {origin}\r\n"));
    }
    // One acceptable field does not make up for another that is not.
    assert_forbidden("POST", "/", "Host: h\r\nSec-Fetch-Site: same-origin\r\nOrigin: http://a\r\n");
    for origin in ["https://a", "https://h:444", "https://h.a", "https://", "https://h/"] {
        let fields = format!("Host: h\r\nSec-Fetch-Site: same-origin\r\nOrigin: {origin}\r\n");
        assert_forbidden("POST", "/", &fields);
    }
    assert_forbidden("POST", "/", "Host: h\r\nSec-Fetch-Site: none\r\nOrigin: https://h\r\n");
    assert_forbidden("POST", "/", "Host: h\r\nSec-Fetch-Site: cross-site\r\nOrigin: http://h\r\n");
    assert_forbidden("POST", "/", "Host: h\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n");
    assert_forbidden("POST", "/", "Host: h\r\nOrigin: http://h\r\nOrigin: http://h\r\n");
    // Without Host there is no authority to compare the origin with.
    assert_forbidden("POST", "/", "Origin: http://h\r\n");
    for method in ["POST", "PUT", "DELETE", "PATCH", "MKCOL", "MOVE"] {
        for target in ["/", "/echo/a", "/user-agent"] {
            assert_forbidden(method, target, "Host: h\r\nOrigin: http://a\r\n");
        }
    }
}

#[test]
fn a_write_from_the_same_origin_or_from_no_site_is_allowed() {
    assert_allowed("POST", "/", "Host: h\r\n");
    assert_allowed("POST", "/", "Host: h\r\nSec-Fetch-Site: same-origin\r\n");
    assert_allowed("POST", "/", "Host: h\r\nSec-Fetch-Site: none\r\n");
    assert_allowed("POST", "/", "Host: h\r\nSec-Fetch-Site: same-origin\r\nOrigin: http://h\r\n");
    // A page behind a proxy with TLS.
    assert_allowed("POST", "/", "Host: h\r\nSec-Fetch-Site: same-origin\r\nOrigin: https://H\r\n");
    assert_allowed("POST", "/", "Host: h:444\r\nSec-Fetch-Site: same-origin\r\nOrigin: https://h:444\r\n");
    for (host, origin) in [
        ("h", "http://h"),
        ("h:80", "http://h"),
        ("h:", "http://h:80"),
        ("h:4221", "http://h:4221"),
        ("LocalHost:4221", "http://localhost:4221"),
        ("[::1]:4221", "http://[::1]:4221"),
        ("[FE80::1]", "HTTP://[fe80::1]:80"),
    ] {
        assert_allowed("PUT", "/", &format!("Host: {host}\r\nOrigin: {origin}\r\n"));
    }
}

#[test]
fn the_origin_is_compared_with_the_authority_of_an_absolute_form() {
    assert_allowed("POST", "http://a:80/", "Host: h\r\nOrigin: http://a\r\n");
    assert_allowed("POST", "http://a", "Origin: http://a\r\n");
    assert_forbidden("POST", "http://a/", "Host: h\r\nOrigin: http://h\r\n");
}

#[test]
fn reads_and_requests_without_a_resource_are_allowed_from_any_site() {
    let lines = "Host: h\r\nOrigin: null\r\nSec-Fetch-Site: cross-site\r\n";
    for (method, target, status) in [
        ("GET", "/", 200),
        ("HEAD", "/echo/a", 200),
        ("OPTIONS", "/", 204),
        ("OPTIONS", "*", 204),
        ("POST", "/nothing", 404),
        ("FOO", "/", 501),
    ] {
        routes_script(request(method, target, lines)).assert_stays_open(&[status]);
    }
}
