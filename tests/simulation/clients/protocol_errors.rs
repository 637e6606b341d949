//! A request for each protocol error that a complete head or content can cause, and the status of its response.

use fastrand::Rng;

/// Replacements of text in a plain GET.
const IN_THE_HEAD: [(&str, &str, &[u16]); 17] = [
    (" HTTP/1.1", "#part HTTP/1.1", &[400]),
    (" HTTP/1.1", "%zz HTTP/1.1", &[400]),
    (" HTTP/1.1", "\"< HTTP/1.1", &[400]),
    (" HTTP/1.1", " HTTP/2.0", &[505]),
    (" HTTP/1.1", "", &[400]),
    ("GET /", "GET http://a:b:c/", &[400]),
    // Only a strict server refuses it.
    ("Host: a\r\n", "", &[]),
    ("Host: a", "Host: a\r\nHost: a", &[400]),
    ("Host: a", "Host: a b", &[400]),
    ("Host: a", "Host: a\r\n: x", &[400]),
    ("Host: a", "Host: a\r\nX{: x", &[400]),
    ("Host: a", "Host: a\r\nX : x", &[400]),
    ("Host: a", "Host: a\r\nX: \x01", &[400]),
    ("Host: a", "Host: a\r\nno colon", &[400]),
    ("Host: a", "Host: a\r\nContent-Length: 010", &[400]),
    ("Host: a", "Host: a\r\nTransfer-Encoding: chunked, chunked", &[400]),
    ("Host: a", "Host: a\r\nTransfer-Encoding: gzip, chunked", &[501]),
];

/// Malformed chunked content.
const CHUNKS: [&str; 4] = ["g\r\n", "5;\x01\r\nabcde\r\n", "3\r\nabcd\r\n", "3\nabc\r\n"];

/// One of the requests, made from a plain GET of that target.
pub(crate) fn one(get: &str, random: &mut Rng) -> (Vec<u8>, &'static [u16]) {
    let chunked = |content: &str| {
        let head = get.replacen("GET", "PUT", 1).replacen("Host: a", "Host: a\r\nTransfer-Encoding: chunked", 1);
        (head + content).into_bytes()
    };
    match random.usize(..IN_THE_HEAD.len() + CHUNKS.len() + 3) {
        0 => (get.replacen("GET", &"M".repeat(65), 1).into_bytes(), &[400]),
        1 => {
            let old = get.replacen(" HTTP/1.1", " HTTP/1.0", 1);
            (old.replacen("Host: a", "Host: a\r\nTransfer-Encoding: chunked", 1).into_bytes(), &[400])
        }
        2 => (chunked(&format!("1;x={}\r\na\r\n", "y".repeat(70_000))), &[400]),
        place => match IN_THE_HEAD.get(place - 3) {
            Some((from, to, statuses)) => (get.replacen(from, to, 1).into_bytes(), statuses),
            None => (chunked(CHUNKS[place - 3 - IN_THE_HEAD.len()]), &[400]),
        },
    }
}
