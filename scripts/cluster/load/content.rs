//! Content that its name or number determines, so that it can be compared without being kept.

const SMALL: u64 = 16;
const SMALL_BYTES: usize = 100;
const MIDDLE_BYTES: usize = 32 << 10;
pub(crate) const LARGE_BYTES: usize = 1 << 20;

/// Bytes that look random, and that `seed` determines (xorshift).
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut content = Vec::with_capacity(length + 8);
    while content.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(length);
    content
}

pub(crate) fn small(number: u64) -> (String, Vec<u8>) {
    (format!("small-{}", number % SMALL), bytes(number % SMALL, SMALL_BYTES))
}

pub(crate) fn middle() -> (String, Vec<u8>) {
    ("middle".to_owned(), bytes(1000, MIDDLE_BYTES))
}

pub(crate) fn large() -> (String, Vec<u8>) {
    ("large".to_owned(), bytes(1001, LARGE_BYTES))
}

/// All files that the clients download.
pub(crate) fn downloads() -> impl Iterator<Item = (String, Vec<u8>)> {
    (0..SMALL).map(small).chain([middle(), large()])
}
