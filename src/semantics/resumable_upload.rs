//! The fields of "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload), as structured fields (RFC 9651).
//!
//! A field whose value does not have the field's type is ignored, as the draft requires.

use std::fmt::Write as _;

use sfv::{BareItem, Item, Parser};

use super::fields::{FieldName, Fields};

/// The version of the draft that clients must name to get interim responses of it, and that those responses name. The
/// final RFC has no such field: then every client that sends Upload-Complete knows status 104.
pub const INTEROP_VERSION: Option<u64> = Some(8);

/// The media type of a PATCH that appends to an upload.
pub const PARTIAL_UPLOAD: &[u8] = b"application/partial-upload";

/// What a request says about a resumable upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadFields {
    /// Upload-Complete: whether the content of this request is the end of the representation.
    pub complete: Option<bool>,
    /// Upload-Offset: at which byte of the representation the content of this request begins.
    pub offset: Option<u64>,
    /// Upload-Length: the length of the representation, in bytes.
    pub length: Option<u64>,
}

impl UploadFields {
    /// The fields of a request.
    pub fn of(fields: &Fields<'_>) -> UploadFields {
        UploadFields {
            complete: boolean(fields, FieldName::UploadComplete),
            offset: integer(fields, FieldName::UploadOffset),
            length: integer(fields, FieldName::UploadLength),
        }
    }
}

/// Whether the client understands interim responses with status 104.
pub fn understands_104(fields: &Fields<'_>) -> bool {
    INTEROP_VERSION.is_none_or(|version| integer(fields, FieldName::UploadDraftInteropVersion) == Some(version))
}

fn item(fields: &Fields<'_>, name: FieldName) -> Option<BareItem> {
    let item: Item = Parser::new(fields.single(name)?).parse().ok()?;
    Some(item.bare_item)
}

fn boolean(fields: &Fields<'_>, name: FieldName) -> Option<bool> {
    match item(fields, name)? {
        BareItem::Boolean(value) => Some(value),
        _ => None,
    }
}

fn integer(fields: &Fields<'_>, name: FieldName) -> Option<u64> {
    match item(fields, name)? {
        BareItem::Integer(value) => u64::try_from(i64::from(value)).ok(),
        _ => None,
    }
}

/// The limits in an Upload-Limit field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadLimits {
    /// The longest representation, in bytes.
    pub bytes_max: Option<u64>,
    /// How long the upload resource will exist, in seconds.
    pub age_s_max: Option<u64>,
}

/// The largest integer that a structured field can have.
const INTEGER_MAX: u64 = 999_999_999_999_999;

impl UploadLimits {
    /// The value of the field. Without any limit it is `min-size=0`, because the field must not be empty.
    pub fn field_value(&self) -> String {
        let mut value = String::new();
        for (key, limit) in [("max-size", self.bytes_max), ("max-age", self.age_s_max)] {
            if let Some(limit) = limit.filter(|limit| *limit <= INTEGER_MAX) {
                let separator = if value.is_empty() { "" } else { ", " };
                // Writing to a string does not fail.
                let _ = write!(value, "{separator}{key}={limit}");
            }
        }
        if value.is_empty() { "min-size=0".to_owned() } else { value }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::semantics::fields::{FieldSpan, FieldSpans};

    /// The fields of a request with these lines.
    fn parsed(lines: &[(FieldName, &str)]) -> UploadFields {
        let bytes: String = lines.iter().map(|(_, value)| *value).collect();
        let mut spans = FieldSpans::default();
        let mut value_start = 0;
        for (name, value) in lines {
            let value_end = value_start + u16::try_from(value.len()).unwrap();
            spans.push(FieldSpan { name: *name, name_start: 0, name_end: 0, value_start, value_end });
            value_start = value_end;
        }
        UploadFields::of(&Fields::new(bytes.as_bytes(), &spans))
    }

    #[test]
    fn values_of_the_right_type_are_taken() {
        let fields = parsed(&[
            (FieldName::UploadComplete, "?1;x=y"),
            (FieldName::UploadOffset, " 12 "),
            (FieldName::UploadLength, "999999999999999"),
        ]);
        assert_eq!(fields, UploadFields { complete: Some(true), offset: Some(12), length: Some(INTEGER_MAX) });
        assert_eq!(parsed(&[(FieldName::UploadComplete, "?0")]).complete, Some(false));
    }

    #[test]
    fn any_other_value_counts_as_not_sent() {
        for value in ["", "1", "true", "?2", "?1, ?1", "(?1)", "a=?1"] {
            assert_eq!(parsed(&[(FieldName::UploadComplete, value)]), UploadFields::default(), "{value}");
        }
        for value in ["", "-1", "1.0", "1 1", "\"1\"", "?1", "9999999999999999", "+1", "0x1"] {
            for name in [FieldName::UploadOffset, FieldName::UploadLength] {
                assert_eq!(parsed(&[(name, value)]), UploadFields::default(), "{value}");
            }
        }
        let twice = [(FieldName::UploadOffset, "1"), (FieldName::UploadOffset, "1")];
        assert_eq!(parsed(&twice), UploadFields::default());
    }

    #[test]
    fn limits_are_a_dictionary_that_is_never_empty() {
        let limits = |bytes_max, age_s_max| UploadLimits { bytes_max, age_s_max }.field_value();
        assert_eq!(limits(Some(10), Some(20)), "max-size=10, max-age=20");
        assert_eq!(limits(None, Some(20)), "max-age=20");
        assert_eq!(limits(None, None), "min-size=0");
        assert_eq!(limits(Some(u64::MAX), None), "min-size=0");
    }
}
