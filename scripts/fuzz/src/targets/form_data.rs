//! The parser of forms that contain files. The input is a boundary, a line feed, and a form, see [`expand`].
//!
//! 1. No input makes it panic.
//! 2. However the bytes are split, the parts are the same, and the form is accepted or refused for the same reason.
//! 3. A second, simpler parser, which has the whole form in memory, finds the same parts, and refuses the same forms.

use spindle::semantics::form_data::{
    Event, FIELD_BYTES_MAX, FileName, FormError, FormParser, PART_HEAD_BYTES_MAX, PARTS_MAX, PartHead,
};

use super::expand::expand;

/// More than twice the longest field.
const FORM_BYTES_MAX: usize = 160 * 1024;

/// A complete part.
#[derive(Debug, PartialEq)]
struct Part {
    head: PartHead,
    content: Vec<u8>,
}

/// Runs the target.
pub fn run(input: &[u8]) {
    let Some(line_end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (boundary, form) = (&input[..line_end], expand(&input[line_end + 1..], FORM_BYTES_MAX));
    let content_type = [b"multipart/form-data; boundary=\"", boundary, b"\""].concat();
    let Ok(parser) = FormParser::new(&content_type) else { return };

    let whole = parse(parser, &form, [form.len()]);
    let again = || FormParser::new(&content_type).expect("the same boundary is accepted again");
    let by_byte = parse(again(), &form, std::iter::repeat_n(1, form.len()));
    assert_eq!(by_byte, whole, "a form received byte by byte has the same result as one received at once");
    let uneven = input.iter().cycle().map(|byte| 1 + usize::from(byte & 0x1f));
    assert_eq!(parse(again(), &form, uneven), whole, "a form received in pieces has the same result");

    let (parts, error) = &whole;
    let (expected, is_accepted) = parse_reference(boundary, &form);
    assert_eq!(error.is_none(), is_accepted, "the reference parser agrees whether the form is accepted: {error:?}");
    assert_eq!(parts, &expected, "the reference parser finds the same parts");
}

/// Parses a form in pieces of these sizes. Returns the complete parts, and why the form is refused.
fn parse(
    mut parser: FormParser,
    form: &[u8],
    sizes: impl IntoIterator<Item = usize>,
) -> (Vec<Part>, Option<FormError>) {
    let mut rest = form;
    let (mut parts, mut current) = (Vec::new(), None);
    for size in sizes {
        let (mut piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        loop {
            match parser.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(Event::Part(head))) => {
                    assert!(current.is_none(), "a part begins after the end of the one before");
                    current = Some(Part { head, content: Vec::new() });
                }
                Ok(Some(Event::Content(content))) => {
                    assert!(!content.is_empty(), "content is reported only if there is some");
                    let part = current.as_mut().expect("content belongs to a part");
                    part.content.extend_from_slice(content);
                }
                Ok(Some(Event::PartEnd)) => parts.push(current.take().expect("a part that ends has begun")),
                Err(error) => return (parts, Some(error)),
            }
        }
        assert!(piece.is_empty(), "a parser that needs more bytes has removed its input");
        if rest.is_empty() {
            break;
        }
    }
    (parts, parser.finish().err())
}

/// The reference parser. It searches the whole form for each delimiter, and only then looks at the part before it.
/// Returns the complete parts, and whether the form is accepted.
fn parse_reference(boundary: &[u8], form: &[u8]) -> (Vec<Part>, bool) {
    let delimiter = [b"\r\n--", boundary].concat();
    // The first boundary need not follow a line.
    let form = [b"\r\n", form].concat();
    let mut parts = Vec::new();
    let Some(mut at) = find(&form, &delimiter) else { return (parts, false) };
    // The part before the delimiter at `at`, whose boundary line has still to be checked.
    let mut pending: Option<Part> = None;
    let mut count = 0;
    loop {
        let line = &form[at + delimiter.len()..];
        if line.starts_with(b"--") {
            parts.extend(pending);
            return (parts, true);
        }
        let padding = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if !line[padding..].starts_with(b"\r\n") {
            return (parts, false);
        }
        parts.extend(pending.take());
        // From the CRLF of the boundary's line on.
        let rest = &form[at + delimiter.len() + padding..];
        let next = find(rest, &delimiter);
        // The CRLF of the delimiter may be the last one of the header.
        let part = &rest[..next.map_or(rest.len(), |next| next + 2)];
        count += 1;
        let parsed = part_of(part).filter(|_| count <= PARTS_MAX);
        let (Some(next), Some(parsed)) = (next, parsed) else { return (parts, false) };
        pending = Some(parsed);
        at += delimiter.len() + padding + next;
    }
}

/// Parses a part with the CRLF before it, and the CRLF of the delimiter after it.
fn part_of(part: &[u8]) -> Option<Part> {
    let head_end = find(part, b"\r\n\r\n")?;
    if head_end + 2 > PART_HEAD_BYTES_MAX {
        return None;
    }
    let content = part.get(head_end + 4..part.len() - 2).unwrap_or_default();
    let mut file_name = None;
    let mut is_plain = true;
    for line in lines(part.get(2..head_end).unwrap_or_default()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        let is_printable = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        if !is_token(name) || !value.iter().all(is_printable) {
            return None;
        }
        match name.to_ascii_lowercase().as_slice() {
            b"content-disposition" if file_name.is_some() => return None,
            b"content-disposition" => file_name = Some(file_name_of(value)?),
            b"content-transfer-encoding" => {
                let encoding = value.to_ascii_lowercase();
                is_plain &= [&b"7bit"[..], b"8bit", b"binary"].contains(&encoding.as_slice());
            }
            _ => {}
        }
    }
    let file_name = file_name?;
    if file_name == FileName::Absent && content.len() > FIELD_BYTES_MAX {
        return None;
    }
    Some(Part { head: PartHead { file_name, is_plain }, content: content.to_vec() })
}

/// The name in a Content-Disposition, read byte by byte.
fn file_name_of(disposition: &[u8]) -> Option<FileName> {
    let (kind, mut rest) = match disposition.iter().position(|byte| *byte == b';') {
        Some(at) => disposition.split_at(at),
        None => (disposition, &[][..]),
    };
    if !trim(kind).eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let (mut stated, mut is_extended) = (None, false);
    while !rest.is_empty() {
        rest = trim(rest.strip_prefix(b";")?);
        if rest.is_empty() || rest[0] == b';' {
            continue;
        }
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let name = rest[..equals].to_ascii_lowercase();
        if !is_token(&name) {
            return None;
        }
        rest = &rest[equals + 1..];
        let mut value = Vec::new();
        if let Some(after) = rest.strip_prefix(b"\"") {
            rest = after;
            while rest.first()? != &b'"' {
                let is_escape = rest.len() > 1 && rest[0] == b'\\' && b"\"\\".contains(&rest[1]);
                value.push(rest[usize::from(is_escape)]);
                rest = &rest[1 + usize::from(is_escape)..];
            }
            rest = &rest[1..];
        } else {
            let bytes = rest.iter().take_while(|byte| !b"; \t\"".contains(byte)).count();
            if bytes == 0 {
                return None;
            }
            value.extend_from_slice(&rest[..bytes]);
            rest = &rest[bytes..];
        }
        rest = trim(rest);
        match name.as_slice() {
            b"filename" if stated.is_some() => return None,
            b"filename" => stated = Some(value),
            b"filename*" => is_extended = true,
            _ => {}
        }
    }
    let Some(stated) = stated else {
        return Some(if is_extended { FileName::Extended } else { FileName::Absent });
    };
    // None of the replaced sequences can begin within another one, or arise from a replacement.
    let decoded = [(&b"%0A"[..], b'\n'), (b"%0D", b'\r'), (b"%22", b'"')]
        .into_iter()
        .fold(stated, |name, (encoded, byte)| replace(&name, encoded, byte));
    let start = decoded.iter().rposition(|byte| b"/\\".contains(byte)).map_or(0, |at| at + 1);
    Some(FileName::Stated(decoded[start..].to_vec()))
}

fn replace(bytes: &[u8], sequence: &[u8], by: u8) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while let Some(at) = find(rest, sequence) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.push(by);
        rest = &rest[at + sequence.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

fn find(bytes: &[u8], sequence: &[u8]) -> Option<usize> {
    bytes.windows(sequence.len()).position(|window| window == sequence)
}

/// The lines of a header, without the CRLF between them. There is none in an empty header.
fn lines(mut text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = find(text, b"\r\n") {
        lines.push(&text[..end]);
        text = &text[end + 2..];
    }
    if !text.is_empty() {
        lines.push(text);
    }
    lines
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(is_text).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_text).map_or(start, |last| last + 1);
    &bytes[start..end]
}
