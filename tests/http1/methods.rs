//! RFC 9110 §9, §10.2.1 and §15.5.6: the methods that each resource allows.

use crate::script::{assert_stays_open, routes_script};

fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\nUser-Agent: u/1\r\n\r\n")
}

const READ_ONLY: &str = "GET, HEAD, OPTIONS";

#[test]
fn each_resource_responds_with_its_content() {
    for (target, status, content_type, content) in [
        ("/", 200, None, ""),
        ("/echo/abc", 200, Some("text/plain"), "abc"),
        ("/echo/", 200, Some("text/plain"), ""),
        ("/echo/a%20b%2Fc%00", 200, Some("text/plain"), "a b/c\0"),
        ("/echo/%25%34%31", 200, Some("text/plain"), "%41"),
        ("/user-agent", 200, Some("text/plain"), "u/1"),
        ("/echo", 404, None, ""),
        ("/echo/a/b", 404, None, ""),
        ("/Echo/a", 404, None, ""),
        ("/user-agent/", 404, None, ""),
        ("/user-agentx", 404, None, ""),
        ("/nothing", 404, None, ""),
        ("//", 404, None, ""),
        ("/files/a", 404, None, ""),
        ("/files/", 404, None, ""),
    ] {
        let result = routes_script(request("GET", target)).assert_stays_open(&[status]);
        let response = result.response();
        assert_eq!((response.field("Content-Type"), response.text()), (content_type, content), "{target}");
        assert_eq!(response.field("Content-Length"), Some(content.len().to_string().as_str()), "{target}");
    }
}

#[test]
fn a_missing_or_empty_user_agent_is_echoed_as_empty_text() {
    assert_eq!(
        routes_script("GET /user-agent HTTP/1.1\r\nHost: h\r\n\r\n").assert_stays_open(&[200]).response().text(),
        ""
    );
    assert_eq!(
        routes_script("GET /user-agent HTTP/1.1\r\nHost: h\r\nUser-Agent:\r\n\r\n")
            .assert_stays_open(&[200])
            .response()
            .text(),
        ""
    );
}

#[test]
fn the_response_to_head_is_that_to_get_without_its_content() {
    for target in ["/", "/echo/abc", "/echo/", "/user-agent", "/nothing"] {
        for lines in ["", "Accept-Encoding: gzip\r\n", "Accept-Encoding: identity;q=0\r\n"] {
            let response_to = |method: &str| {
                let bytes = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
                let result = match (target, lines) {
                    ("/echo/abc" | "/echo/" | "/user-agent", "Accept-Encoding: identity;q=0\r\n") => {
                        routes_script(bytes).assert_stays_open(&[406])
                    }
                    ("/nothing", _) => routes_script(bytes).assert_stays_open(&[404]),
                    _ => routes_script(bytes).assert_stays_open(&[200]),
                };
                result.response().clone()
            };
            let (get, head) = (response_to("GET"), response_to("HEAD"));
            assert_eq!((get.status, &get.fields), (head.status, &head.fields), "{target} {lines}");
            assert_eq!(head.content, None);
        }
    }
    let head = assert_stays_open(request("HEAD", "/source/12"), &[200]);
    assert_eq!(head.response().field("Content-Length"), Some("12"));
}

#[test]
fn a_method_that_the_resource_does_not_allow_is_405() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "MKCOL", "MOVE"] {
        for target in ["/", "/echo/a", "/user-agent"] {
            let result = routes_script(request(method, target)).assert_stays_open(&[405]);
            assert_eq!(result.response().field("Allow"), Some(READ_ONLY), "{method} {target}");
        }
    }
    let result = routes_script(request("CONNECT", "h:80")).assert_stays_open(&[405]);
    assert_eq!(result.response().field("Allow"), Some(""));
}

#[test]
fn an_unknown_method_is_501() {
    for method in ["get", "Get", "GETX", "FOO", "PROPFIND", "COPY", "Move", "gET", "*"] {
        for target in ["/", "/nothing"] {
            routes_script(request(method, target)).assert_stays_open(&[501]);
        }
    }
}

#[test]
fn a_missing_resource_is_404_for_every_method() {
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "MKCOL", "MOVE"] {
        routes_script(request(method, "/nothing")).assert_stays_open(&[404]);
    }
}

#[test]
fn options_lists_the_allowed_methods() {
    for target in ["/", "/echo/a", "/user-agent"] {
        let result = routes_script(request("OPTIONS", target)).assert_stays_open(&[204]);
        assert_eq!(result.response().field("Allow"), Some(READ_ONLY), "{target}");
        assert_eq!(result.response().content, None);
    }
    let result = routes_script(request("OPTIONS", "*")).assert_stays_open(&[204]);
    assert_eq!(result.response().field("Allow"), None);
    routes_script("OPTIONS * HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde").assert_stays_open(&[204]);
}

/// RFC 9112 §3.2.4: a client sends this form to a proxy, which forwards it as `*`.
#[test]
fn options_of_an_absolute_form_without_a_path_is_about_the_whole_server() {
    for target in ["http://h", "HTTP://h:80", "http://[::1]:80"] {
        let result = routes_script(request("OPTIONS", target)).assert_stays_open(&[204]);
        assert_eq!(result.response().field("Allow"), None, "{target}");
    }
    for target in ["http://h/", "http://h?", "http://h?a"] {
        let result = routes_script(request("OPTIONS", target)).assert_stays_open(&[204]);
        assert_eq!(result.response().field("Allow"), Some(READ_ONLY), "{target}");
    }
    routes_script(request("POST", "http://h")).assert_stays_open(&[405]);
}

#[test]
fn an_error_response_contains_one_line_of_text() {
    for (bytes, status) in [(request("POST", "/"), 405), (request("FOO", "/"), 501)] {
        let result = routes_script(bytes).assert_stays_open(&[status]);
        let response = result.response();
        assert_eq!(response.field("Content-Type"), Some("text/plain"));
        assert_eq!(response.text().lines().count(), 1);
        assert!(response.text().ends_with('\n'));
    }
}

#[test]
fn an_unreserved_byte_of_a_path_may_be_percent_encoded() {
    assert_eq!(routes_script(request("GET", "/%65ch%6F/a")).assert_stays_open(&[200]).response().text(), "a");
    assert_eq!(routes_script(request("GET", "/user%2Dagent")).assert_stays_open(&[200]).response().text(), "u/1");
    assert_eq!(routes_script(request("GET", "/user%2dagent")).assert_stays_open(&[200]).response().text(), "u/1");
    // A slash is reserved: percent-encoded, it does not separate segments.
    routes_script(request("GET", "/echo%2Fa")).assert_stays_open(&[404]);
    routes_script(request("GET", "%2F"))
        .assert_rejected(spindle::http1::protocol_error::ProtocolError::TargetFormInvalid);
    routes_script(request("GET", "/%45cho/a")).assert_stays_open(&[404]);
}

#[test]
fn range_is_ignored_for_texts() {
    for range in ["bytes=0-0", "bytes=-1", "bytes=9-", "lines=1-2", "bytes=x", ""] {
        let result = routes_script(format!("GET /echo/abc HTTP/1.1\r\nHost: h\r\nRange: {range}\r\n\r\n"))
            .assert_stays_open(&[200]);
        assert_eq!((result.response().text(), result.response().field("Accept-Ranges")), ("abc", None), "{range}");
        let fields = format!("Range: {range}\r\nIf-Range: \"tag\"\r\n");
        let result =
            routes_script(format!("GET /echo/abc HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).assert_stays_open(&[200]);
        assert_eq!(result.response().text(), "abc", "{range}");
    }
}
