//! RFC 9112 §9.3.2: pipelined requests.

use spindle::http1::Settings;
use spindle::http1::limits::OUTPUT_BYTES_FULL;

use crate::driver::{Driver, ReadMode};
use crate::response_reader::parse_responses;
use crate::script::{assert_closes, assert_stays_open, get, post};
use crate::service::TestService;

fn numbered(count: usize) -> String {
    (0..count).map(|number| get(&format!("/{number}"), "")).collect()
}

#[test]
fn responses_are_sent_in_the_order_of_the_requests() {
    let result = assert_stays_open(numbered(10), &[200; 10]);
    for (number, response) in result.responses.iter().enumerate() {
        assert_eq!(response.text(), format!("/{number}"));
    }
}

#[test]
fn a_half_closed_client_gets_all_ten_responses() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Deferred);
    let stream = numbered(10);
    let space = driver.connection.input_space(&mut driver.shared, &driver.now);
    space[..stream.len()].copy_from_slice(stream.as_bytes());
    driver.connection.received(stream.len(), &driver.now);
    driver.connection.received_eof();
    driver.read_all();
    assert_eq!(parse_responses(&driver.output, &["GET"; 10]).len(), 10);
    assert!(driver.eof_sent && driver.connection.is_closed());
}

#[test]
fn requests_of_all_kinds_can_be_pipelined() {
    let stream = [
        get("/1", ""),
        post("Content-Length: 5\r\n", "abcde"),
        "HEAD /2 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        post("Transfer-Encoding: chunked\r\n", "5\r\nfghij\r\n0\r\n\r\n"),
        "\r\n".to_owned(),
        get("/source/2500", ""),
        get("/3", "Content-Length: 3\r\n") + "klm",
        "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        get("/4", ""),
    ];
    let result = assert_stays_open(stream.concat(), &[200, 201, 200, 201, 200, 200, 204, 200]);
    assert_eq!(result.responses[2].content, None);
    assert_eq!(result.responses[4].content, Some(vec![b'r'; 2500]));
    assert_eq!(result.requests[3].content, b"fghij");
    assert_eq!(result.responses[7].text(), "/4");
}

#[test]
fn a_protocol_error_is_reported_after_the_responses_to_earlier_requests() {
    let result = assert_closes(numbered(3) + "GET /\0", &[200, 200, 200, 400]);
    assert_eq!(result.requests.len(), 3);
    assert_closes(get("/source/2500", "") + "GET /\0", &[200, 400]);
}

#[test]
fn no_request_is_started_while_the_output_is_full() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Deferred);
    let request = get(&format!("/{}", "a".repeat(1000)), "");
    let mut bytes = request.bytes().cycle();
    let mut received = 0;
    while driver.connection.wants_input() {
        driver.send(&[bytes.next().unwrap()]);
        received += 1;
        assert!(received < 1_000_000, "input from a client that does not read is not limited");
    }
    let requests = driver.service.requests().len();
    let response_bytes = {
        let mut one = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
        one.send(request.as_bytes());
        one.output.len()
    };
    assert_eq!(requests, OUTPUT_BYTES_FULL.div_ceil(response_bytes), "the response that reaches the limit is the last");
}

#[test]
fn the_next_request_is_held_back_until_the_source_has_been_sent() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Deferred);
    driver.send((get("/source/10", "") + &get("/next", "")).as_bytes());
    assert_eq!(driver.service.requests().len(), 1);
    while driver.read(1) {
        driver.process();
        let next_is_received = driver.service.requests().len() == 2;
        assert_eq!(next_is_received, driver.output.windows(10).any(|window| window == b"rrrrrrrrrr"));
    }
    assert_eq!(parse_responses(&driver.output, &["GET", "GET"]).len(), 2);
}
