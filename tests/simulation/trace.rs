//! The trace of a run: what the server, the clients and the network did, in order. Its digest
//! shows whether two runs of a seed are the same. It is printed only on request.

use crate::simulation::network::MICROSECOND;

/// The trace of a run.
pub(crate) struct Trace {
    digest: u64,
    /// Whether it is printed.
    is_printed: bool,
}

impl Trace {
    pub(crate) fn new(is_printed: bool) -> Trace {
        Trace { digest: 0, is_printed }
    }

    pub(crate) fn is_printed(&self) -> bool {
        self.is_printed
    }

    /// Notes an event on a link (`usize::MAX` for none).
    pub(crate) fn note(&mut self, at_ns: u64, link: usize, what: &'static str, number: u64) {
        for part in [at_ns, link as u64, number] {
            self.mix(part);
        }
        for byte in what.bytes() {
            self.mix(u64::from(byte));
        }
        if self.is_printed {
            match link {
                usize::MAX => println!("{:>14} us        {what} {number}", at_ns / MICROSECOND),
                _ => println!("{:>14} us  {link:>4}  {what} {number}", at_ns / MICROSECOND),
            }
        }
    }

    /// Prints bytes that a client or the server has sent, or a description of a client. This is not part of the digest.
    pub(crate) fn describe(&self, at_ns: u64, link: usize, what: &str, bytes: &[u8]) {
        if self.is_printed {
            let start = &bytes[..bytes.len().min(150)];
            let text = format!("{}{}", start.escape_ascii(), if start.len() < bytes.len() { "…" } else { "" });
            println!("{:>14} us  {link:>4}  {what} {text}", at_ns / MICROSECOND);
        }
    }

    /// Prints a line that is not part of the digest.
    pub(crate) fn remark(&self, at_ns: u64, text: &str) {
        if self.is_printed {
            println!("{:>14} us        | {text}", at_ns / MICROSECOND);
        }
    }

    /// A number that is the same for two runs of a seed.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    fn mix(&mut self, part: u64) {
        self.digest = (self.digest.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
