//! Short inputs for long streams. The limits of a connection are tens of thousands of bytes, which a fuzzer that
//! changes a few bytes at a time does not reach by itself.

/// Starts a run: `RUN n c` means n × 256 bytes c, or the single byte c if n is 0.
const RUN: u8 = 0xff;
/// Starts a repetition: `REPEAT n m` means n further copies of the m bytes before it.
const REPEAT: u8 = 0xfe;

/// The stream that `input` describes, truncated to `bytes_max` bytes. Any other byte means itself.
pub(crate) fn expand(input: &[u8], bytes_max: usize) -> Vec<u8> {
    let mut stream = Vec::with_capacity(input.len().min(bytes_max));
    let mut rest = input;
    while stream.len() < bytes_max {
        rest = match rest {
            [] => break,
            [RUN, 0, byte, rest @ ..] => {
                stream.push(*byte);
                rest
            }
            [RUN, times, byte, rest @ ..] => {
                stream.resize(stream.len() + usize::from(*times) * 256, *byte);
                rest
            }
            [REPEAT, times, bytes, rest @ ..] => {
                let unit = stream[stream.len().saturating_sub(usize::from(*bytes))..].to_vec();
                (0..*times).for_each(|_| stream.extend_from_slice(&unit));
                rest
            }
            [byte, rest @ ..] => {
                stream.push(*byte);
                rest
            }
        };
    }
    stream.truncate(bytes_max);
    stream
}
