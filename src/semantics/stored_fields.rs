//! Field lines that outlive their request, because they are stored with an upload.

use super::fields::{FieldName, FieldSpan, FieldSpans, Fields};

/// Field lines with memory of their own.
#[derive(Debug, Default)]
pub struct StoredFields {
    /// Lines of the form `Name: value`, each with its CR LF.
    bytes: Vec<u8>,
    spans: FieldSpans,
}

impl StoredFields {
    /// A copy of the lines of `fields` that have one of `names`. Lines beyond 64 KiB would be omitted, but a request's
    /// field section is shorter.
    pub fn copy_of(fields: &Fields<'_>, names: &[FieldName]) -> StoredFields {
        let mut stored = StoredFields::default();
        for (name, value) in fields.iter() {
            if names.contains(&FieldName::from_bytes(name)) {
                stored.push(name, value);
            }
        }
        stored
    }

    /// Parses what [`as_bytes`](StoredFields::as_bytes) returned; `None` if it is malformed.
    pub fn parse(mut bytes: &[u8]) -> Option<StoredFields> {
        let mut stored = StoredFields::default();
        while !bytes.is_empty() {
            let end = memchr::memmem::find(bytes, b"\r\n")?;
            let (line, rest) = bytes.split_at(end);
            let colon = memchr::memchr(b':', line)?;
            stored.push(&line[..colon], line[colon + 1..].strip_prefix(b" ")?)?;
            bytes = &rest[b"\r\n".len()..];
        }
        Some(stored)
    }

    fn push(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let name_start = self.bytes.len();
        let name_end = name_start + name.len();
        let value_start = name_end + b": ".len();
        let value_end = value_start + value.len();
        let span = FieldSpan {
            name: FieldName::from_bytes(name),
            name_start: u16::try_from(name_start).ok()?,
            name_end: u16::try_from(name_end).ok()?,
            value_start: u16::try_from(value_start).ok()?,
            value_end: u16::try_from(value_end).ok()?,
        };
        for part in [name, b": ", value, b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
        self.spans.push(span);
        Some(())
    }

    /// The lines as text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The lines as those of a request.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.bytes, &self.spans)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again() {
        let text = b"If-Match: \"a\", \"b\"\r\nOther: : \r\nif-match: \r\n";
        let stored = StoredFields::parse(text).unwrap();
        assert_eq!(stored.as_bytes(), text);
        let values: Vec<&[u8]> = stored.fields().values(FieldName::IfMatch).collect();
        assert_eq!(values, [&b"\"a\", \"b\""[..], b""]);
        let copy = StoredFields::copy_of(&stored.fields(), &[FieldName::IfMatch]);
        assert_eq!(copy.as_bytes(), b"If-Match: \"a\", \"b\"\r\nif-match: \r\n");
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["a", "a\r\n", "a:b\r\n", "a: b", "a: b\r\nc"] {
            assert!(StoredFields::parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
