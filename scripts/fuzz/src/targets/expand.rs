//! Short inputs for long streams. The limits of a connection lie at tens of thousands of octets, where a fuzzer that
//! changes a few octets at a time does not come by itself.

/// Announces a run: `RUN n c` stands for n × 256 octets c, and with n = 0 for c alone.
const RUN: u8 = 0xff;
/// Announces a repetition: `REPEAT n m` stands for n further copies of the m octets that stand before it.
const REPEAT: u8 = 0xfe;

/// The stream that `input` describes, cut off at `octets_max`. An octet that announces nothing stands for itself.
pub(crate) fn expand(input: &[u8], octets_max: usize) -> Vec<u8> {
    let mut stream = Vec::with_capacity(input.len().min(octets_max));
    let mut rest = input;
    while stream.len() < octets_max {
        rest = match rest {
            [] => break,
            [RUN, 0, octet, rest @ ..] => {
                stream.push(*octet);
                rest
            }
            [RUN, times, octet, rest @ ..] => {
                stream.resize(stream.len() + usize::from(*times) * 256, *octet);
                rest
            }
            [REPEAT, times, octets, rest @ ..] => {
                let unit = stream[stream.len().saturating_sub(usize::from(*octets))..].to_vec();
                (0..*times).for_each(|_| stream.extend_from_slice(&unit));
                rest
            }
            [octet, rest @ ..] => {
                stream.push(*octet);
                rest
            }
        };
    }
    stream.truncate(octets_max);
    stream
}
