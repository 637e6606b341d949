//! Chooses the next request of a resumable upload, and encodes it.

use fastrand::Rng;

use super::plan::{Plan, digest};

/// The last request on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    /// The creation, or a part: from `offset` to `end`.
    Part {
        creates: bool,
        offset: usize,
        end: usize,
        complete: bool,
        digest_is_wrong: bool,
    },
    Head,
    Replay,
    Delete,
    Get,
}

impl Plan {
    /// The next request, on a connection on which the server has just reported `offset`, and whether the upload
    /// `is_complete`. If the client `is_patient`, it sends everything that is left.
    pub(super) fn next_request(
        &self,
        offset: Option<usize>,
        is_complete: bool,
        is_patient: bool,
        random: &mut Rng,
    ) -> (Vec<u8>, Sent) {
        match (&self.resource, offset) {
            _ if self.is_stored => {
                (request("GET", &self.target, &["Want-Repr-Digest: sha-256=5".to_owned()], b""), Sent::Get)
            }
            (Some(resource), _) if self.cancels && self.requests > 3 => {
                (request("DELETE", resource, &[], b""), Sent::Delete)
            }
            (Some(resource), None) => (request("HEAD", resource, &[], b""), Sent::Head),
            (Some(resource), Some(offset)) if is_complete => {
                let fields = part_fields(true, Some(offset));
                (request("PATCH", resource, &fields, b""), Sent::Replay)
            }
            (_, offset) => self.next_part(offset, is_patient, random),
        }
    }

    /// The creation, or the next part.
    fn next_part(&self, offset: Option<usize>, is_patient: bool, random: &mut Rng) -> (Vec<u8>, Sent) {
        let creates = self.resource.is_none();
        let offset = offset.filter(|_| !creates).unwrap_or(0);
        let left = self.content.len().saturating_sub(offset);
        let all = is_patient || random.u8(..3) == 0;
        let end = offset + if all { left } else { random.usize(..=left) };
        let complete = end == self.content.len() && random.u8(..8) > 0;
        // A wrong offset may be right by now, if another connection has sent more. So the content is that of
        // the stated offset.
        let is_wrong = !creates && end > offset && !is_patient && random.u8(..12) == 0;
        let offset = if is_wrong { offset + 1 } else { offset };
        let mut fields = part_fields(complete, (!creates).then_some(offset));
        let digest_is_wrong = !is_patient && random.u8(..10) == 0;
        let part = &self.content[offset..end];
        if digest_is_wrong {
            fields.push(format!("Content-Digest: {}", digest(b"something else")));
        } else if random.u8(..3) == 0 {
            fields.push(format!("Content-Digest: {}", digest(part)));
        }
        if self.understands_104 {
            fields.push("Upload-Draft-Interop-Version: 8".to_owned());
        }
        if self.states_length {
            fields.push(format!("Upload-Length: {}", self.content.len()));
        }
        if creates {
            fields.extend(match self.repr_digest {
                Some(true) => Some(format!("Repr-Digest: {}", self.digest())),
                Some(false) => Some(format!("Repr-Digest: {}", digest(b"something else"))),
                None => None,
            });
            if self.wants_digest {
                fields.push("Want-Repr-Digest: sha-256=5".to_owned());
            }
        }
        let target = if creates { &self.target } else { self.resource.as_ref().unwrap_or(&self.target) };
        let bytes = request(if creates { self.method } else { "PATCH" }, target, &fields, part);
        (bytes, Sent::Part { creates, offset, end, complete, digest_is_wrong })
    }
}

fn part_fields(complete: bool, offset: Option<usize>) -> Vec<String> {
    let mut fields = vec![format!("Upload-Complete: ?{}", u8::from(complete))];
    if let Some(offset) = offset {
        fields.push(format!("Upload-Offset: {offset}"));
        fields.push("Content-Type: application/partial-upload".to_owned());
    }
    fields
}

fn request(method: &str, target: &str, fields: &[String], content: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
    for field in fields {
        head += field;
        head += "\r\n";
    }
    if matches!(method, "POST" | "PUT" | "PATCH") {
        head += &format!("Content-Length: {}\r\n", content.len());
    }
    [format!("{head}\r\n").as_bytes(), content].concat()
}
