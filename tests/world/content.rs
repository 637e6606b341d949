//! Content is written to its sink in large pieces, and at the latest when its connection goes idle.

use crate::network::{Network, SECOND, Settings};
use crate::server::{TestServer, put};

const CHUNKED: &str = "PUT /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn thousands_of_chunks_of_a_byte_are_written_in_few_pieces() {
    let network = Network::new(Settings { receive_buffer_bytes: 1 << 20, ..Settings::default() });
    let tiny = network.client(0).send(0, CHUNKED).send(0, "1\r\nx\r\n".repeat(30_000)).send(0, "0\r\n\r\n");
    let mut server = TestServer::new(&network, 10);
    server.run_until(SECOND);
    assert_eq!(tiny.statuses(), [201]);
    assert_eq!(server.writes(), [30_000], "the bytes of three reads are gathered in one piece");
}

#[test]
fn gathered_content_is_written_when_its_connection_goes_idle() {
    let network = Network::new(Settings::default());
    let _chunked = network.client(0).send(SECOND, CHUNKED).send(SECOND, "1\r\nx\r\n2\r\nyz\r\n");
    let _counted = network.client(0).send(2 * SECOND, put("/up", 100)).send(2 * SECOND, "1234567");
    let mut server = TestServer::new(&network, 10);
    server.run_until(3 * SECOND);
    assert_eq!(server.writes(), [3, 7]);
}

#[test]
fn long_content_is_written_in_large_pieces() {
    let network = Network::new(Settings::default());
    let long = network.client(0).send(0, put("/up", 1 << 20)).send(0, vec![b'x'; 1 << 20]);
    let mut server = TestServer::new(&network, 10);
    server.run_until(SECOND);
    assert_eq!(long.statuses(), [201]);
    let writes = server.writes();
    assert_eq!(writes.iter().sum::<usize>(), 1 << 20);
    // The end of a buffer may be smaller than what a call receives.
    assert!(writes.len() <= 10 && writes.iter().filter(|bytes| **bytes < 64 * 1024).count() <= 1, "{writes:?}");
}
