//! The fields of a received message (RFC 9110 §5): the positions of the field lines in the received bytes, and their
//! values.

macro_rules! field_names {
    ($($name:ident $text:literal;)*) => {
        /// A field name that this server uses; every other is [`FieldName::Other`].
        ///
        /// Names are compared once, when the head is parsed. Whether a field is present is then a single bit.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(u8)]
        pub enum FieldName {
            $(#[doc = $text] $name,)*
            /// A field that this server ignores.
            #[default]
            Other,
        }

        impl FieldName {
            /// The field name in `bytes`, which is case-insensitive (RFC 9110 §5.1).
            pub fn from_bytes(bytes: &[u8]) -> FieldName {
                // Most clients send the usual case, and bytes are compared faster with it than without.
                match bytes.len() {
                    $(length if length == $text.len()
                        && may_be_the_same_letter(bytes[0], $text.as_bytes()[0])
                        && (bytes == $text.as_bytes() || bytes.eq_ignore_ascii_case($text.as_bytes())) =>
                        FieldName::$name,)*
                    _ => FieldName::Other,
                }
            }
        }
    };
}

field_names! {
    Accept "Accept";
    AcceptEncoding "Accept-Encoding";
    Authorization "Authorization";
    Connection "Connection";
    ContentDigest "Content-Digest";
    ContentEncoding "Content-Encoding";
    ContentLength "Content-Length";
    ContentRange "Content-Range";
    ContentType "Content-Type";
    Destination "Destination";
    Expect "Expect";
    Forwarded "Forwarded";
    Host "Host";
    IfMatch "If-Match";
    IfModifiedSince "If-Modified-Since";
    IfNoneMatch "If-None-Match";
    IfRange "If-Range";
    IfUnmodifiedSince "If-Unmodified-Since";
    Origin "Origin";
    Overwrite "Overwrite";
    Range "Range";
    Referer "Referer";
    ReprDigest "Repr-Digest";
    SecFetchSite "Sec-Fetch-Site";
    Trailer "Trailer";
    TransferEncoding "Transfer-Encoding";
    UploadComplete "Upload-Complete";
    UploadDraftInteropVersion "Upload-Draft-Interop-Version";
    UploadLength "Upload-Length";
    UploadOffset "Upload-Offset";
    UserAgent "User-Agent";
    WantReprDigest "Want-Repr-Digest";
    XForwardedFor "X-Forwarded-For";
}

/// Whether two letters are the same, ignoring case; other bytes may be mistaken for the same. A quick check before the
/// full comparison: of the names of one length, few begin with the same letter.
fn may_be_the_same_letter(one: u8, other: u8) -> bool {
    (one ^ other) & !0x20 == 0
}

// A set of names is stored in 64 bits.
const _: () = assert!((FieldName::Other as u8) < 64);

impl FieldName {
    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// The position of a field line, as offsets from the first byte of its section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSpan {
    /// The name.
    pub name: FieldName,
    /// First byte of the name.
    pub name_start: u16,
    /// One past the last byte of the name: the colon.
    pub name_end: u16,
    /// First byte of the value, without the white space around it.
    pub value_start: u16,
    /// One past the last byte of the value.
    pub value_end: u16,
}

/// The positions of a section's field lines, in order.
#[derive(Clone, Debug, Default)]
pub struct FieldSpans {
    spans: Vec<FieldSpan>,
    present: u64,
}

impl FieldSpans {
    /// An empty list with capacity for `lines_max` lines, so that parsing a head never allocates.
    pub fn with_capacity(lines_max: usize) -> FieldSpans {
        FieldSpans { spans: Vec::with_capacity(lines_max), present: 0 }
    }

    /// Removes all lines, and keeps the capacity.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.present = 0;
    }

    /// How many bytes of memory the list owns, used or not.
    pub fn memory_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<FieldSpan>()
    }

    /// Makes the capacity at least `lines` lines in all.
    pub fn reserve(&mut self, lines: usize) {
        self.spans.reserve(lines.saturating_sub(self.spans.len()));
    }

    /// Frees the unused capacity.
    pub fn shrink_to_fit(&mut self) {
        self.spans.shrink_to_fit();
    }

    /// Becomes a copy of `other`, and keeps the capacity.
    pub fn copy_from(&mut self, other: &FieldSpans) {
        self.spans.clone_from(&other.spans);
        self.present = other.present;
    }

    /// Appends a line.
    pub fn push(&mut self, span: FieldSpan) {
        self.present |= span.name.bit();
        self.spans.push(span);
    }
}

/// The fields of one request. Borrows the received bytes.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    spans: &'a FieldSpans,
}

impl<'a> Fields<'a> {
    /// The field lines at `spans` in `bytes`, which begin with the section's first byte.
    pub fn new(bytes: &'a [u8], spans: &'a FieldSpans) -> Fields<'a> {
        Fields { bytes, spans }
    }

    /// Whether there is a line with this name.
    pub fn contains(&self, name: FieldName) -> bool {
        self.spans.present & name.bit() != 0
    }

    /// Whether there is a line with any of these names.
    pub fn contains_any<const N: usize>(&self, names: [FieldName; N]) -> bool {
        let bits = names.iter().fold(0, |bits, name| bits | name.bit());
        self.spans.present & bits != 0
    }

    /// The values of all lines with this name, in order.
    pub fn values(&self, name: FieldName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        // Usually the name is absent, and no search is needed.
        let spans = if self.contains(name) { self.spans.spans.as_slice() } else { &[] };
        spans.iter().filter(move |span| span.name == name).map(move |span| value_of(bytes, span))
    }

    /// The value of the first line with this name.
    pub fn first(&self, name: FieldName) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The value of the only line with this name; `None` if there is none, or more than one.
    ///
    /// For fields that are not lists: of two lines that contradict each other, neither is used.
    pub fn single(&self, name: FieldName) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The members of a comma-separated list, over all lines with this name (RFC 9110 §5.6.1.2), without the white
    /// space around them, and without empty members. Not for lists whose members may contain commas, as quoted strings
    /// do.
    pub fn list(&self, name: FieldName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.values(name).flat_map(list_members)
    }

    /// Whether a Content-Type line has this media type, with any parameters. Media types are case-insensitive (RFC 9110
    /// §8.3.1).
    pub fn has_media_type(&self, media_type: &[u8]) -> bool {
        self.values(FieldName::ContentType).any(|value| {
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            trim_white_space(&value[..end]).eq_ignore_ascii_case(media_type)
        })
    }

    /// The name and value of each line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.spans
            .spans
            .iter()
            .map(move |span| (&bytes[usize::from(span.name_start)..usize::from(span.name_end)], value_of(bytes, span)))
    }
}

fn value_of<'a>(bytes: &'a [u8], span: &FieldSpan) -> &'a [u8] {
    &bytes[usize::from(span.value_start)..usize::from(span.value_end)]
}

/// The members of the list in one line, without the white space around them, and without empty members.
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_white_space).filter(|member| !member.is_empty())
}

/// `bytes` without the white space around them: SP and HTAB, and nothing else (RFC 9110 §5.6.3).
pub fn trim_white_space(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_case_insensitive() {
        assert_eq!(FieldName::from_bytes(b"hOsT"), FieldName::Host);
        assert_eq!(FieldName::from_bytes(b"content-length"), FieldName::ContentLength);
        assert_eq!(FieldName::from_bytes(b"content_length"), FieldName::Other);
        assert_eq!(FieldName::from_bytes(b""), FieldName::Other);
    }

    #[test]
    fn only_space_and_tab_are_white_space() {
        assert_eq!(trim_white_space(b" \t a b\t "), b"a b");
        assert_eq!(trim_white_space(b"\x0ba\x0c"), b"\x0ba\x0c");
        assert_eq!(trim_white_space(b" \t"), b"");
    }

    #[test]
    fn empty_list_members_are_skipped() {
        let members: Vec<_> = list_members(b", a,, b ,\t,").collect();
        assert_eq!(members, [b"a", b"b"]);
    }
}
